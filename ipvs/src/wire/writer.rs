use neli::consts::genl::{Cmd, NlAttrType};

use super::encode::Header;
use super::numbers::VERSION;

/// Lengths and attributes start at multiples of this.
pub(super) const ALIGNMENT: usize = 4;

/// The bytes of an attribute's length and number.
pub(super) const ATTRIBUTE_HEADER: usize = 4;

/// What most messages fit into, so that a message makes room once.
const MESSAGE: usize = 512;

/// Messages one after another, as they are sent. It keeps its memory when
/// cleared: a batch allocates nothing.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// What has been written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets what has been written.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn message(
        &mut self,
        header: Header,
        command: impl Cmd,
        body: impl FnOnce(&mut Self),
    ) {
        let start = self.bytes.len();
        self.bytes.reserve(MESSAGE);
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&header.kind.to_ne_bytes());
        self.bytes
            .extend_from_slice(&header.flags.bits().to_ne_bytes());
        self.bytes.extend_from_slice(&header.sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes
            .extend_from_slice(&[command.into(), VERSION, 0, 0]);
        body(self);
        let length = u32::try_from(self.bytes.len() - start).expect("a message is small");
        self.patch(start, &length.to_ne_bytes());
    }

    pub(super) fn attribute(&mut self, kind: impl NlAttrType, value: &[u8]) {
        self.attribute_header(kind.into(), ATTRIBUTE_HEADER + value.len());
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    pub(super) fn number(&mut self, kind: impl NlAttrType, value: u32) {
        self.attribute_header(kind.into(), ATTRIBUTE_HEADER + 4);
        self.bytes.extend_from_slice(&value.to_ne_bytes());
    }

    pub(super) fn half_number(&mut self, kind: impl NlAttrType, value: u16) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    pub(super) fn port(&mut self, kind: impl NlAttrType, value: u16) {
        self.attribute(kind, &value.to_be_bytes());
    }

    pub(super) fn text(&mut self, kind: impl NlAttrType, value: &str) {
        self.attribute_header(kind.into(), ATTRIBUTE_HEADER + value.len() + 1);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
        self.pad();
    }

    pub(super) fn nested(&mut self, kind: impl NlAttrType, body: impl FnOnce(&mut Self)) {
        /// `NLA_F_NESTED`.
        const NESTED: u16 = 1 << 15;
        let start = self.bytes.len();
        let number: u16 = kind.into();
        self.attribute_header(number | NESTED, 0);
        body(self);
        let length = u16::try_from(self.bytes.len() - start).expect("an attribute is small");
        self.patch(start, &length.to_ne_bytes());
    }

    fn attribute_header(&mut self, number: u16, length: usize) {
        let length = u16::try_from(length).expect("an attribute is small");
        let ([a, b], [c, d]) = (length.to_ne_bytes(), number.to_ne_bytes());
        self.bytes.extend_from_slice(&[a, b, c, d]);
    }

    /// Messages start at multiples of it as well, so it is enough to look at
    /// the whole.
    fn pad(&mut self) {
        let padded = self.bytes.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(padded, 0);
    }

    fn patch(&mut self, at: usize, value: &[u8]) {
        self.bytes[at..at + value.len()].copy_from_slice(value);
    }
}
