//! What the tree wants of one load balancer. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use litemap::LiteMap;
use presence::model::{
    BalancerId, BalancerOptions, Class, EffectiveOptions, Forward, Kind, MemberId, MemberOptions,
    Ownership, Revision,
};
use serde_json::{Map, Value};

use crate::record::{Reason, Record, Role};
use crate::tree::{BalancerTree, Config, Listed};

/// What the tree wants of one load balancer.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The class in force. `None`: no member is listed.
    pub class: Option<Class>,
    /// The members of that class.
    pub members: LiteMap<MemberId, Wanted>,
    /// Members that are listed in the other class only, which changes nothing.
    pub elsewhere: BTreeMap<MemberId, Class>,
    /// The options in force.
    pub options: EffectiveOptions,
    /// The same as they were written, to be kept for when they cannot be read.
    pub written_options: BalancerOptions,
    /// Why nothing may be changed at all, if so.
    pub blocked: Option<String>,
    /// What is wrong with the keys.
    pub problems: Vec<String>,
}

/// One listed member.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The mod_revision of its key.
    pub mod_revision: Revision,
    /// Its rank among `single` members.
    pub rank: Revision,
    /// Its options, the last good ones where the present ones cannot be read.
    pub options: MemberOptions,
    /// Whether it may serve.
    pub place: Place,
}

/// Whether a listed member may serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It may.
    In,
    /// It may not.
    Out(Reason),
    /// Its options cannot be read and never could: it stays as it is.
    Wait,
}

impl Desired {
    /// Whether nobody is listed.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.elsewhere.is_empty()
    }
}

/// Reads the tree in the light of what was in force before.
pub fn desired(
    id: &BalancerId,
    tree: &BalancerTree,
    general: Option<&Config>,
    before: &Record,
) -> Desired {
    let mut problems = Vec::new();
    let Options {
        in_force,
        written: written_options,
        mut blocked,
    } = options(tree, general, before, &mut problems);
    let mut options = in_force.effective(id.kind());
    let class = class_in_force(tree, before);
    if options.ownership == Ownership::AddOnly && !can_be_add_only(id.kind(), class) {
        let why = "invalid ownership \"add-only\": expected exclusive or own for ipvs and for class \
                   single";
        if id.kind() == Kind::Ipvs && !sets_ownership(tree) {
            // It is meant for the AWS load balancers of the tree.
            options.ownership = Ownership::Exclusive;
            problems.push(format!(
                "config of the whole tree: {why}; exclusive is in force here"
            ));
        } else {
            blocked.get_or_insert_with(|| format!("config: {why}; nothing is changed until then"));
        }
    }
    let mut members: LiteMap<MemberId, Wanted> = tree
        .members
        .iter()
        .filter(|((listed_in, _), _)| Some(*listed_in) == class)
        .map(|((_, member), listed)| {
            let wanted = wanted(id, member, listed, before, &mut problems);
            (member.clone(), wanted)
        })
        .collect();
    let elsewhere: BTreeMap<MemberId, Class> = tree
        .members
        .keys()
        .filter(|(listed_in, member)| Some(*listed_in) != class && !members.contains_key(member))
        .map(|(listed_in, member)| (member.clone(), *listed_in))
        .collect();
    if let (Some(class), Some((member, other))) = (class, elsewhere.first_key_value()) {
        problems.push(format!(
            "{count} member(s) such as {member} are listed in class {other}, but class {class} is \
             in force while it has keys; change over with: lbmanager set --switch-class",
            count = elsewhere.len(),
        ));
    }
    problems.extend(one_port_per_host(id, tree, class, &mut members));
    if options.honor_readiness {
        quiesce(&mut members, options.panic_threshold, &mut problems);
    }
    if options.paused && blocked.is_none() {
        blocked = Some("paused; go on with: lbmanager resume".to_owned());
    }
    Desired {
        class,
        members,
        elsewhere,
        options,
        written_options,
        blocked,
        problems,
    }
}

/// A balancer that only grows can be one of the kinds whose members the
/// balancer itself checks, if all of them serve.
fn can_be_add_only(kind: Kind, class: Option<Class>) -> bool {
    kind != Kind::Ipvs && class != Some(Class::Single)
}

fn sets_ownership(tree: &BalancerTree) -> bool {
    let config = tree.config.as_ref();
    let options = config.and_then(|config| config.options.as_ref().ok());
    options.is_some_and(|parsed| parsed.options.ownership.is_some())
}

/// The class that is in force stays so while it has keys; else the one that
/// was there first.
pub(crate) fn class_in_force(tree: &BalancerTree, before: &Record) -> Option<Class> {
    let first = |class: Class| {
        let members = tree.members.iter().filter(|((in_, _), _)| *in_ == class);
        members.map(|(_, listed)| listed.create_revision).min()
    };
    if let Some(class) = before.class.filter(|class| first(*class).is_some()) {
        return Some(class);
    }
    [Class::Single, Class::Multiple]
        .into_iter()
        .filter_map(|class| Some((first(class)?, class)))
        .min()
        .map(|(_, class)| class)
}

