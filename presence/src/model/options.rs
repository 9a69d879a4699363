//! Options as JSON objects in values: of members and of load balancers.
//!
//! What cannot be read is an error that names the field; what is not known is
//! reported beside what is. Neither ever changes who serves: that is for the
//! caller to keep, with the last good options.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Kind, Revision, excerpt};

mod virtual_service;

use crate::process::duration;
pub use virtual_service::{SchedulerFlag, VirtualServiceOptions};

/// Options that were read, and the names of fields that nobody knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parsed<T> {
    /// What was read.
    pub options: T,
    /// Fields that were ignored, in the order of their names, or the beginnings
    /// of long names.
    pub unknown: Vec<String>,
    /// The value means the default options, but looks as if something else was
    /// intended.
    pub warning: Option<String>,
}

impl<T: Default> Parsed<T> {
    /// What a value means that is not an object.
    fn defaults(value: &[u8]) -> Self {
        Self {
            warning: mistake(value),
            ..Self::default()
        }
    }
}

/// Why a value is no options object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Not JSON.
    #[error("the value is not a JSON object: {0}")]
    Json(String),
    /// JSON, but a field holds what it may not.
    #[error("{field} is {value}, but {allowed}")]
    Field {
        /// Its name.
        field: &'static str,
        /// Its value, as JSON, or the beginning of a long one.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

/// How packets get to a real server of IPVS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forward {
    /// Network address translation.
    Masq,
    /// Direct routing.
    Direct,
    /// A tunnel.
    Tunnel,
}

impl Forward {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Masq => "masq",
            Self::Direct => "direct",
            Self::Tunnel => "tunnel",
        }
    }
}

/// Options of one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberOptions {
    /// Its share of the traffic beside the others, where the kind has weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// IPVS: how packets get there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward: Option<Forward>,
    /// IPVS: no new connections above so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper_threshold: Option<u32>,
    /// IPVS: new connections again below so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower_threshold: Option<u32>,
    /// Written by publishers: able to serve.
    #[serde(skip_serializing_if = "is_true")]
    pub ready: bool,
    /// Written by operators: take it out, keep the key.
    #[serde(skip_serializing_if = "is_false")]
    pub drain: bool,
    /// Written by publishers: the mod_revision of the first write of this
    /// incarnation. See [`MemberOptions::rank`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Revision>,
    /// Written by publishers right before they delete the key, so that the
    /// delete is known to be explicit. Until then the member serves as before.
    #[serde(skip_serializing_if = "is_false")]
    pub leaving: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_true(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Default for MemberOptions {
    fn default() -> Self {
        Self {
            weight: None,
            forward: None,
            upper_threshold: None,
            lower_threshold: None,
            ready: true,
            drain: false,
            since: None,
            leaving: false,
        }
    }
}

impl MemberOptions {
    /// Reads a member's value. One that is empty or does not start with `{`
    /// means the defaults.
    pub fn parse(value: &[u8]) -> Result<Parsed<Self>, OptionsError> {
        let Some(mut fields) = Fields::parse(value)? else {
            return Ok(Parsed::defaults(value));
        };
        let options = Self {
            weight: fields.take("weight", "a whole number from 0 to 65535 is expected")?,
            forward: fields.take("forward", "one of masq, direct, tunnel is expected")?,
            upper_threshold: fields.take("upper_threshold", WHOLE)?,
            lower_threshold: fields.take("lower_threshold", WHOLE)?,
            ready: fields.take("ready", BOOLEAN)?.unwrap_or(true),
            drain: fields.take("drain", BOOLEAN)?.unwrap_or(false),
            since: fields.take("since", "a revision is expected")?,
            leaving: fields.take("leaving", BOOLEAN)?.unwrap_or(false),
        };
        if let Some(weight) = options.weight.filter(|weight| *weight > 65_535) {
            return Err(OptionsError::Field {
                field: "weight",
                value: weight.to_string(),
                allowed: "a whole number from 0 to 65535 is expected".to_owned(),
            });
        }
        Ok(Parsed {
            options,
            unknown: fields.rest(),
            warning: None,
        })
    }

    /// The rank of a `single` member whose key has this mod_revision: `since`
    /// where it is not from the future, so that a renewed lease or a change of
    /// health does not change who serves.
    pub fn rank(&self, mod_revision: Revision) -> Revision {
        self.since
            .filter(|since| *since <= mod_revision)
            .unwrap_or(mod_revision)
    }
}

/// What the tree does with members that it does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ownership {
    /// They are removed.
    Exclusive,
    /// Only members that this tree put there are its business.
    Own,
    /// Members are added, and never removed. The status shows which ones would
    /// be removed.
    #[serde(rename = "add-only")]
    AddOnly,
}

