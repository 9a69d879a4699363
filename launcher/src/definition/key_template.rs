//! Keys of members that are complete only when a container runs.

use std::fmt;
use std::str::FromStr;

use presence::keys::{DEFAULT_PREFIX, KeyError, Tree, TreeKey};
use presence::model::{Kind, MemberKey};

use super::forms::from_text;
use super::variables::{Template, Unset, Values, Variable};

/// The key of a member of a load balancer, with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTemplate {
    template: Template,
    kind: Kind,
}

from_text!(
    KeyTemplate,
    "/lbManager/TYPE/REGION/NAME/CLASS/MEMBER, with variables"
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

    /// The key as it is written.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// Whether the region is the host's own, whichever host it is.
    pub fn is_in_own_region(&self) -> bool {
        let text = self.template.to_string();
        let region = text
            .strip_prefix(DEFAULT_PREFIX)
            .and_then(|below| below.split('/').nth(2));
        region == Some("$HOSTNAME")
    }

    /// The member, with values in place of the variables.
    pub fn resolve(&self, values: &Values) -> Result<MemberKey, TargetError> {
        resolve(&self.template, values)
    }
}

fn resolve(template: &Template, values: &Values) -> Result<MemberKey, TargetError> {
    let key = template.substitute(values)?;
    match tree().parse(&key)? {
        TreeKey::Member(member) => Ok(member),
        TreeKey::Config | TreeKey::BalancerConfig(_) => Err(TargetError::NoMember(key)),
    }
}

fn tree() -> Tree {
    Tree::new(DEFAULT_PREFIX).expect("the default prefix is one")
}

impl FromStr for KeyTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let template: Template = text.parse()?;
        let values = sample();
        let member = resolve(&template, &values).map_err(|error| {
            let example = match error {
                TargetError::Key(_) => with_example(&template, &values),
                TargetError::Unset(_) | TargetError::NoMember(_) => String::new(),
            };
            format!("{error}{example}")
        })?;
        Ok(Self {
            template,
            kind: member.balancer.kind(),
        })
    }
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
        self.template.fmt(f)
    }
}
