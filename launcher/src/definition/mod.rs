//! What a service is: its definition, from wherever it comes.
//!
//! A document is loaded as nodes that know their place (`crate::document`), keys of the prior
//! systems are put in the place of ours (`rewrite`), the rest is read by serde into [`Definition`],
//! what can be said in more than one way is settled (`parse`), and what only the whole can tell is
//! checked (`check`). The JSON Schema is made of the same types.

mod canonical;
mod check;
mod check_health;
mod check_publish;
mod forms;
mod health;
mod image;
mod key_template;
mod keys;
mod legacy;
mod limits;
mod networks;
mod parse;
mod ports;
mod publish;
mod rewrite;
mod schema;
mod signal;
mod sparse;
mod variables;
mod volumes;
mod web;

pub use forms::{Bytes, Pairs, Port, Texts, Time, Words};
pub use health::{
    ExecCheck, ExecForm, HealthCheck, HttpCheck, ImageCheck, Scheme, TcpCheck, Timing, UpCheck,
};
pub use image::Image;
pub use key_template::{KeyTemplate, TargetError};
pub use keys::{Build, Definition, EnvFiles, Expected, Monitor, PageCheck, PullPolicy, Update};
pub use limits::Ulimit;
pub use networks::{Network, NetworkMode, Networks};
pub use parse::{Document, Parsed, parse};
pub use ports::{PortMapping, Ports, Protocol};
pub use publish::{MemberTarget, Scope, ServiceTarget, Target};
pub use schema::schema;
pub use variables::{Template, Unset, Values, Variable};
pub(crate) use volumes::absolute;
pub use volumes::{Source, Volume};
pub use web::{Codes, Pattern, UrlPath};
