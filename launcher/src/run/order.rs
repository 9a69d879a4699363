//! From what was asked for to what is to run.

use std::sync::Arc;

use presence::keys::Tree;
use presence::model::DefinitionRevision;

use super::terms;
use crate::assemble::{AssembleError, HostEnvironment, spec};
use crate::definition::{Definition, Target};
use crate::definitions::Found;
use crate::life::Terms;
use crate::publish::Ttls;
use crate::runtime::{ContainerSpec, Identity};

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// Which instance.
    pub identity: Identity,
    /// Where it is published beside what its definition says; `None`: nowhere at all.
    pub publish: Option<Vec<Target>>,
    /// The tree that it is published in.
    pub tree: Tree,
    /// How long its keys stay when this process is gone.
    pub ttls: Ttls,
}

/// What is to run, or to end.
pub(super) struct Plan {
    /// `None` where nobody knows it any more.
    pub definition: Option<Arc<Definition>>,
    pub spec: ContainerSpec,
    pub terms: Terms,
    pub targets: Vec<Target>,
}

impl Plan {
    /// What this definition says is to run for the order.
    pub(super) fn new(found: &Found, order: &Order) -> Result<Self, AssembleError> {
        let definition = &found.definition;
        let environment = HostEnvironment::read(definition)?;
        let identity = order.identity.clone();
        let targets = order.publish.as_ref().map(|more| {
            let all = definition.publish.iter().chain(more);
            all.cloned().collect()
        });
        Ok(Self {
            spec: spec(definition, identity, found.revision, &environment)?,
            terms: terms::of(definition, found.revision),
            targets: targets.unwrap_or_default(),
            definition: Some(Arc::new(definition.clone())),
        })
    }

    /// What is left of this revision is to end.
    pub(super) fn end(revision: DefinitionRevision, order: &Order) -> Self {
        let identity = order.identity.clone();
        Self {
            definition: None,
            spec: ContainerSpec::new(identity, revision, ""),
            terms: terms::of_remains(revision),
            targets: Vec::new(),
        }
    }
}
