use std::fmt;

use super::path::{Path, Step};

/// A place in a document, as editors count: lines and characters from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

impl Position {
    /// Where every document begins.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// `line:column`.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub content: Content,
}

/// What a value of a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A text as it is spelled, so that `1.10` stays `1.10`. One that is plain, without quotes,
    /// may be a number, a truth value or nothing.
    Scalar {
        /// Its characters.
        text: String,
        /// Whether it is without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// Keys and their values, in the order of the document.
    Mapping(Vec<Entry>),
    /// An element of a list that was taken out; the others keep their numbers.
    Removed,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where the key is.
    pub at: Position,
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// Nothing: what a key without a value has.
    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The entry of this key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// What it is, in words for a message.
    pub fn words(&self) -> String {
        match &self.content {
            Content::List(_) => "a list".to_owned(),
            Content::Mapping(_) => "a mapping of keys".to_owned(),
            Content::Removed => "nothing".to_owned(),
            Content::Scalar { .. } if self.is_null() => "nothing".to_owned(),
            Content::Scalar { text, plain: true } => presence::model::excerpt(text),
            Content::Scalar { text, plain: false } => {
                format!("{:?}", presence::model::excerpt(text))
            }
        }
    }

    /// Where the path leads, or the last place on it that there is.
    pub fn position(&self, path: &Path) -> Position {
        let mut node = self;
        let mut at = self.at;
        for step in path.steps() {
            let next = match (&node.content, step) {
                (Content::List(items), Step::Index(index)) => items.get(*index),
                (_, Step::Key(key)) => node.entry(key).map(|entry| &entry.value),
                _ => None,
            };
            let Some(next) = next else { break };
            // A value that is not written has the place of what follows.
            at = match (&next.content, step) {
                (Content::Scalar { text, .. }, Step::Key(key)) if text.is_empty() => {
                    node.entry(key).map_or(next.at, |entry| entry.at)
                }
                _ => next.at,
            };
            node = next;
        }
        at
    }

    /// Takes what the path leads to out of the document.
    pub fn remove(&mut self, path: &Path) {
        let Some((last, steps)) = path.steps().split_last() else {
            return;
        };
        let mut node = self;
        for step in steps {
            let next = match (&mut node.content, step) {
                (Content::List(items), Step::Index(index)) => items.get_mut(*index),
                (Content::Mapping(entries), Step::Key(key)) => {
                    let entry = entries.iter_mut().find(|entry| entry.key == *key);
                    entry.map(|entry| &mut entry.value)
                }
                _ => None,
            };
            let Some(next) = next else { return };
            node = next;
        }
        match (&mut node.content, last) {
            (Content::List(items), Step::Index(index)) => {
                if let Some(item) = items.get_mut(*index) {
                    item.content = Content::Removed;
                }
            }
            (Content::Mapping(entries), Step::Key(key)) => {
                entries.retain(|entry| entry.key != *key);
            }
            _ => {}
        }
    }
}
