//! Writes XML the way AWS does: no attributes but the namespace, lists of `member`.

use std::fmt::{Display, Write as _};

/// XML as it grows.
#[derive(Debug, Default)]
pub(super) struct Xml(String);

impl Xml {
    /// An element around what `content` writes.
    pub(super) fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.root(name, "", content);
    }

    /// As [`Xml::element`], with attributes as they stand in XML.
    pub(super) fn root(&mut self, name: &str, attributes: &str, content: impl FnOnce(&mut Self)) {
        let _ = write!(self.0, "<{name}{attributes}>");
        content(self);
        let _ = write!(self.0, "</{name}>");
    }

    /// An element with text.
    pub(super) fn text(&mut self, name: &str, text: impl Display) {
        self.element(name, |xml| xml.escaped(&text.to_string()));
    }

    /// An element without content.
    pub(super) fn empty(&mut self, name: &str) {
        let _ = write!(self.0, "<{name}/>");
    }

    /// A list: a `member` for each item.
    pub(super) fn members<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut content: impl FnMut(&mut Self, T),
    ) {
        self.element(name, |xml| {
            for item in items {
                xml.element("member", |xml| content(xml, item));
            }
        });
    }

    /// Text with what means something in XML escaped.
    pub(super) fn escaped(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                other => self.0.push(other),
            }
        }
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_escapes() {
        let mut xml = Xml::default();
        xml.members("L", ["a<b", "c&d"], |xml, item| xml.text("I", item));
        xml.empty("E");
        let expected = "<L><member><I>a&lt;b</I></member><member><I>c&amp;d</I></member></L><E/>";
        assert_eq!(xml.into_string(), expected);
    }
}
