//! How the instances are.

use std::time::Duration;

use lbmanager::backend::elb::Elb;
use lbmanager::backend::{Backend, Urgency};
use lbmanager::observed::{Condition, Health};

use crate::{REGION, id, ids, member, members, start};

#[tokio::test]
async fn draining_is_told_from_in_service() {
    let (aws, elb) = start().await;
    aws.create(REGION, "web")
        .draining(Duration::from_mins(5))
        .instances(ids(&members([1, 2])));
    elb.deregister(&id("web"), &members([1])).await;
    let of = |number| condition(&elb, number);
    assert_eq!(of(1).await, Some(Condition::Draining));
    assert_eq!(of(2).await, Some(Condition::InService));
    assert_eq!(of(3).await, None);
}

#[tokio::test]
async fn why_one_is_out_of_service_is_said_in_awss_words() {
    let (aws, elb) = start().await;
    aws.create(REGION, "web").zones(["eu-west-1a"]);
    aws.instances()
        .add_in_zone(member(1).as_str(), "eu-west-1c");
    elb.register(&id("web"), &members([1])).await;
    let Some(Condition::OutOfService(why)) = condition(&elb, 1).await else {
        panic!("in a zone that the load balancer does not have");
    };
    assert!(why.contains("Availability Zone"), "{why}");
}

async fn condition(elb: &Elb, number: usize) -> Option<Condition> {
    match elb.health(&id("web"), Urgency::Decision).await.unwrap() {
        Health::Read(conditions) => conditions.get(&member(number)).cloned(),
        Health::Unreadable(why) => panic!("{why}"),
    }
}
