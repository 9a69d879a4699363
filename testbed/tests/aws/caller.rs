//! A caller of the simulator that signs as the SDK does.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use hyper::Method;
use testbed::aws::{Aws, LbHandle};
use testbed::http::{self, Answer};

pub const REGION: &str = "eu-west-1";
pub const REGISTER: &str = "RegisterInstancesWithLoadBalancer";
pub const DEREGISTER: &str = "DeregisterInstancesFromLoadBalancer";
pub const HEALTH: &str = "DescribeInstanceHealth";
pub const DESCRIBE: &str = "DescribeLoadBalancers";
pub const SECONDS: Duration = Duration::from_secs(10);

/// A caller with an access key, in a region.
#[derive(Clone)]
pub struct Caller {
    pub url: String,
    pub region: String,
    pub key: String,
}

impl Caller {
    pub fn new(aws: &Aws) -> Self {
        Self {
            url: aws.url(),
            region: REGION.to_owned(),
            key: "AKIA1".to_owned(),
        }
    }

    pub async fn try_call(
        &self,
        operation: &str,
        parameters: &str,
    ) -> Result<Answer, testbed::Error> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/20260101/{}/elasticloadbalancing/aws4_request, SignedHeaders=host, \
             Signature=00",
            self.key, self.region
        );
        let headers = [
            ("Authorization", authorization.as_str()),
            ("X-Amz-Date", "20260101T000000Z"),
        ];
        let body = format!("Action={operation}&Version=2012-06-01&{parameters}");
        http::request(Method::POST, &self.url, &headers, body).await
    }

    pub async fn call(&self, operation: &str, parameters: &str) -> Answer {
        self.try_call(operation, parameters)
            .await
            .expect("an answer")
    }

    pub async fn ok(&self, operation: &str, parameters: &str) -> String {
        let answer = self.call(operation, parameters).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// The status and code of an error.
    pub async fn error(&self, operation: &str, parameters: &str) -> (u16, String) {
        let answer = self.call(operation, parameters).await;
        let code = texts(&answer.body, "Code").pop().unwrap_or(answer.body);
        (answer.status.as_u16(), code)
    }

    pub async fn register(&self, name: &str, ids: &[&str]) -> String {
        self.ok(REGISTER, &members(name, ids)).await
    }

    pub async fn deregister(&self, name: &str, ids: &[&str]) -> String {
        self.ok(DEREGISTER, &members(name, ids)).await
    }

    /// State and description of each instance that the load balancer knows.
    pub async fn health(&self, name: &str) -> Vec<(String, String)> {
        let body = self.ok(HEALTH, &members(name, &[])).await;
        texts(&body, "State")
            .into_iter()
            .zip(texts(&body, "Description"))
            .collect()
    }
}

pub fn members(name: &str, ids: &[&str]) -> String {
    let mut parameters = format!("LoadBalancerName={name}");
    for (index, id) in ids.iter().enumerate() {
        let _ = write!(
            parameters,
            "&Instances.member.{}.InstanceId={id}",
            index + 1
        );
    }
    parameters
}

/// The text of all elements of a name.
pub fn texts(xml: &str, name: &str) -> Vec<String> {
    let tag = format!("<{name}>");
    let parts = xml.split(&tag).skip(1);
    parts
        .map(|part| part.split('<').next().unwrap_or_default().to_owned())
        .collect()
}

pub fn ids(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

pub fn in_service(description: &str) -> (String, String) {
    ("InService".to_owned(), description.to_owned())
}

pub async fn start() -> (Aws, Caller, LbHandle) {
    let aws = Aws::start().await.expect("the simulator starts");
    let caller = Caller::new(&aws);
    let web = aws.create(REGION, "web");
    (aws, caller, web)
}
