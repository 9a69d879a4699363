//! What the kernel's table says of one virtual service. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use litemap::LiteMap;
use presence::model::MemberId;

use super::image::Present;
use super::translate;
use crate::observed::{Condition, Observed};
use crate::record::{MemberRecord, Record};

/// How the real servers are. A real server is in service as soon as it is
/// there; one that this manager quiesced is on its way out.
pub fn observe(
    record: &mut Record,
    present: Option<&Present>,
    silent: &BTreeSet<MemberId>,
) -> Observed {
    revive(record, present);
    let servers = present.into_iter().flat_map(|present| &present.servers);
    let members: LiteMap<MemberId, Condition> = servers
        .map(|(key, server)| {
            let member = translate::member(*key);
            let known = record.members.get(&member);
            let condition = condition(known, server.config.weight, silent.contains(&member));
            (member, condition)
        })
        .collect();
    Observed {
        members,
        healthy_after: Duration::ZERO,
        unreadable: None,
    }
}

/// Whoever is gone, or gets new connections again, is not on his way out,
/// whoever saw to that.
fn revive(record: &mut Record, present: Option<&Present>) {
    for (member, known) in &mut record.members {
        let server = present.zip(translate::server_key(member));
        let server = server.and_then(|(present, key)| present.servers.get(&key));
        if server.is_none_or(|server| server.config.weight > 0) {
            known.quiesced_at = None;
        }
    }
}

fn condition(known: Option<&MemberRecord>, weight: u32, is_silent: bool) -> Condition {
    let quiesced = known.is_some_and(|known| known.quiesced_at.is_some());
    match weight {
        0 if quiesced => Condition::Draining,
        0 => Condition::OutOfService("its weight is 0".to_owned()),
        _ if is_silent => Condition::OutOfService("it does not answer a TCP connect".to_owned()),
        _ => Condition::InService,
    }
}
