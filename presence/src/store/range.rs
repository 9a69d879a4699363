//! A range of keys.

/// All keys from `start` on and before `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    start: String,
    /// `None`: to the last key.
    end: Option<Vec<u8>>,
}

impl KeyRange {
    /// The keys that begin with this.
    pub fn below(prefix: &str) -> Self {
        Self {
            start: prefix.to_owned(),
            end: successor(prefix.as_bytes()),
        }
    }

    /// The keys from `start` on and before `end`.
    pub fn between(start: impl Into<String>, end: impl Into<String>) -> Self {
        Self {
            start: start.into(),
            end: Some(end.into().into_bytes()),
        }
    }

    /// The keys below `outer` but not below `inner`, which begins with
    /// `outer`: before it, and after it.
    pub fn around(outer: &str, inner: &str) -> [Self; 2] {
        let start = successor(inner.as_bytes()).unwrap_or_default();
        [
            Self::between(outer, inner),
            Self {
                start: String::from_utf8_lossy(&start).into_owned(),
                end: successor(outer.as_bytes()),
            },
        ]
    }

    /// The first key that may be in it.
    pub fn start(&self) -> &str {
        &self.start
    }

    /// As etcd has it: a zero byte is the end of all keys.
    pub(super) fn end(&self) -> Vec<u8> {
        self.end.clone().unwrap_or_else(|| vec![0])
    }

    /// Whether the key is in it.
    pub fn contains(&self, key: &str) -> bool {
        let (start, key) = (self.start.as_bytes(), key.as_bytes());
        key >= start && self.end.as_ref().is_none_or(|end| key < end.as_slice())
    }
}

/// The first key after all that begin with this, if there is one.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_prefix() {
        assert_eq!(KeyRange::below("/a/").end(), b"/a0");
        assert_eq!(successor(b"a\xff"), Some(b"b".to_vec()));
        assert_eq!(KeyRange::below("").end(), [0]);
        assert!(KeyRange::below("").contains("/x"));
    }

    #[test]
    fn what_is_around_a_prefix_is_not_below_it() {
        let around = KeyRange::around("/t/", "/t/ipvs/");
        let has = |key: &str| around.iter().any(|range| range.contains(key));
        for key in [
            "/t/",
            "/t/config",
            "/t/elb/a",
            "/t/ipvs",
            "/t/ipvs0",
            "/t/route53/x",
        ] {
            assert!(has(key), "{key}");
        }
        for key in ["/t", "/s/x", "/u/", "/t/ipvs/", "/t/ipvs/edge/x", "/t0"] {
            assert!(!has(key), "{key}");
        }
    }
}
