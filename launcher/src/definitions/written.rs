//! A text and its revision as a definition, or what is wrong with it.

use presence::keys::Tree;
use presence::model::{DefinitionRevision, Revision, ServiceName};

use super::{FindError, Found, Origin};
use crate::definition::Document;
use crate::instance::InstanceName;
use crate::policy::Policy;

/// A definition as somebody wrote it.
#[derive(Debug, Clone)]
pub struct Written {
    /// Where: a key or a file.
    pub place: String,
    /// Its revision.
    pub revision: DefinitionRevision,
    /// The document as it is.
    pub text: String,
    /// What it says, and where.
    pub document: Document,
    /// Whether it is the definition that is in force now.
    pub is_newest: bool,
}

impl Written {
    /// Reads the newest definition of a service, which was written at that revision.
    pub fn read(
        name: &ServiceName,
        place: String,
        bytes: &[u8],
        mod_revision: Revision,
    ) -> Result<Self, FindError> {
        let text = text(&place, bytes)?;
        let document = match Document::parse(&text) {
            Ok(document) => document,
            Err(problems) => return Err(FindError::Wrong { place, problems }),
        };
        match &document.parsed.name {
            Some(found) if found != name => Err(FindError::OtherName {
                place,
                name: name.clone(),
                found: found.clone(),
            }),
            _ => Ok(Self {
                place,
                revision: document.parsed.definition.revision(mod_revision),
                text,
                document,
                is_newest: true,
            }),
        }
    }

    /// Reads what was kept of that revision, and makes sure that it is it.
    pub fn past(
        place: String,
        text: String,
        revision: DefinitionRevision,
    ) -> Result<Self, FindError> {
        let why = match Document::parse(&text) {
            Ok(document) => {
                let found = document.parsed.definition.revision(revision.mod_revision());
                if found == revision {
                    return Ok(Self {
                        place,
                        revision,
                        text,
                        document,
                        is_newest: false,
                    });
                }
                format!("it holds {found}")
            }
            Err(problems) => {
                let first = problems.first().map(ToString::to_string);
                format!("it holds no definition: {}", first.unwrap_or_default())
            }
        };
        Err(FindError::Altered { place, why })
    }

    /// The same as the instance of that name, if it is that definition.
    pub fn as_instance(self, instance: InstanceName) -> Option<Self> {
        let revision = match instance {
            InstanceName::Revision(revision) => revision,
            InstanceName::Newest | InstanceName::Number(_) => self.revision,
        };
        let is_it = instance.names(revision) && self.revision.is_same_definition(revision);
        is_it.then_some(Self { revision, ..self })
    }

    /// As a definition that may be started, if the policy allows it and it fits the tree.
    pub(super) fn admit(
        self,
        name: &ServiceName,
        origin: Origin,
        policy: Option<&Policy>,
        tree: &Tree,
    ) -> Result<Found, FindError> {
        let outside = self.document.outside(tree);
        if !outside.is_empty() {
            return Err(FindError::Wrong {
                place: self.place,
                problems: outside,
            });
        }
        let problems = policy.map(|policy| self.document.refused_by(policy));
        match problems.filter(|problems| !problems.is_empty()) {
            Some(problems) => Err(FindError::Refused {
                place: self.place,
                problems,
            }),
            None => Ok(Found {
                name: name.clone(),
                revision: self.revision,
                definition: self.document.parsed.definition,
                text: self.text,
                place: self.place,
                origin,
                is_newest: self.is_newest,
                from_cache: false,
            }),
        }
    }
}

fn text(place: &str, bytes: &[u8]) -> Result<String, FindError> {
    let text = str::from_utf8(bytes).map_err(|error| FindError::NoText {
        place: place.to_owned(),
        byte: error.valid_up_to(),
    })?;
    Ok(text.to_owned())
}
