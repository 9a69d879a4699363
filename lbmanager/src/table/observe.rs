//! What the kernel's table says of one virtual service. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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
    let servers = present.into_iter().flat_map(|present| &present.servers);
    let members: BTreeMap<MemberId, Condition> = servers
        .map(|(key, server)| {
            let member = translate::member(*key);
            let known = record.members.get(&member);
            let condition = condition(known, server.config.weight, silent.contains(&member));
            (member, condition)
        })
        .collect();
    for (member, known) in &mut record.members {
        if !members.contains_key(member) {
            known.quiesced_at = None;
        }
    }
    Observed {
        members,
        healthy_after: Duration::ZERO,
        unreadable: None,
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
