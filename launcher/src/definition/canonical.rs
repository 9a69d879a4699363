//! The one form of a definition, however it was written.

use presence::model::{DefinitionRevision, Revision};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Definition;
use super::sparse::without;

impl Definition {
    /// The definition as JSON in its one form: keys in the order of their names, nothing that is
    /// the default, each thing in one spelling. It is a document that means the same.
    pub fn canonical(&self) -> String {
        self.canonical_value().to_string()
    }

    /// The same on several lines, for people.
    pub fn pretty(&self) -> String {
        format!("{:#}\n", self.canonical_value())
    }

    /// Which revision it is if it was written at this one.
    pub fn revision(&self, mod_revision: Revision) -> DefinitionRevision {
        DefinitionRevision::new(mod_revision, &self.sha256())
    }

    /// The SHA-256 of the canonical form: the same for all documents that mean the same.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.canonical()).into()
    }

    fn canonical_value(&self) -> Value {
        let value = without(self, &Self::blank());
        sorted(value.expect("its keys are texts and its numbers finite"))
    }
}

/// The order of keys in a map of serde_json depends on what else is in the build.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            let fields = fields
                .into_iter()
                .map(|(name, value)| (name, sorted(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
