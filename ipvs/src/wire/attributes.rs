use std::io::Cursor;

use neli::consts::genl::NlAttrType;
use neli::{FromBytes, TypeSize};

use super::error::DecodeError;
use super::writer::{ALIGNMENT, ATTRIBUTE_HEADER as HEADER};

/// The two bits beside the number: nested, network order.
const NUMBER: u16 = !(3 << 14);

/// One attribute of something.
#[derive(Clone, Copy)]
pub(crate) struct Attribute<'a> {
    what: &'static str,
    number: u16,
    /// Its bytes, without header and padding.
    pub(crate) payload: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// What it is, among those of its kind.
    pub(crate) fn kind<T: NlAttrType>(&self) -> T {
        self.number.into()
    }

    /// As a number or bytes of fixed size.
    pub(crate) fn value<T: FromBytes + TypeSize>(&self) -> Result<T, DecodeError> {
        self.expect_size(T::type_size())?;
        T::from_bytes(&mut Cursor::new(self.payload)).map_err(|_| self.size_error(T::type_size()))
    }

    /// As that many bytes.
    pub(crate) fn array<const N: usize>(&self) -> Result<[u8; N], DecodeError> {
        self.payload.try_into().map_err(|_| self.size_error(N))
    }

    /// As a number in network order.
    pub(crate) fn port(&self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// As text, up to the NUL that ends it.
    pub(crate) fn text(&self) -> Result<&'a str, DecodeError> {
        let end = self.payload.iter().position(|byte| *byte == 0);
        let bytes = &self.payload[..end.unwrap_or(self.payload.len())];
        std::str::from_utf8(bytes).map_err(|_| self.wrong(&format!("{bytes:?}"), "text"))
    }

    /// That it has a value that the kernel does not write.
    pub(crate) fn wrong(&self, value: &dyn ToString, expected: &'static str) -> DecodeError {
        DecodeError::Value {
            what: self.what,
            attribute: self.number,
            value: value.to_string(),
            expected,
        }
    }

    fn expect_size(&self, want: usize) -> Result<(), DecodeError> {
        if self.payload.len() == want {
            Ok(())
        } else {
            Err(self.size_error(want))
        }
    }

    fn size_error(&self, want: usize) -> DecodeError {
        DecodeError::Size {
            what: self.what,
            attribute: self.number,
            have: self.payload.len(),
            want,
        }
    }
}

/// The attributes of something, one after another, up to the first whose
/// length is impossible.
pub(crate) struct Attributes<'a> {
    what: &'static str,
    rest: &'a [u8],
}

/// The attributes in these bytes.
pub(crate) fn attributes<'a>(what: &'static str, bytes: &'a [u8]) -> Attributes<'a> {
    Attributes { what, rest: bytes }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let next = self.split();
        if next.is_err() {
            self.rest = &[];
        }
        Some(next)
    }
}

impl<'a> Attributes<'a> {
    fn split(&mut self) -> Result<Attribute<'a>, DecodeError> {
        let &[a, b, c, d, ..] = self.rest else {
            return Err(self.length_error(HEADER));
        };
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let payload = self.rest.get(HEADER..length);
        let payload = payload.ok_or_else(|| self.length_error(length))?;
        let padded = length.next_multiple_of(ALIGNMENT);
        self.rest = self.rest.get(padded..).unwrap_or_default();
        Ok(Attribute {
            what: self.what,
            number: u16::from_ne_bytes([c, d]) & NUMBER,
            payload,
        })
    }

    fn length_error(&self, says: usize) -> DecodeError {
        DecodeError::Length {
            what: self.what,
            says,
            have: self.rest.len(),
        }
    }
}
