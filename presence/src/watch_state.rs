//! When to list, where a watch resumes, and when the store's history is not
//! the one it was.

use crate::model::Revision;
use crate::store::Header;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Read everything.
    List,
    /// Watch for what happened after this revision.
    Watch {
        /// The last revision that was seen.
        after: Revision,
    },
}

/// The history was replaced: restored from a snapshot, or started empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Replaced {
    /// Another cluster answers.
    #[error("etcd's cluster ID was {before:016x} and is {now:016x} now")]
    Cluster {
        /// The cluster so far.
        before: u64,
        /// The cluster that answered.
        now: u64,
    },
    /// The revision went backwards, which it never does by itself.
    #[error("etcd's revision was {before} and is {now} now")]
    Revision {
        /// The highest revision seen so far.
        before: Revision,
        /// The revision that answered.
        now: Revision,
    },
    /// Something that was written before is not there, or is older.
    #[error("{0}")]
    Lost(String),
}

impl Replaced {
    /// Compares a consistent answer with the cluster and the highest revision
    /// that are remembered.
    pub fn check(remembered: Header, answer: Header) -> Result<(), Self> {
        if answer.cluster != remembered.cluster {
            return Err(Self::Cluster {
                before: remembered.cluster,
                now: answer.cluster,
            });
        }
        if answer.revision < remembered.revision {
            return Err(Self::Revision {
                before: remembered.revision,
                now: answer.revision,
            });
        }
        Ok(())
    }
}

/// Where a mirror stands: nothing read yet, listed, or watching.
#[derive(Debug, Clone, Default)]
pub struct WatchState {
    /// The cluster, and the highest revision that any answer told.
    seen: Option<Header>,
    /// The last revision whose changes are in the view. `None`: list.
    resume: Option<Revision>,
    /// The history was replaced since the last listing.
    is_replaced: bool,
}

impl WatchState {
    /// What to do next.
    pub fn next(&self) -> Next {
        self.resume
            .map_or(Next::List, |after| Next::Watch { after })
    }

    /// Everything was read; `Err` if the history is a new one. The listing
    /// counts in either case.
    pub fn listed(&mut self, listing: Header) -> Result<(), Replaced> {
        let verdict = self.consistent(listing);
        if verdict.is_err() {
            self.seen = Some(listing);
        }
        self.resume = Some(listing.revision);
        self.is_replaced = false;
        verdict
    }

    /// Changes up to this revision are in the view.
    ///
    /// Only a change moves the place where a watch resumes. A progress
    /// message does not: etcd before 3.4.25 and 3.5.8 may send one that is
    /// ahead of changes it has yet to deliver (etcd issue 15220).
    pub fn applied(&mut self, revision: Revision) {
        self.resume = Some(self.resume.map_or(revision, |before| before.max(revision)));
        if let Some(seen) = &mut self.seen {
            seen.revision = seen.revision.max(revision);
        }
    }

    /// A watch said this. It may lag behind what another member answered, so
    /// a lower revision means nothing; another cluster does.
    pub fn watched(&mut self, message: Header) -> Result<(), Replaced> {
        let lagging = Header {
            revision: self
                .seen
                .map_or(message.revision, |seen| seen.revision.max(message.revision)),
            ..message
        };
        self.consistent(lagging)
    }

    /// A consistent read said this.
    pub fn consistent(&mut self, answer: Header) -> Result<(), Replaced> {
        if let Some(seen) = self.seen
            && let Err(replaced) = Replaced::check(seen, answer)
        {
            self.resume = None;
            self.is_replaced = true;
            return Err(replaced);
        }
        self.seen = Some(answer);
        Ok(())
    }

    /// Somebody else found out that the history was replaced, though its
    /// revision has grown past the one that was seen.
    pub fn told(&mut self, replaced: Replaced) -> Result<(), Replaced> {
        self.resume = None;
        self.is_replaced = true;
        Err(replaced)
    }

    /// Whether the history is the one that was listed last, as far as it is
    /// known.
    pub fn is_same_history(&self) -> bool {
        !self.is_replaced
    }

    /// The history needed to resume is gone.
    pub fn compacted(&mut self) {
        self.resume = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(cluster: u64, revision: i64) -> Header {
        Header {
            cluster,
            revision: Revision(revision),
        }
    }

    fn listed(revision: i64) -> WatchState {
        let mut state = WatchState::default();
        assert_eq!(state.next(), Next::List);
        state.listed(header(1, revision)).unwrap();
        state
    }

    fn after(revision: i64) -> Next {
        Next::Watch {
            after: Revision(revision),
        }
    }

    #[test]
    fn resumes_from_the_last_change_and_never_from_progress() {
        let mut state = listed(10);
        assert_eq!(state.next(), after(10));
        state.applied(Revision(12));
        state.watched(header(1, 20)).unwrap();
        assert_eq!(state.next(), after(12));
    }

    #[test]
    fn lists_again_when_history_was_compacted() {
        let mut state = listed(10);
        state.compacted();
        assert_eq!(state.next(), Next::List);
        state.listed(header(1, 30)).unwrap();
        assert_eq!(state.next(), after(30));
    }

    #[test]
    fn a_lower_revision_is_a_replaced_history() {
        let mut state = listed(10);
        state.watched(header(1, 15)).unwrap();
        let verdict = state.consistent(header(1, 14));
        assert_eq!(
            verdict,
            Err(Replaced::Revision {
                before: Revision(15),
                now: Revision(14)
            })
        );
        assert_eq!(state.next(), Next::List);
    }

    #[test]
    fn a_watch_that_lags_is_no_replaced_history() {
        let mut state = listed(10);
        state.consistent(header(1, 15)).unwrap();
        state.watched(header(1, 12)).unwrap();
        assert_eq!(state.next(), after(10));
    }

    #[test]
    fn another_cluster_is_a_replaced_history_whoever_says_it() {
        assert!(listed(10).watched(header(2, 50)).is_err());
        assert!(listed(10).consistent(header(2, 50)).is_err());
        let mut state = listed(10);
        state.compacted();
        assert!(state.listed(header(2, 50)).is_err());
        assert_eq!(state.next(), after(50), "the listing counts all the same");
        state.watched(header(2, 51)).unwrap();
    }

    #[test]
    fn the_history_is_another_until_it_was_listed() {
        let reports = [
            |state: &mut WatchState| state.told(Replaced::Lost("a marker is gone".to_owned())),
            |state: &mut WatchState| state.consistent(header(1, 9)),
            |state: &mut WatchState| state.watched(header(2, 50)),
        ];
        for report in reports {
            let mut state = listed(10);
            assert!(report(&mut state).is_err());
            assert!(!state.is_same_history());
            let _ = state.listed(header(2, 50));
            assert!(state.is_same_history());
            state.compacted();
            assert!(state.is_same_history());
        }
    }
}
