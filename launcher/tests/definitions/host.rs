//! A host with a state directory, on an etcd in memory.

use launcher::definition::{Definition, parse};
use launcher::definitions::{Definitions, FindError, Found, Put, Source, put};
use launcher::instance::InstanceName;
use launcher::policy::Policy;
use presence::keys::Tree;
use presence::model::{DefinitionRevision, ServiceName};
use presence::process::state_file::StateDir;
use presence::store::memory::MemoryStore;
use presence::store::{Store, Transaction};
use tempfile::TempDir;

pub struct Host<S> {
    pub store: S,
    pub state: TempDir,
    pub definitions: Definitions<S>,
}

pub fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

pub fn tree() -> Tree {
    Tree::new("/lbManager").unwrap()
}

pub fn web() -> ServiceName {
    name("web")
}

/// A definition that differs from others by its number.
pub fn version(number: usize) -> String {
    format!("# as it was written\nimage: web:{number}\n")
}

pub fn definition(text: &str) -> Definition {
    parse(text).unwrap().definition
}

impl Host<MemoryStore> {
    pub fn new() -> Self {
        Self::on(MemoryStore::new())
    }
}

impl<S: Store> Host<S> {
    pub fn on(store: S) -> Self {
        Self::from(store, Source::Etcd, Some(Policy::default()))
    }

    pub fn from(store: S, source: Source, policy: Option<Policy>) -> Self {
        let state = tempfile::tempdir().unwrap();
        let directory = StateDir::open(state.path()).unwrap();
        Self {
            definitions: Definitions::new(store.clone(), source, policy, tree(), &directory),
            store,
            state,
        }
    }

    /// As `launcher put` does.
    pub async fn put(&self, text: &str) -> DefinitionRevision {
        let done = put(&self.store, &web(), &definition(text), text, None).await;
        match done.unwrap() {
            Put::Written(revision) | Put::Same(revision) => revision,
        }
    }

    /// As `etcdctl put` does: without history.
    pub async fn write(&self, text: &str) -> DefinitionRevision {
        let write = Transaction::put("/launcher/services/web", text);
        let commit = self.store.commit(write).await.unwrap();
        definition(text).revision(commit.header.revision)
    }

    /// What is found, and what was said.
    pub async fn try_find(
        &self,
        instance: Option<DefinitionRevision>,
    ) -> (Result<Found, FindError>, Vec<String>) {
        let mut said = Vec::new();
        let say = |words| said.push(words);
        let found = self.definitions.find(&web(), named(instance), say).await;
        (found, said)
    }

    pub async fn find(&self, instance: Option<DefinitionRevision>) -> Found {
        self.try_find(instance).await.0.unwrap()
    }

    pub async fn refused(&self, instance: Option<DefinitionRevision>) -> String {
        let failure = presence::process::exit::Failure::from(self.error(instance).await);
        assert_eq!(failure.code(), presence::process::exit::CONFIGURATION);
        failure.to_string()
    }

    pub async fn error(&self, instance: Option<DefinitionRevision>) -> FindError {
        self.try_find(instance).await.0.unwrap_err()
    }
}

/// `None`: the newest.
pub fn named(revision: Option<DefinitionRevision>) -> InstanceName {
    revision.map_or(InstanceName::Newest, InstanceName::Revision)
}
