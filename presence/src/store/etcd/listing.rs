//! A prefix in pages, all of one revision.

use etcd_client::{GetOptions, GetResponse, KvClient};

use super::connection::Connection;
use super::convert;
use super::failure::Failure;
use crate::model::Revision;
use crate::store::{Entry, Header, Listing, StoreError};

/// Keys of the first page: few, as nothing is known of their sizes yet.
/// Values of etcd's largest size still make less than [`LARGEST_ANSWER`].
const FIRST_PAGE: usize = 150;

/// etcd walks the index to the end of the range for every page, so pages are
/// to be few; but each is held twice in memory while it is decoded.
const PAGE_KEYS: usize = 25_000;
const PAGE_BYTES: usize = 4 << 20;

/// Larger answers are asked for again in smaller pages.
pub(super) const LARGEST_ANSWER: usize = 256 << 20;

/// How often a listing starts over because a compaction took its revision.
const TRIES: usize = 3;

/// Everything below `prefix`.
pub(super) async fn list(
    connection: &Connection,
    prefix: &str,
    at: Option<Revision>,
) -> Result<Listing, StoreError> {
    let mut tries = 1;
    loop {
        match pages(connection, prefix, at).await {
            Err(StoreError::Compacted) if at.is_none() && tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

async fn pages(
    connection: &Connection,
    prefix: &str,
    at: Option<Revision>,
) -> Result<Listing, StoreError> {
    let end = successor(prefix.as_bytes());
    let mut next = Some(prefix.as_bytes().to_vec());
    let mut limit = FIRST_PAGE;
    let mut listing: Option<Listing> = None;
    while let Some(start) = next.take() {
        let revision = listing.as_ref().map(|l| l.header.revision).or(at);
        let request = Request {
            start,
            end: end.clone(),
            revision,
            limit,
        };
        let Some(mut page) = request.send(connection, prefix).await? else {
            next = Some(request.start);
            limit = (limit / 8).max(1);
            continue;
        };
        limit = page.next_limit();
        next = page.next.take();
        match &mut listing {
            Some(listing) => listing.entries.extend(page.entries),
            None => listing = Some(page.into_first(revision)),
        }
    }
    // One page at least has been read: the loop starts with one to read.
    listing.ok_or(StoreError::Compacted)
}

struct Request {
    start: Vec<u8>,
    end: Vec<u8>,
    revision: Option<Revision>,
    limit: usize,
}

impl Request {
    /// `None`: the page is too large to take in.
    async fn send(
        &self,
        connection: &Connection,
        prefix: &str,
    ) -> Result<Option<Page>, StoreError> {
        connection
            .call(prefix, None, |client| async move {
                let mut kv = client.kv_client().max_decoding_message_size(LARGEST_ANSWER);
                match self.get(&mut kv).await {
                    Ok(answer) => Page::new(answer).map(Some),
                    Err(Failure::TooLarge) if self.limit > 1 => Ok(None),
                    Err(failure) => Err(failure),
                }
            })
            .await
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
    entries: Vec<(String, Entry)>,
    /// Where the next one starts.
    next: Option<Vec<u8>>,
    total: usize,
}

impl Page {
    fn new(mut answer: GetResponse) -> Result<Self, Failure> {
        let header = convert::header(answer.header())?;
        let total = usize::try_from(answer.count()).unwrap_or_default();
        let more = answer.more();
        let kvs = answer.take_kvs();
        let next = kvs.last().filter(|_| more).map(|last| {
            let mut key = last.key().to_vec();
            key.push(0);
            key
        });
        let entries = kvs.into_iter().map(convert::entry).collect();
        Ok(Self {
            header,
            entries,
            next,
            total,
        })
    }

    /// The next page is likely to be of keys like these.
    fn next_limit(&self) -> usize {
        let sizes = self
            .entries
            .iter()
            .map(|(key, entry)| key.len() + entry.value.len());
        let bytes: usize = sizes.sum();
        let average = bytes / self.entries.len().max(1);
        (PAGE_BYTES / average.max(1)).clamp(1, PAGE_KEYS)
    }

    fn into_first(mut self, revision: Option<Revision>) -> Listing {
        let remaining = self.total.saturating_sub(self.entries.len());
        self.entries.reserve_exact(remaining);
        Listing {
            header: Header {
                revision: revision.unwrap_or(self.header.revision),
                ..self.header
            },
            entries: self.entries,
        }
    }
}

/// The first key after all that start so; etcd takes a zero byte for "to the
/// end" where there is none.
fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_prefix() {
        assert_eq!(successor(b"/a/"), b"/a0");
        assert_eq!(successor(b"a\xff"), b"b");
        assert_eq!(successor(b""), [0]);
    }
}
