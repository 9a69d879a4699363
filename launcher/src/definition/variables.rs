//! What is known only when a container runs: `$CONTAINER_IP` and the like in what is published.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use presence::model::HostId;

use crate::document::nearest;

use super::forms::from_text;

/// Something that is known only on the host, or only when the container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variable {
    /// The EC2 instance ID of the host, by the instance metadata.
    InstanceId,
    /// The address by which others reach the host.
    HostIp,
    /// The port of the host that leads to `port` of the container.
    HostPort,
    /// The container's address in its first network.
    ContainerIp,
    /// `port` of the definition.
    Port,
    /// The host ID.
    Hostname,
}

impl Variable {
    /// All of them, in the order of their documentation.
    pub const ALL: [Self; 6] = [
        Self::InstanceId,
        Self::HostIp,
        Self::HostPort,
        Self::ContainerIp,
        Self::Port,
        Self::Hostname,
    ];

    /// Its name, without the dollar.
    pub fn name(self) -> &'static str {
        match self {
            Self::InstanceId => "INSTANCE_ID",
            Self::HostIp => "HOST_IP",
            Self::HostPort => "HOST_PORT",
            Self::ContainerIp => "CONTAINER_IP",
            Self::Port => "PORT",
            Self::Hostname => "HOSTNAME",
        }
    }
}

/// `$NAME`.
impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.name())
    }
}

/// What the variables stand for. One that is `None` is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// Of [`Variable::InstanceId`].
    pub instance_id: Option<String>,
    /// Of [`Variable::HostIp`].
    pub host_ip: Option<IpAddr>,
    /// Of [`Variable::HostPort`].
    pub host_port: Option<u16>,
    /// Of [`Variable::ContainerIp`].
    pub container_ip: Option<IpAddr>,
    /// Of [`Variable::Port`].
    pub port: Option<u16>,
    /// Of [`Variable::Hostname`].
    pub hostname: HostId,
}

impl Values {
    /// An address of IPv6 is in brackets before a port.
    fn get(&self, variable: Variable, before_port: bool) -> Option<String> {
        let address = |address: IpAddr| match address {
            IpAddr::V6(address) if before_port => format!("[{address}]"),
            address => address.to_string(),
        };
        match variable {
            Variable::InstanceId => self.instance_id.clone(),
            Variable::HostIp => self.host_ip.map(address),
            Variable::HostPort => self.host_port.map(|port| port.to_string()),
            Variable::ContainerIp => self.container_ip.map(address),
            Variable::Port => self.port.map(|port| port.to_string()),
            Variable::Hostname => Some(self.hostname.to_string()),
        }
    }
}

/// A variable that is used and not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not known here")]
pub struct Unset(pub Variable);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(Variable),
}

/// A text with variables: `$NAME`, `${NAME}`, and `$$` for a dollar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

from_text!(
    Template,
    "A text with $INSTANCE_ID, $HOST_IP, $HOST_PORT, $CONTAINER_IP, $PORT, $HOSTNAME"
);

impl Template {
    /// Which variables are in it.
    pub fn variables(&self) -> impl Iterator<Item = Variable> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Variable(variable) => Some(*variable),
            Piece::Text(_) => None,
        })
    }

    /// Whether this one is.
    pub fn has(&self, variable: Variable) -> bool {
        self.variables().any(|other| other == variable)
    }

    /// With values in place of the variables.
    pub fn substitute(&self, values: &Values) -> Result<String, Unset> {
        let mut text = String::new();
        for (place, piece) in self.0.iter().enumerate() {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Variable(variable) => {
                    let next = self.0.get(place + 1);
                    let before_port =
                        matches!(next, Some(Piece::Text(next)) if next.starts_with(':'));
                    let value = values.get(*variable, before_port);
                    text.push_str(&value.ok_or(Unset(*variable))?);
                }
            }
        }
        Ok(text)
    }

    fn push(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(Piece::Text(last)) = self.0.last_mut() {
            last.push_str(text);
        } else {
            self.0.push(Piece::Text(text.to_owned()));
        }
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut template = Self(Vec::new());
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            template.push(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                template.push("$");
                rest = after;
                continue;
            }
            let (name, after) = name(rest).ok_or_else(|| {
                format!(
                    "{text:?} has a $ without a name: write $NAME, ${{NAME}}, or $$ for a dollar"
                )
            })?;
            template.0.push(Piece::Variable(variable(name)?));
            rest = after;
        }
        template.push(rest);
        Ok(template)
    }
}

/// The name after a dollar, and what follows it.
fn name(rest: &str) -> Option<(&str, &str)> {
    let (name, after) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_once('}')?,
        None => rest.split_at(rest.find(|c| !is_of_name(c)).unwrap_or(rest.len())),
    };
    (!name.is_empty()).then_some((name, after))
}

