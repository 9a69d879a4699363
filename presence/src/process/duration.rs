//! Durations as people write them: `1m30s`, or bare seconds.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

/// Reads `1m30s`, `500ms` or bare seconds (`90`, `1.5`). Fit for clap's
/// `value_parser`.
pub fn parse(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return from_seconds(seconds);
    }
    humantime::parse_duration(text)
        .map_err(|_| format!("{text:?} is no duration: write 1m30s, 500ms or bare seconds"))
        .and_then(bounded)
}

/// Times that are added to others are not to overflow.
fn bounded(duration: Duration) -> Result<Duration, String> {
    const YEARS: u64 = 100;
    if duration > Duration::from_hours(YEARS * 366 * 24) {
        return Err(format!("more than {YEARS} years is no duration here"));
    }
    Ok(duration)
}

fn from_seconds(seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| format!("{seconds} is no duration: a number of seconds from 0 is expected"))
        .and_then(bounded)
}

/// For `#[serde(with = "duration")]`: written as `1m 30s`, read as [`parse`]
/// does, or as a number of seconds.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

/// The other half of [`serialize`].
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration such as \"1m30s\", or a number of seconds")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
            parse(text).map_err(E::custom)
        }

        fn visit_u64<E: Error>(self, seconds: u64) -> Result<Duration, E> {
            bounded(Duration::from_secs(seconds)).map_err(E::custom)
        }

        fn visit_i64<E: Error>(self, seconds: i64) -> Result<Duration, E> {
            Err(E::custom(format!("{seconds} is below 0")))
        }

        fn visit_f64<E: Error>(self, seconds: f64) -> Result<Duration, E> {
            from_seconds(seconds).map_err(E::custom)
        }
    }

    deserializer.deserialize_any(Text)
}

/// The same for `Option<Duration>`, written only.
pub mod option {
    use super::{Duration, Serializer};

    /// Writes nothing for `None`.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        #[serde(with = "super")]
        time: Duration,
    }

    #[test]
    fn people_write_them_in_several_ways() {
        for (text, milliseconds) in [
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("500ms", 500),
            ("1.5s", 1500),
            ("90", 90_000),
            ("1.5", 1500),
            ("0", 0),
            ("1h0m0s", 3_600_000),
        ] {
            assert_eq!(
                parse(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_none_is_named_with_what_is_allowed() {
        for (text, message) in [
            (
                "soon",
                "\"soon\" is no duration: write 1m30s, 500ms or bare seconds",
            ),
            (
                "",
                "\"\" is no duration: write 1m30s, 500ms or bare seconds",
            ),
            (
                "1 fortnight",
                "\"1 fortnight\" is no duration: write 1m30s, 500ms or bare seconds",
            ),
            (
                "-5",
                "-5 is no duration: a number of seconds from 0 is expected",
            ),
            (
                "NaN",
                "NaN is no duration: a number of seconds from 0 is expected",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error, message);
        }
    }

    #[test]
    fn json_has_them_as_text_or_as_seconds() {
        let time = Duration::from_millis(90_500);
        for json in [
            r#"{"time":"1m30s500ms"}"#,
            r#"{"time":90.5}"#,
            r#"{"time":"90.5"}"#,
        ] {
            let holder: Holder = serde_json::from_str(json).unwrap();
            assert_eq!(holder, Holder { time }, "{json}");
        }
        let whole: Holder = serde_json::from_str(r#"{"time":90}"#).unwrap();
        assert_eq!(whole.time, Duration::from_secs(90));
        let written = serde_json::to_string(&Holder { time }).unwrap();
        assert_eq!(written, r#"{"time":"1m 30s 500ms"}"#);
        assert_eq!(serde_json::from_str::<Holder>(&written).unwrap().time, time);
        for json in [r#"{"time":-1}"#, r#"{"time":true}"#, r#"{"time":"x"}"#] {
            assert!(serde_json::from_str::<Holder>(json).is_err(), "{json}");
        }
    }
}
