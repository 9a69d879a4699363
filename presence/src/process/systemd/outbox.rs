use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

/// At most 2 words of STATUS a second.
const STATUS_PERIOD: Duration = Duration::from_millis(500);

/// What is to be known, as of now; [`Outbox`] knows what was said of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    pub status: String,
    /// How often an extension was asked for; the last one is for `extension`.
    pub extensions: u64,
    pub extension: Duration,
    pub stopping: bool,
    pub finished: bool,
}

/// What was said, and when more may be said. Pure.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    ready: bool,
    told: Words,
    last_status: Option<Instant>,
}

impl Outbox {
    /// What is to be said now, in this order.
    pub fn news(&mut self, words: &Words, ready: bool, now: Instant) -> Vec<String> {
        let mut messages = Vec::new();
        if ready && !self.ready {
            self.ready = true;
            messages.push(NotifyState::Ready.to_string());
        }
        if words.extensions != self.told.extensions {
            self.told.extensions = words.extensions;
            let usec = u32::try_from(words.extension.as_micros()).unwrap_or(u32::MAX);
            messages.push(NotifyState::ExtendTimeoutUsec(usec).to_string());
        }
        if words.stopping && !self.told.stopping {
            self.told.stopping = true;
            messages.push(NotifyState::Stopping.to_string());
        }
        let held = self.held_until(words).is_some_and(|until| now < until);
        if words.status != self.told.status && (words.finished || !held) {
            self.told.status.clone_from(&words.status);
            self.last_status = Some(now);
            messages.push(NotifyState::Status(&words.status).to_string());
        }
        messages
    }

    /// Until when a status that was not said yet is held back.
    pub fn held_until(&self, words: &Words) -> Option<Instant> {
        let last = self.last_status?;
        (words.status != self.told.status).then(|| last + STATUS_PERIOD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Words {
        Words {
            status: text.to_owned(),
            ..Words::default()
        }
    }

    #[test]
    fn the_first_status_goes_at_once_then_the_last_of_each_half_second() {
        let mut outbox = Outbox::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(outbox.news(&status("a"), false, at(0)), ["STATUS=a"]);
        assert_eq!(outbox.held_until(&status("a")), None);
        for ms in [10, 200, 499] {
            assert!(outbox.news(&status("b"), false, at(ms)).is_empty());
        }
        assert_eq!(outbox.held_until(&status("c")), Some(at(500)));
        assert_eq!(outbox.news(&status("c"), false, at(500)), ["STATUS=c"]);
        assert!(outbox.news(&status("d"), false, at(999)).is_empty());
        assert_eq!(outbox.news(&status("d"), false, at(1000)), ["STATUS=d"]);
    }

    #[test]
    fn a_status_that_went_back_to_what_was_said_is_not_said_again() {
        let mut outbox = Outbox::default();
        let now = Instant::now();
        outbox.news(&status("a"), false, now);
        outbox.news(&status("b"), false, now);
        assert_eq!(outbox.held_until(&status("a")), None);
        let later = now + STATUS_PERIOD * 2;
        assert!(outbox.news(&status("a"), false, later).is_empty());
    }

    #[test]
    fn ready_is_said_once_however_readiness_goes() {
        let mut outbox = Outbox::default();
        let now = Instant::now();
        let words = Words::default();
        assert!(outbox.news(&words, false, now).is_empty());
        assert_eq!(outbox.news(&words, true, now), ["READY=1"]);
        assert!(outbox.news(&words, false, now).is_empty());
        assert!(outbox.news(&words, true, now).is_empty());
    }

    #[test]
    fn each_extension_is_said_also_of_the_same_length() {
        let mut outbox = Outbox::default();
        let now = Instant::now();
        let mut words = Words {
            extension: Duration::from_secs(30),
            ..Words::default()
        };
        for extensions in 1..=2 {
            words.extensions = extensions;
            let news = outbox.news(&words, false, now);
            assert_eq!(news, ["EXTEND_TIMEOUT_USEC=30000000"]);
            assert!(outbox.news(&words, false, now).is_empty());
        }
        words.extensions = 3;
        words.extension = Duration::from_hours(10);
        let longest = format!("EXTEND_TIMEOUT_USEC={}", u32::MAX);
        assert_eq!(outbox.news(&words, false, now), [longest]);
    }

    #[test]
    fn the_last_words_are_not_held_back() {
        let mut outbox = Outbox::default();
        let now = Instant::now();
        outbox.news(&status("serving"), true, now);
        let last = Words {
            stopping: true,
            finished: true,
            ..status("stopped")
        };
        let news = outbox.news(&last, true, now);
        assert_eq!(news, ["STOPPING=1", "STATUS=stopped"]);
    }
}
