//! What all kinds of AWS load balancer share: configuration, credentials, the
//! limits that calls keep to, what errors mean, joining reads, splitting
//! writes.
//!
//! Tasks: one for each joint read while it runs, owned by its [`Joiner`].

mod bucket;
mod call;
mod config;
mod counters;
mod credentials;
mod error;
mod joiner;
mod split;
mod words;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use tokio::sync::OnceCell;

pub use bucket::Rate;
pub use call::{Call, Gate, Limits};
pub use config::{AwsSettings, Keys};
pub use counters::Counters;
pub use credentials::Credentials;
pub use error::{Failure, Kind};
pub use joiner::{Joiner, Page, Query};
pub use split::split;

/// Says whether this process may write at this moment, and if not why.
/// Looked at right before each attempt to write is sent.
pub type Fence = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The way to AWS. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Aws(Arc<Inner>);

struct Inner {
    settings: AwsSettings,
    credentials: Credentials,
    counters: Counters,
    fence: Fence,
    sdk: OnceCell<SdkConfig>,
}

impl Aws {
    /// Nothing is read or asked before the first call. `fence` is asked before
    /// each attempt to write.
    pub fn new(settings: AwsSettings, counters: Counters, fence: Fence) -> Self {
        Self(Arc::new(Inner {
            credentials: Credentials::new(&settings),
            settings,
            counters,
            fence,
            sdk: OnceCell::new(),
        }))
    }

    /// The SDK's configuration, loaded once; the region is each client's own.
    pub async fn sdk(&self) -> &SdkConfig {
        let Inner {
            settings,
            credentials,
            sdk,
            ..
        } = &*self.0;
        // Boxed, because it is large, and would be part of all that wait.
        sdk.get_or_init(|| Box::pin(config::load(settings, credentials.clone())))
            .await
    }

    /// What calls of one service in one region go through.
    pub fn gate(&self, service: &'static str, region: &str, limits: Limits) -> Gate {
        let Inner {
            credentials,
            counters,
            fence,
            ..
        } = &*self.0;
        Gate::new(
            service,
            region,
            limits,
            credentials.clone(),
            counters.clone(),
            fence.clone(),
        )
    }
}

/// One of something for each region, made on demand.
pub struct Regions<T>(Mutex<BTreeMap<String, Arc<T>>>);

impl<T> Default for Regions<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Regions<T> {
    /// That of one region.
    pub fn get(&self, region: &str, new: impl FnOnce() -> T) -> Arc<T> {
        let mut regions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = regions.get(region) {
            return known.clone();
        }
        let made = Arc::new(new());
        regions.insert(region.to_owned(), made.clone());
        made
    }
}
