//! Where a life is, with the words for STATUS.

use std::time::Duration;

use super::{Facts, Health, Terms};

/// What STATUS is while that is so.
pub const NO_DOCKER: &str = "Docker does not answer: waiting for it";

/// Where a life is. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The image is found or pulled.
    Image,
    /// A running container is adopted, or remains are removed and one is made.
    Container,
    /// It is started.
    Start,
    /// It becomes healthy.
    Healthy,
    /// It is published, and becomes served.
    Publish,
    /// It serves.
    Running,
    /// Its keys go.
    Withdraw,
    /// Who read them says that they are gone.
    Confirm,
    /// Connections come to an end.
    Drain,
    /// Its program ends.
    Stop,
    /// It is removed.
    Remove,
    /// It is over.
    Exit,
}

impl Phase {
    /// How long it may last; `None` where there is no limit, or not one of time.
    pub(super) fn limit(self, terms: &Terms) -> Option<Duration> {
        match self {
            Self::Healthy => Some(terms.start_timeout),
            Self::Publish => Some(terms.publish_timeout),
            Self::Withdraw | Self::Confirm => Some(terms.withdraw_timeout),
            Self::Drain => Some(terms.drain),
            Self::Stop => Some(terms.grace),
            Self::Image
            | Self::Container
            | Self::Start
            | Self::Running
            | Self::Remove
            | Self::Exit => None,
        }
    }

    /// What is going on; `left` is the time until the phase's limit.
    pub(super) fn words(self, terms: &Terms, facts: &Facts, left: Duration) -> String {
        // What is less than a second is one still.
        let left = format!("{} s left", left.as_millis().div_ceil(1000));
        match self {
            _ if facts.containers.is_none() => NO_DOCKER.to_owned(),
            Self::Image => format!("looking for image {}", terms.image),
            Self::Container => "making the container".to_owned(),
            Self::Start => "starting the container".to_owned(),
            Self::Healthy => match &facts.health {
                Health::Down(answer) | Health::Dead(answer) => {
                    format!("waiting until healthy, {left}: {answer}")
                }
                Health::Unknown | Health::Up => format!("waiting until healthy, {left}"),
            },
            Self::Publish if facts.keys.away => {
                "waiting until etcd answers, to be published".to_owned()
            }
            Self::Publish if facts.keys.words.is_empty() => {
                format!("waiting until it is served, {left}")
            }
            Self::Publish => format!("waiting until it is served, {left}: {}", facts.keys.words),
            Self::Running => match &facts.health {
                Health::Down(answer) | Health::Dead(answer) => format!("unhealthy: {answer}"),
                Health::Unknown | Health::Up => "running".to_owned(),
            },
            Self::Withdraw => match facts.keys.present {
                1 => format!("withdrawing its key, {left}"),
                keys => format!("withdrawing {keys} keys, {left}"),
            },
            Self::Confirm => format!("waiting until no new connection comes, {left}"),
            Self::Drain => match facts.connections {
                Some(connections) => format!("draining: {connections} connections, {left}"),
                None => format!("draining, {left}"),
            },
            Self::Stop => format!("stopping the container, {left}"),
            Self::Remove => "removing the container".to_owned(),
            Self::Exit => "ended".to_owned(),
        }
    }
}
