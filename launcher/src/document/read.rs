//! Nodes to types: a deserializer that knows where it is.

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::error::Error;
use super::scalar::{Plain, boolean, number, plain};
use super::{Content, Entry, Node, Path, Problem, Step};

use access::{Entries, Items, NOTHING, Variant, is_own};

mod access;

/// As many as a person goes through before trying again.
const MOST_PROBLEMS: usize = 50;

/// Reads a document into a type, or says everything that is wrong with it.
///
/// A key that is unknown and starts with `x-` is the author's own. A key with no value counts as
/// not written. Numbers are taken for texts where texts are expected, as they are spelled.
pub fn read<T: DeserializeOwned>(document: &Node) -> Result<T, Vec<Problem>> {
    let mut rest = document.clone();
    let mut problems = Vec::new();
    let mut removed = Vec::new();
    // What is wrong is taken out, and the rest read again: so one mistake does not hide another.
    while problems.len() < MOST_PROBLEMS {
        let error = match T::deserialize(Reader(&rest)) {
            Ok(value) if problems.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(error) => error.located(&rest),
        };
        let culprit = error.culprit();
        // What lacks something that was taken out of it is not to blame for that.
        if !removed.iter().any(|path: &Path| path.is_within(&culprit)) {
            problems.push(error.problem());
        }
        if culprit.steps().is_empty() {
            break;
        }
        rest.remove(&culprit);
        removed.push(culprit);
    }
    problems.sort_by_key(|problem| problem.at);
    Err(problems)
}

struct Reader<'n>(&'n Node);

/// Numbers may be in quotes: many write ports so.
macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let number = self.text().and_then(|text| text.parse::<$type>().ok());
            let number = number.ok_or_else(|| {
                let (least, most) = (<$type>::MIN, <$type>::MAX);
                Error::expected(format!("a whole number from {least} to {most}"))
            });
            number.and_then(|number| visitor.$visit(number)).map_err(|error| error.located(self.0))
        }
    )*};
}

impl<'n> Reader<'n> {
    fn text(&self) -> Option<&'n str> {
        match &self.0.content {
            Content::Scalar { text, .. } if !self.0.is_null() => Some(text),
            _ => None,
        }
    }

    fn scalar<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        let Some(text) = self.text() else {
            return Err(Error::expected("a text"));
        };
        if text.contains('\0') {
            return Err(de::Error::custom(
                "the text holds a NUL character, which no program can be given",
            ));
        }
        visitor.visit_borrowed_str(text)
    }

    fn mapping(&self) -> Result<&'n [Entry], Error> {
        match &self.0.content {
            Content::Mapping(entries) => Ok(entries),
            _ if self.0.is_null() => Ok(&[]),
            _ => Err(Error::expected("a mapping of keys")),
        }
    }

    fn any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.content {
            Content::List(items) => visitor.visit_seq(Items::new(items)),
            Content::Mapping(entries) => visitor.visit_map(Entries::all(entries)),
            Content::Scalar { .. } if self.0.is_null() => visitor.visit_unit(),
            Content::Scalar { text, plain: true } => match plain(text) {
                Plain::Bool(value) => visitor.visit_bool(value),
                Plain::Unsigned(value) => visitor.visit_u64(value),
                Plain::Signed(value) => visitor.visit_i64(value),
                Plain::Float(value) => visitor.visit_f64(value),
                Plain::Text(_) => self.scalar(visitor),
            },
            Content::Scalar { plain: false, .. } | Content::Removed => self.scalar(visitor),
        }
    }

    fn variant<V: Visitor<'n>>(self, visitor: V, known: &[&str]) -> Result<V::Value, Error> {
        match &self.0.content {
            Content::Scalar { text, .. } if !self.0.is_null() => {
                let alone = Variant {
                    name: text,
                    value: &NOTHING,
                };
                visitor
                    .visit_enum(alone)
                    .map_err(|error| error.moved(self.0.at))
            }
            Content::Mapping(entries) => match entries.as_slice() {
                [entry] if !known.contains(&entry.key.as_str()) => {
                    Err(Error::unknown(&entry.key, known).at_key(entry.at))
                }
                [entry] => visitor
                    .visit_enum(Variant {
                        name: &entry.key,
                        value: &entry.value,
                    })
                    .map_err(|error| {
                        error
                            .located(&entry.value)
                            .below(Step::Key(entry.key.clone()))
                    }),
                _ => Err(Error::expected(format!(
                    "exactly one of {}",
                    known.join(", ")
                ))),
            },
            _ => Err(Error::expected(format!("one of {}", known.join(", ")))),
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let node = self.0;
        self.any(visitor).map_err(|error| error.located(node))
    }

    whole_numbers! {
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.text().and_then(number);
        let value = value.ok_or_else(|| Error::expected("a number").located(self.0));
        visitor.visit_f64(value?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.text().and_then(boolean);
        let value = value.ok_or_else(|| Error::expected("true or false").located(self.0));
        visitor.visit_bool(value?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let node = self.0;
        self.scalar(visitor).map_err(|error| error.located(node))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let node = self.0;
        visitor
            .visit_newtype_struct(self)
            .map_err(|error| error.located(node))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.content {
            Content::List(items) => visitor.visit_seq(Items::new(items)),
            _ => Err(Error::expected("a list")),
        }
        .map_err(|error| error.located(self.0))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.mapping()
            .and_then(|entries| visitor.visit_map(Entries::all(entries)))
            .map_err(|error| error.located(self.0))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.mapping()
            .and_then(|entries| {
                let unknown = entries
                    .iter()
                    .find(|entry| !known.contains(&entry.key.as_str()) && !is_own(&entry.key));
                match unknown {
                    Some(entry) => Err(Error::unknown(&entry.key, known).at_key(entry.at)),
                    None => visitor.visit_map(Entries::written(entries)),
                }
            })
            .map_err(|error| error.located(self.0))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let node = self.0;
        self.variant(visitor, known)
            .map_err(|error| error.located(node))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        f32 i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

#[cfg(test)]
mod tests;
