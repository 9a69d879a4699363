//! What is going on in a watch, in words for `systemctl status` and `/readyz`.

use presence::probe::Verdict;
use presence::publisher::{Report, Standing};

use crate::prober::Seen;

/// Whether etcd has the key as it should be, or else why not.
pub(crate) fn published(key: &str, report: &Report) -> Result<(), String> {
    let trouble = |own: &Option<String>| {
        let trouble = own.as_ref().or(report.trouble.as_ref());
        trouble.map(|trouble| format!("not published: {trouble}"))
    };
    match report.keys.get(key) {
        Some(Standing::Published { trouble: own, .. }) => trouble(own).map_or(Ok(()), Err),
        Some(Standing::Pending { trouble: own } | Standing::Leaving { trouble: own }) => {
            Err(trouble(own).unwrap_or_else(|| "being published".to_owned()))
        }
        Some(Standing::StandingBy { .. }) => Err(format!(
            "somebody else has written {key}: standing by until it is gone"
        )),
        Some(Standing::Withdrawn { .. }) => Err(format!(
            "somebody has deleted {key}: it stays away until this is restarted"
        )),
        Some(Standing::Left) | None => {
            Err(trouble(&None).unwrap_or_else(|| "nothing to publish yet".to_owned()))
        }
    }
}

/// `up: 200 OK`, or how it is not, and how that stands in etcd.
pub(crate) fn status(seen: Option<&Seen>, published: &Result<(), String>) -> String {
    let service = service(seen);
    match published {
        Ok(()) => service,
        Err(why) => format!("{service}; {why}"),
    }
}

/// Why this watch is not ready.
pub(crate) fn not_ready(seen: Option<&Seen>, why: &str) -> String {
    match seen.map(|seen| seen.verdict) {
        Some(Verdict::Up | Verdict::Down) => why.to_owned(),
        Some(Verdict::Unknown) | None => service(seen),
    }
}

fn service(seen: Option<&Seen>) -> String {
    let Some(seen) = seen else {
        return "probing for the first time".to_owned();
    };
    let since = seen.since;
    match seen.verdict {
        Verdict::Up if seen.outcome.is_up => format!("up since {since:.0}: {}", seen.outcome),
        Verdict::Up => format!("up since {since:.0}, but a probe failed: {}", seen.outcome),
        Verdict::Down => format!("down since {since:.0}: {}", seen.outcome),
        Verdict::Unknown => format!("not known yet whether it is up: {}", seen.outcome),
    }
}

#[cfg(test)]
mod tests {
    use presence::model::{LeaseId, Revision};
    use presence::probe::Outcome;
    use tokio::time::Instant;

    use super::*;

    const KEY: &str = "/service-monitor/es/hosts/es-1";

    fn seen(verdict: Verdict, is_up: bool, words: &str) -> Seen {
        Seen {
            began: Instant::now(),
            outcome: Outcome {
                is_up,
                words: words.to_owned(),
            },
            verdict,
            since: "2026-11-20T12:00:00.5Z".parse().unwrap(),
        }
    }

    fn report(standing: Standing, trouble: Option<&str>) -> Report {
        Report {
            keys: [(KEY.to_owned(), standing)].into(),
            trouble: trouble.map(str::to_owned),
            ..Report::default()
        }
    }

    fn in_etcd() -> Standing {
        Standing::Published {
            at: Revision(7),
            lease: LeaseId(1),
            trouble: None,
        }
    }

    #[test]
    fn the_service_comes_first_and_etcd_where_something_is_wrong() {
        let up = seen(Verdict::Up, true, "200 OK");
        let fine = published(KEY, &report(in_etcd(), None));
        assert_eq!(
            status(Some(&up), &fine),
            "up since 2026-11-20T12:00:00Z: 200 OK"
        );
        let away = published(KEY, &report(in_etcd(), Some("etcd is away")));
        assert_eq!(
            status(Some(&up), &away),
            "up since 2026-11-20T12:00:00Z: 200 OK; not published: etcd is away"
        );
        let down = seen(Verdict::Down, false, "Connection refused");
        assert_eq!(
            status(Some(&down), &fine),
            "down since 2026-11-20T12:00:00Z: Connection refused"
        );
        let wavering = seen(Verdict::Up, false, "Connection refused");
        assert_eq!(
            status(Some(&wavering), &fine),
            "up since 2026-11-20T12:00:00Z, but a probe failed: Connection refused"
        );
    }

    #[test]
    fn whoever_is_not_ready_says_why() {
        let published = |standing| published(KEY, &report(standing, None));
        let up = seen(Verdict::Up, true, "200 OK");
        let why = |standing| not_ready(Some(&up), &published(standing).unwrap_err());
        assert_eq!(why(Standing::Pending { trouble: None }), "being published");
        let trouble = Some("too large".to_owned());
        assert_eq!(
            why(Standing::Pending { trouble }),
            "not published: too large"
        );
        assert_eq!(
            why(Standing::StandingBy { holder: None }),
            format!("somebody else has written {KEY}: standing by until it is gone")
        );
        assert_eq!(
            why(Standing::Withdrawn { at: Revision(9) }),
            format!("somebody has deleted {KEY}: it stays away until this is restarted")
        );
        assert_eq!(not_ready(None, "x"), "probing for the first time");
        let unknown = seen(Verdict::Unknown, false, "no answer within 1s");
        assert_eq!(
            not_ready(Some(&unknown), "x"),
            "not known yet whether it is up: no answer within 1s"
        );
    }
}
