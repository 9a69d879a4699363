//! The backends that were built in, made from the environment.

use std::collections::BTreeSet;

use presence::model::Kind;
use presence::process::exit::Failure;
use prometheus_client::registry::Registry;

use crate::backend::Backend;

/// The kinds of load balancer that are kept one by one, of those that this
/// lbmanager was built for.
const ONE_BY_ONE: &[Kind] = &[
    #[cfg(feature = "elb")]
    Kind::Elb,
];

/// The kind that is kept as a whole, if this lbmanager was built for it.
const AS_A_WHOLE: &[Kind] = &[
    #[cfg(feature = "ipvs")]
    Kind::Ipvs,
];

/// Says whether members may be put in or taken out at this moment, and if not
/// why.
pub(super) type MayWrite = fn() -> Result<(), String>;

/// Takes backends, whatever their types.
pub(super) trait Take {
    /// That of this kind.
    fn take<B: Backend>(&mut self, kind: Kind, backend: B);
}

/// What `--backends` asks for: without it, all that were built in.
pub(super) fn wanted(flag: &[Kind]) -> Result<BTreeSet<Kind>, Failure> {
    let built_in: BTreeSet<Kind> = ONE_BY_ONE.iter().chain(AS_A_WHOLE).copied().collect();
    if flag.is_empty() {
        return Ok(built_in);
    }
    let wanted: BTreeSet<Kind> = flag.iter().copied().collect();
    let missing: BTreeSet<Kind> = wanted.difference(&built_in).copied().collect();
    if missing.is_empty() {
        return Ok(wanted);
    }
    Err(Failure::usage(format!(
        "--backends names {}, which is not built into this lbmanager; it has: {}",
        list(&missing),
        list(&built_in),
    )))
}

fn list(kinds: &BTreeSet<Kind>) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    names.join(", ")
}

/// Makes the backends of these kinds.
pub(super) fn make(
    kinds: &BTreeSet<Kind>,
    registry: &mut Registry,
    may_write: MayWrite,
    taker: &mut impl Take,
) {
    #[cfg(feature = "aws")]
    let aws = aws(registry, may_write);
    #[cfg(feature = "elb")]
    if kinds.contains(&Kind::Elb) {
        taker.take(Kind::Elb, crate::backend::elb::Elb::new(aws.clone()));
    }
}

/// The way to AWS, as the environment says.
#[cfg(feature = "aws")]
fn aws(registry: &mut Registry, may_write: MayWrite) -> crate::backend::aws::Aws {
    use std::sync::Arc;

    use crate::backend::aws::{Aws, AwsSettings, Counters};

    Aws::new(
        AwsSettings::from_env(),
        Counters::registered(registry),
        Arc::new(may_write),
    )
}
