//! etcd itself.

mod config;
mod connection;
mod convert;
mod failure;
mod listing;
mod v2;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, Error, LeaseClient, LeaseTimeToLiveOptions, WatchOptions};

pub use config::{EtcdConfig, Secret};
pub use connection::REQUEST;
pub use v2::count_keys as count_v2_keys;
pub use watch::EtcdWatch;

use self::config::Checked;
use self::connection::Connection;
use crate::model::{LeaseId, Revision};
use crate::store::{Commit, Fetched, KeyRange, Listing, Operation, Store, StoreError, Transaction};

/// etcd, reached as `etcdctl` reaches it.
///
/// It connects at the first call, and again at the first call after a
/// failure, to whichever endpoint answers first. It retries nothing: a call
/// that fails has failed, and the caller says when to try again.
#[derive(Clone)]
pub struct EtcdStore(Arc<Connection>);

impl EtcdStore {
    /// Checks what it is given, certificates included, and sends nothing yet.
    /// Must be called within a tokio runtime.
    pub async fn connect(config: EtcdConfig) -> Result<Self, StoreError> {
        let connection = Connection::new(Checked::new(&config)?).await?;
        Ok(Self(Arc::new(connection)))
    }

    async fn on_lease<T, F>(
        &self,
        lease: LeaseId,
        operation: impl Fn(LeaseClient) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let subject = format!("lease {lease}");
        let operation = |client: Arc<Client>| {
            let request = operation(client.lease_client());
            async { Ok(request.await?) }
        };
        self.0.call(&subject, Some(lease), operation).await
    }
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EtcdStore").field(&self.0.places()).finish()
    }
}

impl Store for EtcdStore {
    type Watch = EtcdWatch;

    async fn list_range(
        &self,
        range: &KeyRange,
        at: Option<Revision>,
    ) -> Result<Listing, StoreError> {
        listing::list(&self.0, range, at).await
    }

    async fn get(&self, key: &str) -> Result<Fetched, StoreError> {
        self.0
            .call(key, None, |client| async move {
                let mut answer = client.kv_client().get(key, None).await?;
                Ok(Fetched {
                    header: convert::header(answer.header())?,
                    entry: answer.take_kvs().pop().map(|kv| convert::entry(kv).1),
                })
            })
            .await
    }

    async fn watch_range(
        &self,
        range: &KeyRange,
        after: Revision,
    ) -> Result<EtcdWatch, StoreError> {
        let within = WatchOptions::new().with_range(range.end());
        EtcdWatch::start(&self.0, range.start(), within, after).await
    }

    async fn watch_key(&self, key: &str, after: Revision) -> Result<EtcdWatch, StoreError> {
        EtcdWatch::start(&self.0, key, WatchOptions::new(), after).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Commit, StoreError> {
        let subject = subject(&transaction);
        let lease = convert::lease_of(&transaction);
        self.0
            .call(&subject, lease, |client| {
                let request = convert::transaction(&transaction);
                async move {
                    let answer = client.kv_client().txn(request).await?;
                    Ok(Commit {
                        header: convert::header(answer.header())?,
                        succeeded: answer.succeeded(),
                    })
                }
            })
            .await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        self.0
            .call("a new lease", None, |client| async move {
                let answer = client.lease_client().grant(seconds, None).await?;
                Ok(LeaseId(answer.id()))
            })
            .await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<bool, StoreError> {
        self.on_lease(lease, |mut leases| async move {
            match leases.keep_alive(lease.0).await {
                Ok(_) => Ok(true),
                // What etcd-client makes of a TTL of 0.
                Err(Error::LeaseKeepAliveError(_)) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn time_left(&self, lease: LeaseId) -> Result<Option<Duration>, StoreError> {
        self.on_lease(lease, |mut leases| async move {
            let answer = leases.time_to_live(lease.0, None).await?;
            // A lease that is gone has -1.
            Ok(u64::try_from(answer.ttl()).ok().map(Duration::from_secs))
        })
        .await
    }

    async fn keys_on(&self, lease: LeaseId) -> Result<Option<Vec<String>>, StoreError> {
        self.on_lease(lease, |mut leases| async move {
            let options = LeaseTimeToLiveOptions::new().with_keys();
            let answer = leases.time_to_live(lease.0, Some(options)).await?;
            let keys = answer.keys().iter().cloned().map(convert::text).collect();
            Ok((answer.ttl() >= 0).then_some(keys))
        })
        .await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        let revoked = self
            .on_lease(lease, |mut leases| async move {
                leases.revoke(lease.0).await.map(|_| ())
            })
            .await;
        match revoked {
            Err(StoreError::LeaseGone(_)) => Ok(()),
            result => result,
        }
    }
}

/// What a transaction is about, for the person who reads that it was refused.
fn subject(transaction: &Transaction) -> String {
    let written = transaction.then.iter().map(Operation::subject);
    let compared = transaction.when.iter().map(|compare| compare.key.as_str());
    let mut keys: Vec<_> = written.chain(compared).collect();
    keys.dedup();
    match keys.as_slice() {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}