fn variable(name: &str) -> Result<Variable, String> {
    let known = Variable::ALL.into_iter();
    known
        .clone()
        .find(|known| known.name() == name)
        .ok_or_else(|| {
            let upper = name.to_ascii_uppercase();
            // The nearest is looked for in lower case.
            let names: Vec<String> = known
                .clone()
                .map(|v| v.name().to_ascii_lowercase())
                .collect();
            let meant = nearest(&upper, names.iter().map(String::as_str));
            let meant =
                meant.map(|meant| format!(", did you mean ${}?", meant.to_ascii_uppercase()));
            let known: Vec<String> = known.map(|known| known.to_string()).collect();
            format!(
                "${name} is no variable{}; known are {}",
                meant.unwrap_or_default(),
                known.join(" ")
            )
        })
}

/// As it is written, in the one spelling that its other ones are the same as.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, piece) in self.0.iter().enumerate() {
            match piece {
                Piece::Text(text) => f.write_str(&text.replace('$', "$$"))?,
                Piece::Variable(variable) => match self.0.get(place + 1) {
                    Some(Piece::Text(next)) if next.starts_with(is_of_name) => {
                        write!(f, "${{{}}}", variable.name())?;
                    }
                    _ => write!(f, "{variable}")?,
                },
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> Values {
        Values {
            instance_id: Some("i-0123abcd".to_owned()),
            host_ip: "10.0.0.1".parse().ok(),
            host_port: Some(32768),
            container_ip: "2001:db8::7".parse().ok(),
            port: None,
            hostname: "host-1".parse().unwrap(),
        }
    }

    #[test]
    fn variables_give_way_to_values() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$HOSTNAME/${HOSTNAME}x", "host-1/host-1x"),
            ("$HOST_IP:$HOST_PORT", "10.0.0.1:32768"),
            (
                "$CONTAINER_IP:80 $CONTAINER_IP",
                "[2001:db8::7]:80 2001:db8::7",
            ),
            ("$$HOSTNAME $INSTANCE_ID$$", "$HOSTNAME i-0123abcd$"),
        ] {
            let template: Template = text.parse().unwrap();
            assert_eq!(
                template.substitute(&values()).as_deref(),
                Ok(expected),
                "{text}"
            );
        }
        let template: Template = "x$PORT".parse().unwrap();
        assert_eq!(template.substitute(&values()), Err(Unset(Variable::Port)));
    }

    #[test]
    fn what_is_no_variable_is_refused_with_what_is() {
        let known = "known are $INSTANCE_ID $HOST_IP $HOST_PORT $CONTAINER_IP $PORT $HOSTNAME";
        for (text, message) in [
            (
                "$HOST",
                format!("$HOST is no variable, did you mean $HOST_IP?; {known}"),
            ),
            (
                "${container_ip}",
                format!("$container_ip is no variable, did you mean $CONTAINER_IP?; {known}"),
            ),
            ("$ZEBRA", format!("$ZEBRA is no variable; {known}")),
            (
                "a$",
                "\"a$\" has a $ without a name: write $NAME, ${NAME}, or $$ for a dollar"
                    .to_owned(),
            ),
            (
                "${PORT",
                "\"${PORT\" has a $ without a name: write $NAME, ${NAME}, or $$ for a dollar"
                    .to_owned(),
            ),
        ] {
            assert_eq!(text.parse::<Template>(), Err(message), "{text}");
        }
    }

    fn pieces() -> impl Strategy<Value = Template> {
        let text = "[a-zA-Z0-9_:/{} $]{1,5}".prop_map(|text| (text, None));
        let variable = proptest::sample::select(Variable::ALL.to_vec());
        let variable = variable.prop_map(|variable| (String::new(), Some(variable)));
        proptest::collection::vec(prop_oneof![text, variable], 0..8).prop_map(|pieces| {
            let mut template = Template(Vec::new());
            for (text, variable) in pieces {
                match variable {
                    Some(variable) => template.0.push(Piece::Variable(variable)),
                    None => template.push(&text),
                }
            }
            template
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(template in pieces()) {
            prop_assert_eq!(template.to_string().parse::<Template>(), Ok(template));
        }

        #[test]
        fn each_piece_is_replaced_by_itself(template in pieces()) {
            let values = Values { port: Some(80), ..values() };
            let mut expected = String::new();
            for piece in &template.0 {
                expected += &match piece {
                    Piece::Text(text) => text.clone(),
                    Piece::Variable(variable) => values.get(*variable, false).unwrap(),
                };
            }
            let substituted = template.substitute(&values).unwrap();
            let without_brackets = substituted.replace("[2001:db8::7]", "2001:db8::7");
            prop_assert_eq!(without_brackets, expected);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = text.parse::<Template>();
        }
    }
}
