//! Keys of the prior systems, put in the place of the keys that they are the same as. This is done
//! to the document, so that what is wrong with a value is shown where it was written.

use crate::document::{Content, Entry, Node, Position, Problem, nearest};

/// Where the value of an option goes.
#[derive(Clone, Copy)]
enum Key {
    /// The value of a key.
    Single(&'static str),
    /// One of a list.
    List(&'static str),
    /// NAME=VALUE in a list or a mapping.
    Pair(&'static str),
    /// True.
    Switch(&'static str),
    /// `network_mode` or `networks`, by the value.
    Network,
}

/// Options of `docker create`: the short name, the long one, and the key that is the same.
#[rustfmt::skip]
const OPTIONS: &[(&str, &str, Key)] = &[
    ("", "--add-host", Key::Pair("extra_hosts")),
    ("", "--cap-add", Key::List("cap_add")),
    ("", "--cap-drop", Key::List("cap_drop")),
    ("", "--cgroup-parent", Key::Single("cgroup_parent")),
    ("-c", "--cpu-shares", Key::Single("cpu_shares")),
    ("", "--cpus", Key::Single("cpus")),
    ("", "--cpuset-cpus", Key::Single("cpuset")),
    ("", "--device", Key::List("devices")),
    ("", "--dns", Key::List("dns")),
    ("", "--dns-option", Key::List("dns_opt")),
    ("", "--dns-search", Key::List("dns_search")),
    ("", "--entrypoint", Key::Single("entrypoint")),
    ("-e", "--env", Key::Pair("environment")),
    ("", "--env-file", Key::List("env_file")),
    ("", "--group-add", Key::List("group_add")),
    ("-h", "--hostname", Key::Single("hostname")),
    ("", "--init", Key::Switch("init")),
    ("-i", "--interactive", Key::Switch("stdin_open")),
    ("", "--ipc", Key::Single("ipc")),
    ("-l", "--label", Key::Pair("labels")),
    ("-m", "--memory", Key::Single("mem_limit")),
    ("", "--memory-reservation", Key::Single("mem_reservation")),
    ("", "--memory-swap", Key::Single("memswap_limit")),
    ("", "--net", Key::Network),
    ("", "--network", Key::Network),
    ("", "--oom-score-adj", Key::Single("oom_score_adj")),
    ("", "--pid", Key::Single("pid")),
    ("", "--pids-limit", Key::Single("pids_limit")),
    ("", "--platform", Key::Single("platform")),
    ("", "--privileged", Key::Switch("privileged")),
    ("-p", "--publish", Key::List("ports")),
    ("", "--pull", Key::Single("pull_policy")),
    ("", "--read-only", Key::Switch("read_only")),
    ("", "--runtime", Key::Single("runtime")),
    ("", "--security-opt", Key::List("security_opt")),
    ("", "--shm-size", Key::Single("shm_size")),
    ("", "--stop-signal", Key::Single("stop_signal")),
    ("", "--stop-timeout", Key::Single("stop_grace_period")),
    ("", "--sysctl", Key::Pair("sysctls")),
    ("", "--tmpfs", Key::List("tmpfs")),
    ("-t", "--tty", Key::Switch("tty")),
    ("-u", "--user", Key::Single("user")),
    ("", "--userns", Key::Single("userns_mode")),
    ("", "--uts", Key::Single("uts")),
    ("-v", "--volume", Key::List("volumes")),
    ("-w", "--workdir", Key::Single("working_dir")),
];

/// A word of `container_create_args`, and where it is.
type Word = (Position, String);

/// Puts `service_args` and `container_create_args` in the place of other keys, and gives what is
/// wrong with them.
pub(super) fn rewrite(document: &mut Node) -> Vec<Problem> {
    let Content::Mapping(entries) = &mut document.content else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    if let Some(mut args) = take(entries, "service_args") {
        if let Some(command) = entries.iter().find(|entry| entry.key == "command") {
            problems.push(Problem {
                at: args.at,
                message: format!(
                    "service_args is another name of command, which is at {}",
                    command.at
                ),
                hint: None,
            });
        } else {
            "command".clone_into(&mut args.key);
            entries.push(args);
        }
    }
    if let Some(args) = take(entries, "container_create_args") {
        match words(args.value) {
            Ok(words) => problems.extend(options(entries, words)),
            Err(wrong) => problems.push(wrong),
        }
    }
    problems
}

fn take(entries: &mut Vec<Entry>, key: &str) -> Option<Entry> {
    let place = entries.iter().position(|entry| entry.key == key)?;
    Some(entries.remove(place)).filter(|entry| !entry.value.is_null())
}

fn problem(at: Position, message: impl std::fmt::Display) -> Problem {
    Problem {
        at,
        message: format!("container_create_args: {message}"),
        hint: None,
    }
}

fn words(node: Node) -> Result<Vec<Word>, Problem> {
    let found = node.words();
    match node.content {
        Content::List(items) => items.into_iter().map(word).collect(),
        Content::Scalar { text, .. } => {
            let words = shlex::split(&text).ok_or_else(|| {
                problem(node.at, format!("{text:?} has an open quote or backslash"))
            })?;
            Ok(words.into_iter().map(|word| (node.at, word)).collect())
        }
        Content::Mapping(_) | Content::Removed => Err(problem(
            node.at,
            format!("a list of words, or a text, is expected, {found} is found"),
        )),
    }
}

fn word(node: Node) -> Result<Word, Problem> {
    let found = node.words();
    match node.content {
        Content::Scalar { text, .. } => Ok((node.at, text)),
        _ => Err(problem(
            node.at,
            format!("a word is expected, {found} is found"),
        )),
    }
}

fn options(entries: &mut Vec<Entry>, words: Vec<Word>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut words = words.into_iter();
    while let Some((at, word)) = words.next() {
        let result = match option(&word) {
            Some((Key::Switch(key), value)) => single(entries, key, at, value.unwrap_or("true")),
            Some((key, Some(value))) => add(entries, key, at, value),
            Some((key, None)) => match words.next() {
                Some((at, value)) => add(entries, key, at, &value),
                None => Err(problem(at, format!("{word} has no value"))),
            },
            None => Err(unknown(at, &word)),
        };
        problems.extend(result.err());
    }
    problems
}

/// The key, and the value where it is in the same word.
fn option(word: &str) -> Option<(Key, Option<&str>)> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let known = |name: &str| {
        let is_it = |(short, long, _): &&(&str, &str, Key)| name == *long || name == *short;
        OPTIONS.iter().find(is_it).map(|(_, _, key)| *key)
    };
    if let Some(key) = known(name).filter(|_| !name.is_empty()) {
        return Some((key, value));
    }
    let (short, value) = word.split_at_checked(2)?;
    known(short)
        .filter(|key| !matches!(key, Key::Switch(_)))
        .map(|key| (key, Some(value)))
}

fn unknown(at: Position, word: &str) -> Problem {
    const OURS: [(&str, &str); 5] = [
        ("--name", "launcher names its containers itself"),
        ("--restart", "systemd starts it again: Restart= in the unit"),
        ("--rm", "launcher removes its containers itself"),
        ("--log-driver", "launcher takes the output itself"),
        ("--health-cmd", "write health_check instead"),
    ];
    let name = word.split('=').next().unwrap_or(word);
    let hint = match OURS.iter().find(|(known, _)| *known == name) {
        Some((_, why)) => (*why).to_owned(),
        None => match nearest(name, OPTIONS.iter().map(|(_, long, _)| *long)) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "leave it out, or write the key that is the same".to_owned(),
        },
    };
    Problem {
        hint: Some(hint),
        ..problem(at, format!("{word:?} is no option that is known here"))
    }
}

fn scalar(at: Position, text: &str) -> Node {
    let text = text.to_owned();
    Node {
        at,
        content: Content::Scalar { text, plain: true },
    }
}

fn add(entries: &mut Vec<Entry>, key: Key, at: Position, value: &str) -> Result<(), Problem> {
    match key {
        Key::Single(key) | Key::Switch(key) => single(entries, key, at, value),
        Key::List(key) => list(entries, key, at, value),
        Key::Pair(key) => pair(entries, key, at, value),
        Key::Network if matches!(value, "bridge" | "host" | "none") || value.contains(':') => {
            single(entries, "network_mode", at, value)
        }
        Key::Network => list(entries, "networks", at, value),
    }
}

fn single(entries: &mut Vec<Entry>, key: &str, at: Position, value: &str) -> Result<(), Problem> {
    if let Some(before) = entries.iter().find(|entry| entry.key == key) {
        return Err(problem(
            at,
            format!("{key} is said at {} already", before.at),
        ));
    }
    entries.push(Entry {
        at,
        key: key.to_owned(),
        value: scalar(at, value),
    });
    Ok(())
}

fn list(entries: &mut Vec<Entry>, key: &str, at: Position, value: &str) -> Result<(), Problem> {
    let Some(entry) = entries.iter_mut().find(|entry| entry.key == key) else {
        entries.push(Entry {
            at,
            key: key.to_owned(),
            value: Node {
                at,
                content: Content::List(vec![scalar(at, value)]),
            },
        });
        return Ok(());
    };
    if let Content::Scalar { .. } = entry.value.content {
        let only = entry.value.clone();
        let items = if only.is_null() { vec![] } else { vec![only] };
        entry.value.content = Content::List(items);
    }
    match &mut entry.value.content {
        Content::List(items) => {
            items.push(scalar(at, value));
            Ok(())
        }
        _ => Err(problem(
            at,
            format!("{key} at {} is a mapping; say it there", entry.at),
        )),
    }
}

fn pair(entries: &mut Vec<Entry>, key: &str, at: Position, value: &str) -> Result<(), Problem> {
    let mapping = entries.iter_mut().find(|entry| entry.key == key);
    let Some(Content::Mapping(mapping)) = mapping.map(|entry| &mut entry.value.content) else {
        return list(entries, key, at, value);
    };
    let (name, value) = match value.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (value, None),
    };
    if let Some(before) = mapping.iter().find(|entry| entry.key == name) {
        return Err(problem(
            at,
            format!("{key}.{name} is said at {} already", before.at),
        ));
    }
    // In quotes: a text even if it is empty.
    let content = Content::Scalar {
        text: value.unwrap_or_default().to_owned(),
        plain: value.is_none(),
    };
    mapping.push(Entry {
        at,
        key: name.to_owned(),
        value: Node { at, content },
    });
    Ok(())
}
