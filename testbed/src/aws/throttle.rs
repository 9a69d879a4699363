//! Token buckets, one for each region and class of operation.

use std::collections::BTreeMap;

use tokio::time::Instant;

/// Operations that share a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Those that only ask.
    Describe,
    /// Those that change something.
    Write,
}

/// The size of a bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// How many calls it takes at once.
    pub burst: f64,
    /// How many calls a second it recovers.
    pub per_second: f64,
}

#[derive(Debug, Default)]
pub(super) struct Throttles {
    buckets: BTreeMap<Class, Bucket>,
    levels: BTreeMap<(String, Class), (f64, Instant)>,
}

impl Throttles {
    pub(super) fn set(&mut self, class: Class, bucket: Option<Bucket>) {
        self.levels.retain(|(_, of), _| *of != class);
        match bucket {
            Some(bucket) => self.buckets.insert(class, bucket),
            None => self.buckets.remove(&class),
        };
    }

    /// Takes a token; `false` if there is none.
    pub(super) fn admit(&mut self, region: &str, class: Class, now: Instant) -> bool {
        let Some(bucket) = self.buckets.get(&class) else {
            return true;
        };
        let full = (bucket.burst, now);
        let (level, at) = self
            .levels
            .entry((region.to_owned(), class))
            .or_insert(full);
        let recovered = now.saturating_duration_since(*at).as_secs_f64() * bucket.per_second;
        *level = (*level + recovered).min(bucket.burst);
        *at = now;
        let admitted = *level >= 1.0;
        if admitted {
            *level -= 1.0;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_bucket_empties_and_recovers_for_each_region() {
        let mut throttles = Throttles::default();
        let now = Instant::now();
        assert!(throttles.admit("a", Class::Write, now));
        throttles.set(
            Class::Write,
            Some(Bucket {
                burst: 2.0,
                per_second: 4.0,
            }),
        );
        let admitted = |throttles: &mut Throttles, region, at| {
            (0..10)
                .filter(|_| throttles.admit(region, Class::Write, at))
                .count()
        };
        assert_eq!(admitted(&mut throttles, "a", now), 2);
        assert_eq!(admitted(&mut throttles, "b", now), 2);
        assert_eq!(
            admitted(&mut throttles, "a", now + Duration::from_millis(250)),
            1
        );
        assert_eq!(
            admitted(&mut throttles, "a", now + Duration::from_mins(1)),
            2
        );
        assert!(throttles.admit("a", Class::Describe, now));
        throttles.set(Class::Write, None);
        assert_eq!(admitted(&mut throttles, "a", now), 10);
    }
}
