//! A range in pages, all of one revision.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{GetOptions, GetResponse, KeyValue, KvClient};
use futures::future::join;
use tokio::time::Instant;

use super::connection::{Connection, REQUEST};
use super::convert;
use super::failure::Failure;
use crate::model::Revision;
use crate::store::{Entry, Header, KeyRange, Listing, StoreError};

/// Keys of the first page: few, as nothing is known of their sizes yet.
/// Values of etcd's largest size still make less than [`LARGEST_ANSWER`].
const FIRST_PAGE: usize = 150;

/// etcd walks the index to the end of the range for every page, so pages are
/// to be few; but each is held twice in memory while it is decoded.
const PAGE_KEYS: usize = 50_000;
const PAGE_BYTES: usize = 4 << 20;

/// Larger answers are asked for again in smaller pages.
pub(super) const LARGEST_ANSWER: usize = 256 << 20;

/// How often a listing starts over because a compaction took its revision.
const TRIES: usize = 3;

/// Everything in the range.
pub(super) async fn list(
    connection: &Connection,
    range: &KeyRange,
    at: Option<Revision>,
) -> Result<Listing, StoreError> {
    let mut tries = 1;
    loop {
        match pages(connection, range, at).await {
            Err(StoreError::Compacted) if at.is_none() && tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

async fn pages(
    connection: &Connection,
    range: &KeyRange,
    at: Option<Revision>,
) -> Result<Listing, StoreError> {
    let mut request = Request {
        start: range.start().as_bytes().to_vec(),
        end: range.end(),
        revision: at,
        limit: FIRST_PAGE,
    };
    let mut page = request.page(connection, range.start()).await?;
    let revision = at.unwrap_or(page.header.revision);
    let header = Header {
        revision,
        ..page.header
    };
    let mut entries = Vec::with_capacity(page.total);
    while let Some(start) = page.next() {
        request = Request {
            start,
            revision: Some(revision),
            limit: page.next_limit().min(connection.page_keys.get()),
            ..request
        };
        // While etcd gathers the next page, this one is taken in.
        let taking_in = async { entries.extend(page.entries()) };
        let (next, ()) = join(request.page(connection, range.start()), taking_in).await;
        page = next?;
    }
    entries.extend(page.entries());
    Ok(Listing { header, entries })
}

/// How many keys a page may have so that it is answered in time: learned from
/// pages that were too slow, and kept for the next listing.
#[derive(Debug)]
pub(super) struct PageKeys(AtomicUsize);

impl Default for PageKeys {
    fn default() -> Self {
        Self(AtomicUsize::new(PAGE_KEYS))
    }
}

impl PageKeys {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A page of this limit took so long, and was answered or not.
    fn took(&self, limit: usize, time: Duration, is_answered: bool) {
        let most = self.get();
        if !is_answered && time >= REQUEST {
            let smaller = (limit.min(most) / 8).max(FIRST_PAGE);
            self.0.store(smaller, Ordering::Relaxed);
        } else if is_answered && limit >= most && time < REQUEST / 4 {
            let larger = most.saturating_mul(2).min(PAGE_KEYS);
            self.0.store(larger, Ordering::Relaxed);
        }
    }
}

struct Request {
    start: Vec<u8>,
    end: Vec<u8>,
    revision: Option<Revision>,
    limit: usize,
}

impl Request {
    /// A page of `limit` keys, or of fewer where those are too large.
    async fn page(&mut self, connection: &Connection, subject: &str) -> Result<Page, StoreError> {
        loop {
            if let Some(page) = self.send(connection, subject).await? {
                return Ok(page);
            }
            self.limit = (self.limit / 8).max(1);
        }
    }

    /// `None`: the page is too large to take in.
    async fn send(
        &self,
        connection: &Connection,
        subject: &str,
    ) -> Result<Option<Page>, StoreError> {
        let sent = Instant::now();
        let answer = connection
            .call(subject, None, |client| async move {
                let mut kv = client.kv_client().max_decoding_message_size(LARGEST_ANSWER);
                match self.get(&mut kv).await {
                    Ok(answer) => Page::new(answer).map(Some),
                    Err(Failure::TooLarge) if self.limit > 1 => Ok(None),
                    Err(failure) => Err(failure),
                }
            })
            .await;
        connection
            .page_keys
            .took(self.limit, sent.elapsed(), answer.is_ok());
        answer
    }

    async fn get(&self, kv: &mut KvClient) -> Result<GetResponse, Failure> {
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        let mut options = GetOptions::new()
            .with_range(self.end.clone())
            .with_limit(limit);
        if let Some(revision) = self.revision {
            options = options.with_revision(revision.0);
        }
        Ok(kv.get(self.start.clone(), Some(options)).await?)
    }
}

struct Page {
    header: Header,
    keys: Vec<KeyValue>,
    more: bool,
    total: usize,
}

impl Page {
    fn new(mut answer: GetResponse) -> Result<Self, Failure> {
        Ok(Self {
            header: convert::header(answer.header())?,
            total: usize::try_from(answer.count()).unwrap_or_default(),
            more: answer.more(),
            keys: answer.take_kvs(),
        })
    }

    /// Where the next one starts: right behind the last key.
    fn next(&self) -> Option<Vec<u8>> {
        let last = self.keys.last().filter(|_| self.more)?;
        Some([last.key(), &[0]].concat())
    }

    /// The next page is likely to be of keys like these.
    fn next_limit(&self) -> usize {
        let sizes = self.keys.iter().map(|kv| kv.key().len() + kv.value().len());
        let average = sizes.sum::<usize>() / self.keys.len().max(1);
        (PAGE_BYTES / average.max(1)).clamp(1, PAGE_KEYS)
    }

    fn entries(self) -> impl Iterator<Item = (String, Entry)> {
        self.keys.into_iter().map(convert::entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_are_too_slow_become_smaller_and_quick_ones_larger() {
        let keys = PageKeys::default();
        keys.took(50_000, REQUEST, false);
        assert_eq!(keys.get(), 6250);
        keys.took(6250, REQUEST, false);
        keys.took(781, REQUEST, false);
        keys.took(150, REQUEST, false);
        assert_eq!(
            keys.get(),
            FIRST_PAGE,
            "the first page of every listing is no larger"
        );
        keys.took(150, Duration::from_millis(10), false);
        assert_eq!(keys.get(), FIRST_PAGE, "it says nothing of the size");
        keys.took(150, Duration::from_secs(2), true);
        assert_eq!(keys.get(), FIRST_PAGE, "a larger one would be too slow");
        keys.took(150, Duration::from_millis(10), true);
        assert_eq!(keys.get(), 300);
        keys.took(150, Duration::from_millis(10), true);
        assert_eq!(keys.get(), 300, "it was smaller than allowed");
        for _ in 0..20 {
            keys.took(PAGE_KEYS, Duration::from_millis(10), true);
        }
        assert_eq!(keys.get(), PAGE_KEYS);
    }
}