/// What the `config` keys say, as far as they can be read.
struct Configs {
    own: BalancerOptions,
    general: BalancerOptions,
    /// Why not all of it counts.
    error: Option<String>,
}

fn read(tree: &BalancerTree, general: Option<&Config>, problems: &mut Vec<String>) -> Configs {
    let mut unreadable = None;
    let mut read = |config: Option<&Config>, whose: &str| match config.map(|c| &c.options) {
        None => BalancerOptions::default(),
        Some(Ok(parsed)) => {
            for field in &parsed.unknown {
                problems.push(format!("{whose}: the field {field:?} is not known"));
            }
            let warning = parsed.warning.iter();
            problems.extend(warning.map(|warning| format!("{whose}: {warning}")));
            parsed.options.clone()
        }
        Some(Err(error)) => {
            unreadable = Some(format!("{whose}: {error}"));
            BalancerOptions::default()
        }
    };
    let general = read(general, "config of the whole tree");
    let own = read(tree.config.as_deref(), "config");
    Configs {
        own,
        general,
        error: unreadable,
    }
}

/// The options in force, and how they were written.
struct Options {
    in_force: BalancerOptions,
    written: BalancerOptions,
    blocked: Option<String>,
}

fn options(
    tree: &BalancerTree,
    general: Option<&Config>,
    before: &Record,
    problems: &mut Vec<String>,
) -> Options {
    let configs = read(tree, general, problems);
    let Some(error) = &configs.error else {
        let written = configs.own.over(&configs.general);
        return Options {
            in_force: written.clone(),
            written,
            blocked: None,
        };
    };
    let Some(last) = before.options.as_ref().map(last_good_options) else {
        return Options {
            in_force: BalancerOptions::default(),
            written: BalancerOptions::default(),
            blocked: Some(format!("{error}; nothing is changed until it can be read")),
        };
    };
    problems.push(format!("{error}; the last good options stay in force"));
    Options {
        in_force: configs.over_last(&last),
        written: last,
        blocked: None,
    }
}

impl Configs {
    /// A typo in one of the two keys does not take the force out of the other,
    /// least of all when it says to stop.
    fn over_last(&self, last: &BalancerOptions) -> BalancerOptions {
        let paused = self
            .own
            .paused
            .or(self.general.paused.filter(|paused| *paused));
        BalancerOptions {
            paused: paused.or(last.paused),
            ..self.own.over(last)
        }
    }
}

fn last_good_options(written: &Map<String, Value>) -> BalancerOptions {
    let value = Value::Object(written.clone()).to_string();
    BalancerOptions::parse(value.as_bytes())
        .map(|parsed| parsed.options)
        .unwrap_or_default()
}

fn wanted(
    id: &BalancerId,
    member: &MemberId,
    listed: &Listed,
    before: &Record,
    problems: &mut Vec<String>,
) -> Wanted {
    for field in listed.unknown_fields() {
        problems.push(format!("{member}: the field {field:?} is not known"));
    }
    let warning = listed.warning();
    problems.extend(warning.map(|warning| format!("{member}: {warning}")));
    let fitting = |options: MemberOptions| options.fit(id, member).map(|()| options);
    let (options, readable) = match listed.options().and_then(fitting) {
        Ok(options) => (options, true),
        Err(error) => {
            let last = last_good(member, before);
            let then = if last.is_some() {
                "its last good options stay in force"
            } else {
                "it waits until they can be read"
            };
            problems.push(format!("{member}: {error}; {then}"));
            (last.clone().unwrap_or_default(), last.is_some())
        }
    };
    let place = match (readable, options.drain) {
        (false, _) => Place::Wait,
        (true, true) => Place::Out(Reason::Drain),
        (true, false) => Place::In,
    };
    Wanted {
        mod_revision: listed.mod_revision,
        rank: options.rank(listed.mod_revision),
        options,
        place,
    }
}

/// The options of its key when it could be read, and the rank it had then: a
/// typo must not make it the one that serves.
fn last_good(member: &MemberId, before: &Record) -> Option<MemberOptions> {
    let known = before.members.get(member)?;
    let mod_revision = known.mod_revision?;
    if known.wanted == Role::Wait {
        return None;
    }
    let options = match &known.options {
        None => MemberOptions::default(),
        Some(written) => {
            let value = Value::Object(Map::clone(written)).to_string();
            MemberOptions::parse(value.as_bytes()).ok()?.options
        }
    };
    Some(MemberOptions {
        since: Some(options.rank(mod_revision)),
        ..options
    })
}