/// Options of a load balancer, or of all: what a `config` key says.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BalancerOptions {
    /// See [`Ownership`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ownership: Option<Ownership>,
    /// Strangers found at first contact may be removed however many they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopt: Option<bool>,
    /// How long a member that leaves may finish its connections.
    #[serde(skip_serializing_if = "Option::is_none", with = "duration::option")]
    pub drain: Option<Duration>,
    /// Nothing is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Share of members whose lease ended that may leave within a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_removals: Option<f64>,
    /// Share of ready members below which readiness is ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub panic_threshold: Option<f64>,
    /// Whether members that are not ready are quiesced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub honor_readiness: Option<bool>,
    /// What only virtual services of IPVS have.
    #[serde(flatten)]
    pub service: VirtualServiceOptions,
}

impl BalancerOptions {
    /// Reads the value of a `config` key.
    pub fn parse(value: &[u8]) -> Result<Parsed<Self>, OptionsError> {
        let Some(mut fields) = Fields::parse(value)? else {
            return Ok(Parsed::defaults(value));
        };
        let options = Self {
            ownership: fields.take("ownership", "exclusive, own or add-only is expected")?,
            adopt: fields.take("adopt", BOOLEAN)?,
            drain: fields
                .take("drain", DURATION)?
                .map(|text: DurationText| text.0),
            paused: fields.take("paused", BOOLEAN)?,
            max_removals: fields.share("max_removals")?,
            panic_threshold: fields.share("panic_threshold")?,
            honor_readiness: fields.take("honor_readiness", BOOLEAN)?,
            service: VirtualServiceOptions::take(&mut fields)?,
        };
        Ok(Parsed {
            options,
            unknown: fields.rest(),
            warning: None,
        })
    }

    /// These options, and where they are silent, those of `general`.
    #[must_use]
    pub fn over(&self, general: &Self) -> Self {
        Self {
            ownership: self.ownership.or(general.ownership),
            adopt: self.adopt.or(general.adopt),
            drain: self.drain.or(general.drain),
            paused: self.paused.or(general.paused),
            max_removals: self.max_removals.or(general.max_removals),
            panic_threshold: self.panic_threshold.or(general.panic_threshold),
            honor_readiness: self.honor_readiness.or(general.honor_readiness),
            service: self.service.over(&general.service),
        }
    }

    /// With the defaults of this kind of load balancer filled in.
    pub fn effective(&self, kind: Kind) -> EffectiveOptions {
        EffectiveOptions {
            ownership: self.ownership.unwrap_or(Ownership::Exclusive),
            adopt: self.adopt.unwrap_or(false),
            paused: self.paused.unwrap_or(false),
            max_removals: self.max_removals.unwrap_or(0.5),
            panic_threshold: self.panic_threshold.unwrap_or(0.5),
            honor_readiness: self
                .honor_readiness
                .unwrap_or_else(|| kind.honors_readiness_by_default()),
            drain: self.drain.unwrap_or(DRAIN),
            service: self.service.clone(),
        }
    }
}

