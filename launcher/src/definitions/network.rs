//! Definitions in etcd: what is in force, and what once was.

use std::collections::BTreeSet;

use presence::keys::launcher::{LauncherKey, services_prefix};
use presence::model::{DefinitionRevision, ServiceName};
use presence::store::{Entry, Store, StoreError};

use super::{FindError, Written, history};
use crate::instance::InstanceName;

/// The key of the definition that is in force.
pub(super) fn key(name: &ServiceName) -> String {
    LauncherKey::Service(name.clone()).to_string()
}

/// The definition of a service: of that revision, or else the newest.
pub async fn find<S: Store>(
    store: &S,
    name: &ServiceName,
    instance: InstanceName,
) -> Result<Written, FindError> {
    match instance {
        InstanceName::Newest => read(name, &in_force(store, name).await?),
        instance => of_instance(store, name, instance).await,
    }
}

/// The key of the newest definition, as it is.
pub async fn in_force<S: Store>(store: &S, name: &ServiceName) -> Result<Entry, FindError> {
    match store.get(&key(name)).await?.entry {
        Some(entry) => Ok(entry),
        None => Err(FindError::Missing {
            name: name.clone(),
            place: services_prefix(),
            known: services(store).await?,
        }),
    }
}

/// The definition of that name: the newest if that is it, or else one of the past.
pub async fn of_instance<S: Store>(
    store: &S,
    name: &ServiceName,
    instance: InstanceName,
) -> Result<Written, FindError> {
    let newest = store.get(&key(name)).await?.entry;
    // One that cannot be read is not the one that was asked for.
    let newest = newest.and_then(|entry| read(name, &entry).ok());
    let in_force = newest.as_ref().map(|newest| newest.revision);
    if let Some(newest) = newest.and_then(|newest| newest.as_instance(instance)) {
        return Ok(newest);
    }
    let past = history::list(store, name).await?;
    let past: Vec<_> = past.into_iter().map(|(revision, _)| revision).collect();
    let named = past.iter().find(|revision| instance.names(**revision));
    if let Some(revision) = named
        && let Some(past) = history::get(store, name, *revision).await?
    {
        return Ok(past);
    }
    Err(FindError::NoRevision {
        name: name.clone(),
        instance,
        known: newest_first(past.into_iter().chain(in_force)),
    })
}

fn newest_first(revisions: impl Iterator<Item = DefinitionRevision>) -> Vec<DefinitionRevision> {
    let revisions: BTreeSet<_> = revisions.collect();
    revisions.into_iter().rev().collect()
}

/// What a key in force says.
pub(super) fn read(name: &ServiceName, entry: &Entry) -> Result<Written, FindError> {
    Written::read(name, key(name), &entry.value, entry.mod_revision)
}

/// The services that have a definition.
async fn services<S: Store>(store: &S) -> Result<Vec<ServiceName>, StoreError> {
    let entries = store.list(&services_prefix(), None).await?.entries;
    let keys = entries.iter().map(|(key, _)| key.parse());
    Ok(keys
        .filter_map(|key| match key {
            Ok(LauncherKey::Service(name)) => Some(name),
            _ => None,
        })
        .collect())
}