/// A service by firewall mark has no port. With `direct` and `tunnel` packets
/// keep the port that the client named, so that a host listed at two ports would
/// get twice its share: only its oldest key counts, the others wait.
fn one_port_per_host(
    id: &BalancerId,
    tree: &BalancerTree,
    class: Option<Class>,
    members: &mut LiteMap<MemberId, Wanted>,
) -> Vec<String> {
    let is_mark = id.kind() == Kind::Ipvs && id.name().starts_with("fwmark");
    let Some(class) = class.filter(|_| is_mark) else {
        return Vec::new();
    };
    let created = |member: &MemberId| {
        let listed = tree.members.get(&(class, member.clone()));
        listed.map(|listed| listed.create_revision)
    };
    let keeps_port = |wanted: &Wanted| {
        let forward = wanted.options.forward;
        wanted.place == Place::In && matches!(forward, Some(Forward::Direct | Forward::Tunnel))
    };
    let mut direct: Vec<_> = members
        .iter()
        .filter(|(_, wanted)| keeps_port(wanted))
        .filter_map(|(member, _)| {
            let address: SocketAddr = member.as_str().parse().ok()?;
            Some((address.ip(), created(member), member.clone()))
        })
        .collect();
    direct.sort();
    let mut problems = Vec::new();
    for pair in direct.windows(2) {
        let [(host, ..), (other, _, member)] = pair else {
            continue;
        };
        if host == other
            && let Some(wanted) = members.get_mut(member)
        {
            wanted.place = Place::Wait;
            problems.push(format!(
                "{member}: {host} is listed with another port already, and with direct and tunnel \
                 a port makes no difference to a service by firewall mark: delete one of the keys"
            ));
        }
    }
    problems
}

/// Takes out who is not ready, unless so few are ready that the fault must be
/// in something they share: then all serve.
fn quiesce(
    members: &mut LiteMap<MemberId, Wanted>,
    panic_threshold: f64,
    problems: &mut Vec<String>,
) {
    let able = members.values().filter(|member| member.place == Place::In);
    let (all, ready) = able.fold((0_u32, 0_u32), |(all, ready), member| {
        (all + 1, ready + u32::from(member.options.ready))
    });
    if ready == all {
        return;
    }
    if f64::from(ready) < panic_threshold * f64::from(all) {
        problems.push(format!(
            "only {ready} of {all} members are ready, below the panic threshold: all serve"
        ));
        return;
    }
    for (_, member) in members.iter_mut() {
        if member.place == Place::In && !member.options.ready {
            member.place = Place::Out(Reason::NotReady);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use std::sync::Arc;

    use presence::keys;
    use presence::mirror::View;
    use presence::store::Entry;

    use super::*;
    use crate::tree::Tree;

    fn wanted_of(service: &str, keys: &[(&str, &str)]) -> Desired {
        let id: BalancerId = format!("ipvs/edge/{service}").parse().unwrap();
        let mut tree = Tree::new(Arc::new(keys::Tree::new("/lbManager").unwrap()));
        for (revision, (member, value)) in (2..).zip(keys) {
            let entry = Entry {
                value: value.as_bytes().into(),
                create_revision: Revision(revision),
                mod_revision: Revision(revision),
                lease: None,
            };
            tree.list(&format!("/lbManager/{id}/multiple/{member}"), &entry);
        }
        desired(&id, tree.balancer(&id).unwrap(), None, &Record::default())
    }

    fn places(desired: &Desired) -> Vec<(&str, Place)> {
        let members = desired.members.iter();
        members
            .map(|(member, wanted)| (member.as_str(), wanted.place))
            .collect()
    }

    #[test]
    fn behind_a_firewall_mark_a_host_counts_once_with_direct_and_tunnel() {
        let direct = r#"{"forward": "direct"}"#;
        let keys = [
            ("10.0.1.7:81", direct),
            ("10.0.1.7:80", direct),
            ("10.0.1.8:80", direct),
        ];
        let desired = wanted_of("fwmark:1", &keys);
        assert_eq!(
            places(&desired),
            [
                ("10.0.1.7:80", Place::Wait),
                ("10.0.1.7:81", Place::In),
                ("10.0.1.8:80", Place::In),
            ]
        );
        assert_eq!(desired.problems.len(), 1);
        assert!(desired.problems[0].starts_with("10.0.1.7:80: 10.0.1.7 is listed with another"));
        let masq = keys.map(|(member, _)| (member, ""));
        let desired = wanted_of("fwmark:1", &masq);
        assert!(
            places(&desired)
                .iter()
                .all(|(_, place)| *place == Place::In)
        );
    }

    #[test]
    fn a_value_that_looks_like_a_mistake_is_a_problem_and_changes_nothing() {
        let desired = wanted_of("10.0.0.1:80", &[("10.0.1.7:80", "drain=true")]);
        assert_eq!(places(&desired), [("10.0.1.7:80", Place::In)]);
        assert!(desired.problems[0].starts_with("10.0.1.7:80: the value \"drain=true\""));
    }
}