/// Options with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectiveOptions {
    /// See [`BalancerOptions::ownership`].
    pub ownership: Ownership,
    /// See [`BalancerOptions::adopt`].
    pub adopt: bool,
    /// See [`BalancerOptions::paused`].
    pub paused: bool,
    /// See [`BalancerOptions::max_removals`].
    pub max_removals: f64,
    /// See [`BalancerOptions::panic_threshold`].
    pub panic_threshold: f64,
    /// See [`BalancerOptions::honor_readiness`].
    pub honor_readiness: bool,
    /// See [`BalancerOptions::drain`]. AWS has a setting of its own.
    pub drain: Duration,
    /// See [`BalancerOptions::service`].
    pub service: VirtualServiceOptions,
}

/// How long a real server that leaves may finish its connections, unless the
/// tree says otherwise.
const DRAIN: Duration = Duration::from_secs(30);

const WHOLE: &str = "a whole number is expected";
const BOOLEAN: &str = "true or false is expected";
const DURATION: &str = "a duration such as \"1m30s\", or seconds, is expected";

/// A duration as text, or a number of seconds.
#[derive(Deserialize)]
struct DurationText(#[serde(with = "duration")] Duration);

/// The fields of an object, taken out one by one; the rest is unknown.
struct Fields(Map<String, Value>);

impl Fields {
    fn parse(value: &[u8]) -> Result<Option<Self>, OptionsError> {
        if value.trim_ascii_start().first() != Some(&b'{') {
            return Ok(None);
        }
        serde_json::from_slice(value)
            .map(|map| Some(Self(map)))
            .map_err(|error| OptionsError::Json(error.to_string()))
    }

    fn take<T: DeserializeOwned>(
        &mut self,
        field: &'static str,
        allowed: &str,
    ) -> Result<Option<T>, OptionsError> {
        let Some(value) = self.0.remove(field) else {
            return Ok(None);
        };
        T::deserialize(&value)
            .map(Some)
            .map_err(|_| OptionsError::Field {
                field,
                value: excerpt(&value.to_string()),
                allowed: allowed.to_owned(),
            })
    }

    fn share(&mut self, field: &'static str) -> Result<Option<f64>, OptionsError> {
        let allowed = "a share from 0 to 1 is expected";
        match self.take::<f64>(field, allowed)? {
            Some(share) if !(0.0..=1.0).contains(&share) => Err(OptionsError::Field {
                field,
                value: share.to_string(),
                allowed: allowed.to_owned(),
            }),
            share => Ok(share),
        }
    }

    fn rest(self) -> Vec<String> {
        self.0.keys().map(|name| excerpt(name)).collect()
    }
}

/// Names of options, which begin no value that is meant to say nothing.
const NAMES: [&str; 18] = [
    "adopt",
    "drain",
    "forward",
    "honor_readiness",
    "leaving",
    "lower_threshold",
    "max_removals",
    "netmask",
    "ownership",
    "panic_threshold",
    "paused",
    "persistence",
    "ready",
    "scheduler",
    "scheduler_flags",
    "since",
    "upper_threshold",
    "weight",
];

/// Why a value that is not an object looks like a mistake.
fn mistake(value: &[u8]) -> Option<String> {
    const MARK: char = '\u{feff}';
    let text = String::from_utf8_lossy(value);
    let shown = text.trim();
    if shown.trim_start_matches(MARK).trim_start().starts_with('{') {
        return Some(
            "the value starts with a byte order mark, so that the default options apply: write it \
             without"
                .to_owned(),
        );
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let word = shown.split(|c| !is_name(c)).next().unwrap_or_default();
    let is_option = NAMES.iter().any(|name| word.eq_ignore_ascii_case(name));
    if !shown.starts_with(['[', '"']) && shown != "null" && !is_option {
        return None;
    }
    Some(format!(
        "the value {:?} is not a JSON object, so that the default options apply: expected an \
         empty value or an object such as {{\"drain\": true}}",
        excerpt(shown)
    ))
}

#[cfg(test)]
mod tests;
