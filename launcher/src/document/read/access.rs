//! What is within a value, one after the other.

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::Reader;
use crate::document::error::Error;
use crate::document::{Content, Entry, Node, Position, Step};

/// A key that the author wrote for purposes of their own.
pub(super) fn is_own(key: &str) -> bool {
    key.starts_with("x-")
}

pub(super) struct Items<'n> {
    items: std::iter::Enumerate<std::slice::Iter<'n, Node>>,
}

impl<'n> Items<'n> {
    pub(super) fn new(items: &'n [Node]) -> Self {
        Self {
            items: items.iter().enumerate(),
        }
    }
}

impl<'n> SeqAccess<'n> for Items<'n> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'n>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let is_there = |(_, node): &(usize, &Node)| node.content != Content::Removed;
        let Some((index, node)) = self.items.find(is_there) else {
            return Ok(None);
        };
        seed.deserialize(Reader(node))
            .map(Some)
            .map_err(|error| error.located(node).below(Step::Index(index)))
    }
}

pub(super) struct Entries<'n> {
    entries: Vec<&'n Entry>,
    value: Option<&'n Entry>,
}

impl<'n> Entries<'n> {
    /// All of them, last first.
    pub(super) fn all(entries: &'n [Entry]) -> Self {
        Self {
            entries: entries.iter().rev().collect(),
            value: None,
        }
    }

    /// Those that say something, and are not the author's own.
    pub(super) fn written(entries: &'n [Entry]) -> Self {
        let mut all = Self::all(entries);
        let says = |entry: &&Entry| !entry.value.is_null() && !is_own(&entry.key);
        all.entries.retain(says);
        all
    }
}

impl<'n> MapAccess<'n> for Entries<'n> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'n>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.value = self.entries.pop();
        let Some(entry) = self.value else {
            return Ok(None);
        };
        seed.deserialize(StrDeserializer::new(&entry.key))
            .map(Some)
            .map_err(|error: Error| error.at_key(entry.at))
    }

    fn next_value_seed<V: DeserializeSeed<'n>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let entry = self
            .value
            .take()
            .ok_or_else(|| <Error as de::Error>::custom("a value is asked for before its key"))?;
        seed.deserialize(Reader(&entry.value)).map_err(|error| {
            error
                .located(&entry.value)
                .below(Step::Key(entry.key.clone()))
        })
    }
}

/// What a variant has that is given by its name alone.
pub(super) static NOTHING: Node = Node {
    at: Position::START,
    content: Content::Scalar {
        text: String::new(),
        plain: true,
    },
};

/// `{name: value}`, or the name alone.
pub(super) struct Variant<'n> {
    pub(super) name: &'n str,
    pub(super) value: &'n Node,
}

impl<'n> EnumAccess<'n> for Variant<'n> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'n>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        seed.deserialize(StrDeserializer::<Error>::new(self.name))
            .map(|variant| (variant, self))
    }
}

impl<'n> VariantAccess<'n> for Variant<'n> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        if self.value.is_null() {
            return Ok(());
        }
        Err(Error::expected(format!("nothing below {:?}", self.name)).located(self.value))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'n>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(Reader(self.value))
    }

    fn tuple_variant<V: Visitor<'n>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        Reader(self.value).deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'n>>(
        self,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        Reader(self.value).deserialize_struct("", known, visitor)
    }
}
