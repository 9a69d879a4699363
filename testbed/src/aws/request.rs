//! What is read of a request: who signed it when, for which region, and what it asks.

use std::time::SystemTime;

use hyper::body::Bytes;
use hyper::http::request::Parts;

/// A request in AWS's Query protocol.
#[derive(Debug, Clone, Default)]
pub(super) struct ApiRequest {
    pub operation: String,
    /// Version of the API: tells services of the same name apart.
    pub version: String,
    pub region: String,
    /// The access key it is signed with; `None` without an Authorization header.
    pub writer: Option<String>,
    pub signed_at: Option<SystemTime>,
    parameters: Vec<(String, String)>,
}

impl ApiRequest {
    pub(super) fn parse(parts: &Parts, body: &Bytes) -> Self {
        let mut parameters: Vec<(String, String)> =
            form_urlencoded::parse(body).into_owned().collect();
        let query = parts.uri.query().unwrap_or_default();
        parameters.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
        let header = |name: &str| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let scope = header("authorization").and_then(credential_scope);
        let (writer, region) =
            scope.map_or((None, String::new()), |(key, region)| (Some(key), region));
        let signed_at = header("x-amz-date").and_then(signed_time);
        let mut request = Self {
            region,
            writer,
            signed_at,
            parameters,
            ..Self::default()
        };
        request.operation = request.get("Action").unwrap_or_default().to_owned();
        request.version = request.get("Version").unwrap_or_default().to_owned();
        request
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The list `name.member.1suffix`, `name.member.2suffix`, ... in the order of the numbers.
    pub(super) fn members(&self, name: &str, suffix: &str) -> Vec<String> {
        let number = |key: &str| -> Option<usize> {
            key.strip_prefix(name)?
                .strip_prefix(".member.")?
                .strip_suffix(suffix)?
                .parse()
                .ok()
        };
        let found = self
            .parameters
            .iter()
            .filter_map(|(key, value)| Some((number(key)?, value)));
        let mut found: Vec<(usize, &String)> = found.collect();
        found.sort_unstable();
        found.into_iter().map(|(_, value)| value.clone()).collect()
    }

    /// All load balancers it names.
    pub(super) fn load_balancers(&self) -> Vec<String> {
        let mut names = self.members("LoadBalancerNames", "");
        names.extend(self.get("LoadBalancerName").map(str::to_owned));
        names
    }

    /// All instances it names.
    pub(super) fn instances(&self) -> Vec<String> {
        self.members("Instances", ".InstanceId")
    }

    pub(super) fn is_write(&self) -> bool {
        is_write(&self.operation)
    }
}

pub(super) fn is_write(operation: &str) -> bool {
    !operation.starts_with("Describe")
}

/// Access key and region out of `... Credential=KEY/DATE/REGION/SERVICE/aws4_request, ...`.
fn credential_scope(authorization: &str) -> Option<(String, String)> {
    let (_, credential) = authorization.split_once("Credential=")?;
    let mut fields = credential.split([',', ' ']).next()?.split('/');
    let (key, _date, region) = (fields.next()?, fields.next()?, fields.next()?);
    Some((key.to_owned(), region.to_owned()))
}

fn signed_time(date: &str) -> Option<SystemTime> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok()?;
    Some(
        time.to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_signed_form_is_read() {
        let (parts, ()) = Request::builder()
            .header(
                "Authorization",
                "AWS4-HMAC-SHA256 Credential=AKIA1/20260101/eu-west-1/elasticloadbalancing/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature=00",
            )
            .header("X-Amz-Date", "20260102T030405Z")
            .body(())
            .unwrap()
            .into_parts();
        let body = "Action=RegisterInstancesWithLoadBalancer&Version=2012-06-01&LoadBalancerName=a%2Db\
                    &Instances.member.2.InstanceId=i-2&Instances.member.10.InstanceId=i-10\
                    &Instances.member.1.InstanceId=i-1";
        let request = ApiRequest::parse(&parts, &Bytes::from(body));
        assert_eq!(request.operation, "RegisterInstancesWithLoadBalancer");
        assert_eq!(request.writer.as_deref(), Some("AKIA1"));
        assert_eq!(request.region, "eu-west-1");
        assert_eq!(request.load_balancers(), ["a-b"]);
        assert_eq!(request.instances(), ["i-1", "i-2", "i-10"]);
        assert!(request.is_write());
        assert_eq!(
            request.signed_at,
            Some(UNIX_EPOCH + Duration::from_secs(1_767_323_045))
        );
    }
}
