//! From the keys as they stand, and what the managers say, to how far that is. Pure.

use std::collections::BTreeMap;

use presence::keys::{Tree, TreeKey};
use presence::model::{MemberKey, Revision};
use presence::publisher::{Report, Standing as Key};

use super::answer::{self, Out};
use super::inquiry::Hearing;

/// How the keys stand.
pub(super) struct Ledger<'a> {
    /// What each publisher tells.
    pub reports: Vec<&'a Report>,
    /// Whether what they tell is of what is wanted now.
    pub is_current: bool,
    /// The key of the instance's state, which is nobody's to serve.
    pub state_key: &'a str,
    /// The tree of the members.
    pub tree: &'a Tree,
}

/// How far that is which was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reached {
    pub served: bool,
    pub withdrawn: bool,
    /// Why a manager leaves a member where it is.
    pub kept: Option<String>,
    pub drained: bool,
    /// What is in the way; or where nothing is, what is to be known.
    pub words: String,
}

impl<'a> Ledger<'a> {
    fn member(&self, key: &str) -> Option<MemberKey> {
        match self.tree.parse(key) {
            Ok(TreeKey::Member(member)) => Some(member),
            _ => None,
        }
    }

    fn keys(&self) -> impl Iterator<Item = (&'a String, &'a Key)> {
        let keys = self.reports.iter().flat_map(|report| &report.keys);
        keys.filter(|(key, _)| *key != self.state_key)
    }

    /// How many are ours in the store, or may be.
    pub fn present(&self) -> usize {
        let is_ours = |key: &Key| !matches!(key, Key::StandingBy { .. } | Key::Withdrawn { .. });
        let known = self.keys().filter(|(_, key)| is_ours(key)).count();
        let more = self.reports.iter().filter(|report| report.may_be_more);
        let unknown = more.count() + usize::from(!self.is_current);
        known + unknown
    }

    /// What is wrong with the store.
    pub fn trouble(&self) -> Option<&'a str> {
        let mut troubles = self
            .reports
            .iter()
            .filter_map(|report| report.trouble.as_deref());
        troubles.next()
    }

    /// Members whose keys are ours, and when those were written.
    pub fn published(&self) -> BTreeMap<MemberKey, Revision> {
        let published = self.keys().filter_map(|(key, standing)| match standing {
            Key::Published { at, .. } => Some((self.member(key)?, *at)),
            _ => None,
        });
        published.collect()
    }

    /// Members whose keys were ours, and when they ceased to be.
    pub fn gone(&self) -> BTreeMap<MemberKey, Revision> {
        let gone = self.reports.iter().flat_map(|report| &report.gone);
        let gone = gone.filter_map(|(key, at)| Some((self.member(key)?, *at)));
        gone.collect()
    }

    /// Somebody other than a load balancer knew of it. Who has a connection from there nobody
    /// tells.
    fn was_listed(&self) -> bool {
        let mut gone = self.reports.iter().flat_map(|report| report.gone.keys());
        gone.any(|key| key != self.state_key && self.member(key).is_none())
    }

    /// Somebody else has a key that it had. Who has a connection from before nobody tells.
    fn was_passed_on(&self) -> bool {
        let mut passed_on = self.reports.iter().flat_map(|report| &report.passed_on);
        passed_on.any(|key| key != self.state_key)
    }

    /// What keeps a key from being in the store as it should be.
    fn unpublished(&self) -> Option<String> {
        if !self.is_current {
            let trouble = self.trouble().map(str::to_owned);
            return Some(trouble.unwrap_or_else(|| "the keys are being written".to_owned()));
        }
        self.keys().find_map(|(key, standing)| match standing {
            // Another has it, or is to have none: both is as somebody wants it.
            Key::StandingBy { .. }
            | Key::Withdrawn { .. }
            | Key::Published { trouble: None, .. }
            | Key::Leaving { .. }
            | Key::Left => None,
            Key::Published { trouble, .. } | Key::Pending { trouble } => {
                let trouble = trouble.as_deref().or(self.trouble());
                Some(format!(
                    "{key}: {}",
                    trouble.unwrap_or("it is being written")
                ))
            }
        })
    }
}

/// Whether all that is wanted is there, and served. `None`: nothing is heard of the managers.
pub(super) fn served(ledger: &Ledger<'_>, hearing: Option<&Hearing>) -> Reached {
    let not_yet = |words| Reached {
        words,
        ..Reached::default()
    };
    if let Some(why) = ledger.unpublished() {
        return not_yet(why);
    }
    let members = ledger.published();
    let Some(hearing) = hearing.filter(|_| !members.is_empty()) else {
        let words = "the managers are asked";
        return Reached {
            served: members.is_empty(),
            words: if members.is_empty() { "" } else { words }.to_owned(),
            ..Reached::default()
        };
    };
    let unserved = members.iter().find_map(|(member, at)| {
        let concerned = hearing.managers.concerned(&member.balancer);
        answer::unserved(member, *at, &concerned, &hearing.answers)
    });
    if let Some(why) = unserved {
        return not_yet(why);
    }
    Reached {
        served: true,
        words: unmanaged(members.keys(), hearing).unwrap_or_default(),
        ..Reached::default()
    }
}

/// How far out all is that was published.
pub(super) fn out(ledger: &Ledger<'_>, hearing: Option<&Hearing>) -> Reached {
    if ledger.present() > 0 {
        return Reached {
            words: ledger.trouble().unwrap_or_default().to_owned(),
            ..Reached::default()
        };
    }
    let members = ledger.gone();
    let is_told = !ledger.was_listed() && !ledger.was_passed_on();
    let Some(hearing) = hearing.filter(|_| !members.is_empty()) else {
        return Reached {
            withdrawn: members.is_empty(),
            drained: members.is_empty() && is_told,
            ..Reached::default()
        };
    };
    let said = members.iter().map(|(member, gone)| {
        let concerned = hearing.managers.concerned(&member.balancer);
        answer::out(member, *gone, &concerned, &hearing.answers)
    });
    let slowest = said.min_by_key(|(out, _)| *out);
    let (out, words) = slowest.unwrap_or((Out::Over, String::new()));
    let unmanaged = unmanaged(members.keys(), hearing);
    Reached {
        served: false,
        withdrawn: out >= Out::Kept,
        kept: (out == Out::Kept).then(|| words.clone()),
        // Where nobody takes it out, nobody says that the last connection is over.
        drained: out == Out::Over && unmanaged.is_none() && is_told,
        words: unmanaged.filter(|_| out == Out::Over).unwrap_or(words),
    }
}

/// Load balancers of which no manager that is alive takes care.
fn unmanaged<'m>(
    members: impl Iterator<Item = &'m MemberKey>,
    hearing: &Hearing,
) -> Option<String> {
    let mut balancers: Vec<String> = members
        .map(|member| &member.balancer)
        .filter(|balancer| hearing.managers.concerned(balancer).is_empty())
        .map(|id| format!("{} {}/{}", id.kind(), id.region(), id.name()))
        .collect();
    balancers.dedup();
    let all = balancers.join(", ");
    (!balancers.is_empty()).then(|| format!("no manager is alive that keeps {all}"))
}
