//! The same trouble again and again, without flooding the log.

use std::time::Duration;

use tokio::time::Instant;

/// Decides whether a trouble is worth a warning: when it is new, and now and
/// then while it lasts.
#[derive(Debug)]
pub struct Complaint {
    reminder: Duration,
    last: Option<(String, Instant)>,
}

impl Complaint {
    /// For a trouble that is said again after so long.
    pub fn every(reminder: Duration) -> Self {
        Self {
            reminder,
            last: None,
        }
    }

    /// Whether to say it now. The words must be free of what changes from one
    /// attempt to the next, such as counts and times.
    pub fn is_due(&mut self, words: &str) -> bool {
        let now = Instant::now();
        let is_due = self
            .last
            .as_ref()
            .is_none_or(|(said, at)| said != words || now >= *at + self.reminder);
        if is_due {
            self.last = Some((words.to_owned(), now));
        }
        is_due
    }

    /// The trouble is over. Whether there was any.
    pub fn is_over(&mut self) -> bool {
        self.last.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_trouble_is_said_when_new_and_each_minute() {
        let mut complaint = Complaint::every(Duration::from_mins(1));
        assert!(!complaint.is_over());
        assert!(complaint.is_due("a") && !complaint.is_due("a"));
        assert!(complaint.is_due("b"), "another one");
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!complaint.is_due("b"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(complaint.is_due("b"), "a minute later");
        assert!(complaint.is_over() && !complaint.is_over());
        assert!(complaint.is_due("b"), "again");
    }
}
