//! The operations of API version 2012-06-01: checked entirely before anything is changed.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::balancer::{HealthState, LoadBalancer};
use super::{Elb, Key, render};
use crate::aws::listener::Answer;
use crate::aws::reply::{ApiError, success};
use crate::aws::request::ApiRequest;
use crate::aws::xml::Xml;

pub(in crate::aws) const VERSION: &str = "2012-06-01";
pub(in crate::aws) const NAMESPACE: &str =
    "http://elasticloadbalancing.amazonaws.com/doc/2012-06-01/";

const LARGEST_PAGE: usize = 400;
const MOST_INSTANCES: usize = 1000;

type Result<T> = std::result::Result<T, ApiError>;

/// One call on its way.
struct Call<'a> {
    request: &'a ApiRequest,
    now: Instant,
    seq: u64,
}

/// Carries a call out.
pub(in crate::aws) fn call(
    elb: &mut Elb,
    request: &ApiRequest,
    now: Instant,
    seq: u64,
) -> Result<Answer> {
    let call = Call { request, now, seq };
    let operation = request.operation.as_str();
    match operation {
        "DescribeLoadBalancers" => describe_load_balancers(elb, &call),
        "DescribeLoadBalancerAttributes" => describe_attributes(elb, &call),
        "DescribeInstanceHealth" => describe_instance_health(elb, &call),
        "RegisterInstancesWithLoadBalancer" => register(elb, &call),
        "DeregisterInstancesFromLoadBalancer" => deregister(elb, &call),
        "CreateLoadBalancer" => create(elb, &call),
        "DeleteLoadBalancer" => delete(elb, &call),
        other => {
            let message = format!("Could not find operation {other} for version {VERSION}");
            Err(ApiError::new(400, "InvalidAction", message))
        }
    }
}

impl Call<'_> {
    fn required(&self, name: &str) -> Result<&str> {
        let missing = || {
            ApiError::validation(format!(
                "1 validation error detected: {name} must not be null"
            ))
        };
        self.request
            .get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(missing)
    }

    /// The load balancer it is about, which must exist.
    fn balancer<'a>(&self, elb: &'a Elb) -> Result<&'a LoadBalancer> {
        let name = self.required("LoadBalancerName")?;
        elb.get(&self.request.region, name)
            .ok_or_else(|| not_found(name))
    }

    fn key(&self) -> Result<Key> {
        Ok((
            self.request.region.clone(),
            self.required("LoadBalancerName")?.to_owned(),
        ))
    }

    fn success(&self, result: impl FnOnce(&mut Xml)) -> Answer {
        success(NAMESPACE, &self.request.operation, self.seq, result)
    }
}

fn describe_load_balancers(elb: &Elb, call: &Call<'_>) -> Result<Answer> {
    let region = &call.request.region;
    let names = call.request.members("LoadBalancerNames", "");
    if let Some(missing) = names.iter().find(|name| elb.get(region, name).is_none()) {
        return Err(not_found(missing));
    }
    let size = page_size(call.request)?;
    let mut page = page_of(elb, call.request);
    let more = page.len() > size;
    page.truncate(size);
    Ok(call.success(|xml| {
        xml.members(
            "LoadBalancerDescriptions",
            &page,
            |xml, (name, balancer)| {
                render::load_balancer(xml, region, name, balancer);
            },
        );
        if let Some((last, _)) = page.last().filter(|_| more) {
            xml.text("NextMarker", last);
        }
    }))
}

/// The load balancers on the page that is asked for, and the first of the next one.
pub(in crate::aws) fn page_of<'a>(
    elb: &'a Elb,
    request: &'a ApiRequest,
) -> Vec<(&'a str, &'a LoadBalancer)> {
    let names = request.members("LoadBalancerNames", "");
    let marker = request.get("Marker").unwrap_or_default();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let size = page_size(request).unwrap_or(LARGEST_PAGE);
    let all = elb.of_region(&request.region);
    let all = all.filter(|(name, _)| wanted(name) && *name > marker);
    all.take(size + 1).collect()
}

fn page_size(request: &ApiRequest) -> Result<usize> {
    let Some(size) = request.get("PageSize") else {
        return Ok(LARGEST_PAGE);
    };
    let invalid = || {
        ApiError::validation(format!(
            "PageSize must be between 1 and {LARGEST_PAGE}, not {size}"
        ))
    };
    size.parse()
        .ok()
        .filter(|size| (1..=LARGEST_PAGE).contains(size))
        .ok_or_else(invalid)
}

