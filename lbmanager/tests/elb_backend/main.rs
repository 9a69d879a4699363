//! The backend for classic load balancers, on the AWS simulator and on moto.

#![cfg(feature = "elb")]
#![allow(clippy::unwrap_used, reason = "it is all tests")]

mod access;
mod credentials;
mod describe;
mod health;
mod moto;
mod pages;
mod writes;

use std::collections::BTreeSet;
use std::sync::Arc;

use lbmanager::backend::Outcome;
use lbmanager::backend::aws::{Aws as Client, AwsSettings, Counters, Keys};
use lbmanager::backend::elb::Elb;
use presence::model::{BalancerId, Kind, MemberId};
use testbed::aws::Aws;

const REGION: &str = "eu-west-1";

fn settings(url: &str) -> AwsSettings {
    AwsSettings {
        endpoint_url: Some(url.to_owned()),
        keys: Some(Keys {
            id: "AKIATEST".to_owned(),
            secret: "hush-hush".to_owned(),
        }),
        ..AwsSettings::default()
    }
}

fn backend(settings: AwsSettings) -> Elb {
    Elb::new(Client::new(
        settings,
        Counters::default(),
        Arc::new(|| Ok(())),
    ))
}

async fn start() -> (Aws, Elb) {
    let aws = Aws::start().await.unwrap();
    let elb = backend(settings(&aws.url()));
    (aws, elb)
}

fn id(name: &str) -> BalancerId {
    BalancerId::new(Kind::Elb, REGION, name).unwrap()
}

fn member(number: usize) -> MemberId {
    id("web").member(&format!("i-{number:017x}")).unwrap()
}

fn members(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<MemberId> {
    numbers.into_iter().map(member).collect()
}

fn ids(members: &BTreeSet<MemberId>) -> BTreeSet<String> {
    members.iter().map(ToString::to_string).collect()
}

fn done(members: BTreeSet<MemberId>) -> Outcome {
    Outcome {
        done: members,
        ..Outcome::default()
    }
}
