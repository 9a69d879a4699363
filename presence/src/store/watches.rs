//! Several watches at once.

use std::collections::BTreeMap;

use futures::future::{pending, select_all};

use super::{StoreError, Watch, WatchMessage};

/// Which watch told what.
pub(crate) type Told = (String, Result<WatchMessage, StoreError>);

/// The next message of any watch, with its name; never, if there is none.
/// Cancel-safe.
pub(crate) async fn next<W: Watch>(watches: &mut BTreeMap<String, W>) -> Told {
    if watches.is_empty() {
        return pending().await;
    }
    let messages = watches
        .iter_mut()
        .map(|(name, watch)| Box::pin(async { (name.clone(), watch.next().await) }));
    select_all(messages).await.0
}
