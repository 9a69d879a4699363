//! From a document to a definition, or to everything that is wrong with it.

use presence::keys::Tree;
use presence::model::ServiceName;

use super::check::check;
use super::check_publish::outside;
use super::rewrite::rewrite;
use super::{Definition, Image};
use crate::document::{self, Content, Finding, Node, Path, Problem};
use crate::policy::Policy;

/// A definition, and what its document says beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The definition.
    pub definition: Definition,
    /// The service's name, where the document says it.
    pub name: Option<ServiceName>,
}

/// A definition that was read, and the document, which knows where everything is.
#[derive(Debug, Clone)]
pub struct Document {
    /// What it says.
    pub parsed: Parsed,
    nodes: Node,
}

/// Reads a definition in YAML or JSON. What is wrong with it is in the order of the document.
pub fn parse(text: &str) -> Result<Parsed, Vec<Problem>> {
    Document::parse(text).map(|document| document.parsed)
}

impl Document {
    /// Reads it. What is wrong is in its order.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut nodes = document::load(text).map_err(|problem| vec![problem])?;
        let mut problems = foreign(&mut nodes);
        problems.extend(rewrite(&mut nodes));
        let definition = match document::read::<Definition>(&nodes) {
            Ok(definition) if problems.is_empty() => definition,
            Ok(_) => return Err(sorted(problems)),
            Err(more) => return Err(sorted([problems, more].concat())),
        };
        let (parsed, mut findings) = settle(definition);
        findings.extend(check(&parsed.definition));
        let document = Self { parsed, nodes };
        if findings.is_empty() {
            Ok(document)
        } else {
            Err(document.located(findings))
        }
    }

    /// What of it a policy refuses, and where.
    pub fn refused_by(&self, policy: &Policy) -> Vec<Problem> {
        let refusals = policy.refusals(&self.parsed.definition).into_iter();
        self.located(refusals.map(Finding::from))
    }

    /// What of it is published outside of this tree, and where.
    pub fn outside(&self, tree: &Tree) -> Vec<Problem> {
        self.located(outside(&self.parsed.definition, tree))
    }

    fn located(&self, findings: impl IntoIterator<Item = Finding>) -> Vec<Problem> {
        let findings = findings.into_iter();
        let located = findings.map(|finding| as_written(finding, &self.nodes).located(&self.nodes));
        sorted(located.collect())
    }
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| problem.at);
    problems
}

/// Keys that people bring along from elsewhere, and what takes their place.
const ELSEWHERE: [(&str, &str); 8] = [
    (
        "services",
        "this is a compose file; a definition is what is below services.NAME",
    ),
    ("restart", "systemd starts it again: Restart= in the unit"),
    (
        "container_name",
        "launcher names its containers itself, after service and revision",
    ),
    (
        "depends_on",
        "systemd orders services: Wants= and After= in the unit",
    ),
    ("deploy", "write mem_limit, cpus and update"),
    (
        "logging",
        "launcher takes the output itself, to the journal under systemd",
    ),
    ("expose", "it has no effect; write port, or leave it out"),
    ("secrets", "mount a file with volumes, or write env_file"),
];

/// Takes out what is known not to belong here, with better words than that it is unknown.
fn foreign(document: &mut Node) -> Vec<Problem> {
    let has_image = document.entry("image").is_some();
    let Content::Mapping(entries) = &mut document.content else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    entries.retain(|entry| {
        let known = ELSEWHERE.iter().find(|(key, _)| *key == entry.key);
        if let Some((key, hint)) = known {
            problems.push(Problem {
                at: entry.at,
                message: format!("{key:?} is no key of a definition"),
                hint: Some((*hint).to_owned()),
            });
            return false;
        }
        if !has_image && is_image_without_key(&entry.key) && entry.value.is_null() {
            problems.push(Problem {
                at: entry.at,
                message: format!("{:?} has no key before it", entry.key),
                hint: Some(format!("did you mean \"image\": {:?}?", entry.key)),
            });
            return false;
        }
        true
    });
    problems
}

/// No key has a colon or a slash, and nearly every image has.
fn is_image_without_key(text: &str) -> bool {
    text.contains([':', '/']) && text.parse::<Image>().is_ok()
}

/// Puts what can be said in more than one way in its one place.
fn settle(mut definition: Definition) -> (Parsed, Vec<Finding>) {
    let mut findings = Vec::new();
    if let Some(healthcheck) = definition.healthcheck.take() {
        if definition.health_check.is_some() {
            let message = "health_check is given as well; write one of both";
            findings.push(Finding::new(Path::key("healthcheck"), message));
        }
        definition.health_check = Some(healthcheck.health_check());
    }
    for value in definition.labels.0.values_mut() {
        value.get_or_insert_default();
    }
    let (name, id) = (definition.name.take(), definition.couchdb_id.take());
    if let (Some(name), Some(id)) = (&name, &id)
        && name != id
    {
        let message = format!(
            "{:?} is expected, as name says; {:?} is found",
            name.as_str(),
            id.as_str()
        );
        findings.push(Finding::new(Path::key("_id"), message));
    }
    definition.couchdb_revision = None;
    let parsed = Parsed {
        definition,
        name: name.or(id),
    };
    (parsed, findings)
}

/// A finding about compose's `healthcheck`, which was settled into `health_check`, is shown where
/// it was written.
fn as_written(finding: Finding, document: &Node) -> Finding {
    let is_settled = document.entry("health_check").is_none()
        && finding.path.is_within(&Path::key("health_check"));
    if is_settled {
        return Finding {
            path: Path::key("healthcheck"),
            ..finding
        };
    }
    finding
}
