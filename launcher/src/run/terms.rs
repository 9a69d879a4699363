//! How long what may take.

use std::time::Duration;

use presence::model::DefinitionRevision;

use crate::definition::{Definition, HealthCheck, PullPolicy, Timing};
use crate::life::Terms;

/// How long the keys may take to go, and their readers to say that they saw it: many times what
/// etcd and a manager need that work.
const WITHDRAW: Duration = Duration::from_secs(10);
/// The same defaults as in a definition.
const DRAIN: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(10);

/// How an instance of this definition is to live.
pub(super) fn of(definition: &Definition, revision: DefinitionRevision) -> Terms {
    let start_timeout = match &definition.health_check {
        Some(HealthCheck::Http(check)) => check.start_timeout,
        Some(HealthCheck::Up(check)) => check.start_timeout,
        Some(HealthCheck::Tcp(check)) => check.start_timeout,
        Some(HealthCheck::Exec(check)) => check.0.start_timeout,
        Some(HealthCheck::Image(check)) => check.start_timeout,
        Some(HealthCheck::None) | None => Timing::default().start_timeout,
    };
    Terms {
        image: definition.image.as_str().to_owned(),
        pull: definition.pull_policy,
        start_timeout: start_timeout.0,
        publish_timeout: definition.update.healthy_deadline.0,
        drain: definition.drain.0,
        grace: definition.stop_grace_period.0,
        ..of_remains(revision)
    }
}

/// How what is left of a definition that nobody knows any more is to end.
pub(super) fn of_remains(revision: DefinitionRevision) -> Terms {
    Terms {
        revision,
        image: String::new(),
        pull: PullPolicy::Never,
        start_timeout: Duration::ZERO,
        publish_timeout: Duration::ZERO,
        withdraw_timeout: WITHDRAW,
        drain: DRAIN,
        grace: GRACE,
    }
}
