//! The XML of classic load balancers, in the order AWS writes it.

use std::collections::BTreeSet;

use super::balancer::{HealthState, LoadBalancer};
use crate::aws::xml::Xml;

pub(super) fn dns_name(region: &str, name: &str) -> String {
    format!("{name}-1234567890.{region}.elb.amazonaws.com")
}

pub(super) fn load_balancer(xml: &mut Xml, region: &str, name: &str, balancer: &LoadBalancer) {
    xml.text("LoadBalancerName", name);
    xml.text("DNSName", dns_name(region, name));
    xml.text("CanonicalHostedZoneName", dns_name(region, name));
    xml.text("CanonicalHostedZoneNameID", "Z00000000000000000000");
    listeners(xml);
    xml.element("Policies", |xml| {
        xml.empty("AppCookieStickinessPolicies");
        xml.empty("LBCookieStickinessPolicies");
        xml.empty("OtherPolicies");
    });
    xml.empty("BackendServerDescriptions");
    xml.members("AvailabilityZones", &balancer.zones, |xml, zone| {
        xml.escaped(zone);
    });
    xml.empty("Subnets");
    instances(xml, &balancer.listed());
    health_check(xml, balancer);
    xml.element("SourceSecurityGroup", |xml| {
        xml.text("OwnerAlias", "amazon-elb");
        xml.text("GroupName", "amazon-elb-sg");
    });
    xml.empty("SecurityGroups");
    let created =
        jiff::Timestamp::try_from(balancer.created).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    xml.text("CreatedTime", created.strftime("%Y-%m-%dT%H:%M:%S.%3fZ"));
    xml.text("Scheme", "internet-facing");
}

/// Always the same: nobody here looks at them, but clients expect some.
fn listeners(xml: &mut Xml) {
    xml.members("ListenerDescriptions", [()], |xml, ()| {
        xml.element("Listener", |xml| {
            xml.text("Protocol", "HTTP");
            xml.text("LoadBalancerPort", 80);
            xml.text("InstanceProtocol", "HTTP");
            xml.text("InstancePort", 80);
        });
        xml.empty("PolicyNames");
    });
}

fn health_check(xml: &mut Xml, balancer: &LoadBalancer) {
    let check = &balancer.health_check;
    xml.element("HealthCheck", |xml| {
        xml.text("Target", &check.target);
        xml.text("Interval", check.interval);
        xml.text("Timeout", check.timeout);
        xml.text("UnhealthyThreshold", check.unhealthy_threshold);
        xml.text("HealthyThreshold", check.healthy_threshold);
    });
}

pub(super) fn instances(xml: &mut Xml, ids: &BTreeSet<String>) {
    xml.members("Instances", ids, |xml, id| xml.text("InstanceId", id));
}

pub(super) fn instance_states(xml: &mut Xml, states: &[(String, HealthState)]) {
    xml.members("InstanceStates", states, |xml, (id, state)| {
        xml.text("InstanceId", id);
        xml.text("State", &state.state);
        xml.text("ReasonCode", &state.reason_code);
        xml.text("Description", &state.description);
    });
}

pub(super) fn attributes(xml: &mut Xml, balancer: &LoadBalancer) {
    xml.element("LoadBalancerAttributes", |xml| {
        xml.element("CrossZoneLoadBalancing", |xml| {
            xml.text("Enabled", balancer.cross_zone);
        });
        xml.element("AccessLog", |xml| xml.text("Enabled", false));
        xml.element("ConnectionDraining", |xml| {
            xml.text("Enabled", balancer.draining);
            xml.text("Timeout", balancer.draining_timeout.as_secs());
        });
        xml.element("ConnectionSettings", |xml| xml.text("IdleTimeout", 60));
        xml.empty("AdditionalAttributes");
    });
}
