//! Keys of members that are complete only when a container runs.

use std::fmt;
use std::str::FromStr;

use presence::keys::{KeyError, Tree, TreeKey};
use presence::model::{Kind, MemberKey};

use super::forms::from_text;
use super::variables::{Template, Unset, Values, Variable};

/// The key of a member of a load balancer, with variables: relative to the prefix, or absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTemplate {
    /// The prefix of an absolute key.
    tree: Option<Tree>,
    /// The part below the prefix.
    member: Template,
    kind: Kind,
}

from_text!(
    KeyTemplate,
    "TYPE/REGION/NAME/CLASS/MEMBER, with variables; absolute keys begin with the prefix"
);

/// A key that cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// One of its variables is not known.
    #[error(transparent)]
    Unset(#[from] Unset),
    /// What comes of it is no key of a member.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What comes of it is the key of options.
    #[error("{0:?} is the key of options, not of a member")]
    NoMember(String),
}

impl KeyTemplate {
    /// What kind of load balancer it is of.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The part of the key below the prefix, as it is written.
    pub fn member(&self) -> &Template {
        &self.member
    }

    /// Whether the region is the host's own, whichever host it is.
    pub fn is_in_own_region(&self) -> bool {
        self.member.to_string().split('/').nth(1) == Some("$HOSTNAME")
    }

    /// Whether the key is relative, or below the prefix of this tree.
    pub fn is_within(&self, tree: &Tree) -> bool {
        self.tree.as_ref().is_none_or(|own| own == tree)
    }

    /// The member, with values in place of the variables.
    pub fn resolve(&self, values: &Values) -> Result<MemberKey, TargetError> {
        resolve(self.tree.as_ref(), &self.member, values)
    }
}

fn resolve(
    tree: Option<&Tree>,
    member: &Template,
    values: &Values,
) -> Result<MemberKey, TargetError> {
    let below = member.substitute(values)?;
    let key = tree.map_or_else(|| below.clone(), |tree| tree.complete(&below));
    let named = match tree {
        Some(tree) => tree.parse(&key)?,
        None => key.parse()?,
    };
    match named {
        TreeKey::Member(member) => Ok(member),
        TreeKey::Config | TreeKey::BalancerConfig(_) => Err(TargetError::NoMember(key)),
    }
}

impl FromStr for KeyTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else {
            return read(None, text);
        };
        if read(None, path).is_ok() {
            return Err(format!(
                "invalid key {text:?}: expected {path:?}, or the prefix before it"
            ));
        }
        // Each place where the part below the prefix may begin.
        let slashes = path.match_indices('/').map(|(at, _)| at + 1);
        let is_kind = |at: &usize| path[*at..].split('/').next().is_some_and(is_kind);
        let mut splits: Vec<usize> = slashes.clone().filter(is_kind).collect();
        if splits.is_empty() {
            splits.extend(slashes.take(1));
        }
        let read_at = |at: usize| {
            let (prefix, below) = text.split_at(at + 1);
            let tree = Tree::new(prefix).map_err(|error| error.to_string())?;
            read(Some(tree), below)
        };
        let mut read = splits.into_iter().map(read_at);
        let first = read.next().unwrap_or_else(|| Err(no_key(text)));
        match first {
            Err(error) => read.find_map(Result::ok).ok_or(error),
            right => right,
        }
    }
}

fn is_kind(segment: &str) -> bool {
    segment.parse::<Kind>().is_ok()
}

fn no_key(text: &str) -> String {
    format!("invalid key {text:?}: expected TYPE/REGION/NAME/CLASS/MEMBER")
}

fn read(tree: Option<Tree>, below: &str) -> Result<KeyTemplate, String> {
    let template: Template = below.parse()?;
    let values = sample();
    let member = resolve(tree.as_ref(), &template, &values).map_err(|error| {
        let example = match error {
            TargetError::Key(_) => with_example(&template, &values),
            TargetError::Unset(_) | TargetError::NoMember(_) => String::new(),
        };
        format!("{error}{example}")
    })?;
    Ok(KeyTemplate {
        tree,
        member: template,
        kind: member.balancer.kind(),
    })
}

fn with_example(template: &Template, values: &Values) -> String {
    let mut variables: Vec<Variable> = template.variables().collect();
    variables.sort_unstable();
    variables.dedup();
    let value = |variable: &Variable| {
        let alone: Result<Template, String> = variable.to_string().parse();
        let value = alone.ok().and_then(|alone| alone.substitute(values).ok());
        format!("{variable} {}", value.unwrap_or_default())
    };
    let values: Vec<String> = variables.iter().map(value).collect();
    if values.is_empty() {
        return String::new();
    }
    format!(" (with {} for example)", values.join(", "))
}

/// A key is tried with these before there is a container.
fn sample() -> Values {
    Values {
        instance_id: Some("i-0123456789abcdef0".to_owned()),
        host_ip: "192.0.2.1".parse().ok(),
        host_port: Some(32768),
        container_ip: "192.0.2.2".parse().ok(),
        port: Some(80),
        hostname: "host".parse().expect("it is a host ID"),
    }
}

impl fmt::Display for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tree) = &self.tree {
            write!(f, "{}", tree.prefix())?;
        }
        self.member.fmt(f)
    }
}