fn describe_attributes(elb: &Elb, call: &Call<'_>) -> Result<Answer> {
    let balancer = call.balancer(elb)?;
    Ok(call.success(|xml| render::attributes(xml, balancer)))
}

fn describe_instance_health(elb: &Elb, call: &Call<'_>) -> Result<Answer> {
    let balancer = call.balancer(elb)?;
    let asked = call.request.instances();
    let ids: BTreeSet<String> = if asked.is_empty() {
        balancer.known()
    } else {
        asked.into_iter().collect()
    };
    // Without a list of what EC2 has, only what is registered is known to exist.
    let elsewhere = |id: &str| {
        let exists = elb.strict_instances && elb.exists(id);
        exists
            .then(HealthState::not_registered)
            .ok_or_else(|| invalid_instances(&BTreeSet::from([id.to_owned()])))
    };
    let mut states = Vec::new();
    for id in ids {
        let state = balancer
            .state(&id, call.now)
            .map_or_else(|| elsewhere(&id), Ok)?;
        states.push((id, state));
    }
    Ok(call.success(|xml| render::instance_states(xml, &states)))
}

fn register(elb: &mut Elb, call: &Call<'_>) -> Result<Answer> {
    let balancer = call.balancer(elb)?;
    let ids = instances(call)?;
    let invalid = elb.unknown(&ids, Elb::is_running);
    if !invalid.is_empty() {
        return Err(invalid_instances(&invalid));
    }
    let mut after = balancer.registered();
    after.extend(ids.iter().cloned());
    if after.len() > MOST_INSTANCES {
        let message = format!(
            "A load balancer takes at most {MOST_INSTANCES} instances, not {}",
            after.len()
        );
        return Err(ApiError::new(400, "LimitExceeded", message));
    }
    let key = call.key()?;
    elb.register(&key, &ids, call.now, Some(call.seq));
    instances_left(elb, call)
}

fn deregister(elb: &mut Elb, call: &Call<'_>) -> Result<Answer> {
    call.balancer(elb)?;
    let ids = instances(call)?;
    let invalid = elb.unknown(&ids, Elb::exists);
    if !invalid.is_empty() {
        return Err(invalid_instances(&invalid));
    }
    let key = call.key()?;
    elb.deregister(&key, &ids, call.now, Some(call.seq));
    instances_left(elb, call)
}

fn instances_left(elb: &Elb, call: &Call<'_>) -> Result<Answer> {
    let listed = call.balancer(elb)?.listed();
    Ok(call.success(|xml| render::instances(xml, &listed)))
}

fn instances(call: &Call<'_>) -> Result<Vec<String>> {
    let ids = call.request.instances();
    if ids.is_empty() {
        return Err(ApiError::validation(
            "1 validation error detected: Instances must not be null",
        ));
    }
    Ok(ids)
}

fn create(elb: &mut Elb, call: &Call<'_>) -> Result<Answer> {
    let (region, name) = call.key()?;
    let slot = elb.slot(&region, &name);
    if slot.balancer.is_some() {
        let message = format!("Load Balancer named {name} already exists");
        return Err(ApiError::new(400, "DuplicateLoadBalancerName", message));
    }
    slot.balancer = Some(LoadBalancer::new(
        call.request.members("AvailabilityZones", ""),
    ));
    Ok(call.success(|xml| xml.text("DNSName", render::dns_name(&region, &name))))
}

/// Succeeds for one that is not there, as AWS does.
fn delete(elb: &mut Elb, call: &Call<'_>) -> Result<Answer> {
    elb.delete(&call.key()?, call.now, Some(call.seq));
    Ok(call.success(|_| {}))
}

fn not_found(name: &str) -> ApiError {
    ApiError::new(
        400,
        "LoadBalancerNotFound",
        format!("There is no ACTIVE Load Balancer named '{name}'"),
    )
}

fn invalid_instances(ids: &BTreeSet<String>) -> ApiError {
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ApiError::new(
        400,
        "InvalidInstance",
        format!("Could not find EC2 instance {}.", ids.join(", ")),
    )
}
