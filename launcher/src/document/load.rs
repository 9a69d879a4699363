//! Text to nodes.

use std::collections::BTreeMap;

use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, ScanError, Span, Tag};

use super::{Content, Entry, Node, Position, Problem};

/// A document is read whole, and a value of etcd is at most 1.5 MiB.
const MOST_BYTES: usize = 1024 * 1024;
/// An alias is a copy: a few lines could become more than fits into memory.
const MOST_NODES: usize = 50_000;
/// As deep as anything is nested here, and much less than the stack can bear.
const DEEPEST: usize = 32;

/// Reads a document of YAML or JSON.
pub fn load(text: &str) -> Result<Node, Problem> {
    if text.len() > MOST_BYTES {
        return Err(problem(
            Position::START,
            format!(
                "the document has {} bytes; at most {MOST_BYTES} are allowed",
                text.len()
            ),
        ));
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = DEEPEST;
    options.block_nesting_limit = DEEPEST;
    let mut loader = Loader::new(Parser::new_from_str_with_options(text, options));
    loader.document()
}

type Events<'t> = Parser<'t, granit_parser::StrInput<'t>>;

struct Loader<'t> {
    events: Events<'t>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    depth: usize,
}

fn problem(at: Position, message: impl Into<String>) -> Problem {
    Problem {
        at,
        message: message.into(),
        hint: None,
    }
}

fn position(mark: &Marker) -> Position {
    Position {
        line: mark.line().max(1),
        column: mark.col() + 1,
    }
}

fn malformed(error: &ScanError) -> Problem {
    problem(
        position(error.marker()),
        format!("this is no YAML: {}", error.info()),
    )
}

impl<'t> Loader<'t> {
    fn new(events: Events<'t>) -> Self {
        Self {
            events,
            anchors: BTreeMap::new(),
            nodes: 0,
            depth: 0,
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Problem> {
        match self.events.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(malformed(&error)),
            None => Err(problem(Position::START, "the document is empty")),
        }
    }

    fn document(&mut self) -> Result<Node, Problem> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    let message = "a second document begins here; one is expected";
                    return Err(problem(position(&span.start), message));
                }
                Event::DocumentStart(..) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, &span)?);
                }
                Event::StreamEnd => break,
                _ => return Err(problem(position(&span.start), "nothing is expected here")),
            }
        }
        root.ok_or_else(|| problem(Position::START, "the document is empty"))
    }

    fn node(&mut self, event: Event<'t>, span: &Span) -> Result<Node, Problem> {
        let at = position(&span.start);
        self.count(1, at)?;
        let anchor = event.anchor_id();
        check_tag(event.tag(), at)?;
        let content = match event {
            Event::Alias(id) => return self.alias(id, at),
            Event::Scalar(text, style, _, tag) => Content::Scalar {
                text: text.into_owned(),
                plain: style == ScalarStyle::Plain && tag.is_none(),
            },
            Event::SequenceStart(..) => Content::List(self.within(Self::items)?),
            Event::MappingStart(..) => Content::Mapping(self.within(Self::entries)?),
            _ => return Err(problem(at, "a value is expected here")),
        };
        let node = Node { at, content };
        if let Some(id) = anchor {
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn count(&mut self, more: usize, at: Position) -> Result<(), Problem> {
        self.nodes += more;
        if self.nodes > MOST_NODES {
            let message =
                format!("the document has more than {MOST_NODES} values, aliases followed");
            return Err(problem(at, message));
        }
        Ok(())
    }

    fn within<T>(&mut self, read: fn(&mut Self) -> Result<T, Problem>) -> Result<T, Problem> {
        self.depth += 1;
        let content = read(self);
        self.depth -= 1;
        content
    }

    fn alias(&mut self, id: usize, at: Position) -> Result<Node, Problem> {
        let node = self.anchors.get(&id).cloned();
        let node = node.ok_or_else(|| problem(at, "this alias is within what it stands for"))?;
        self.count(size(&node), at)?;
        if self.depth + height(&node) > DEEPEST {
            let message = format!("values are nested deeper than {DEEPEST}, aliases followed");
            return Err(problem(at, message));
        }
        Ok(node)
    }

    fn items(&mut self) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, &span)?),
            }
        }
    }

    fn entries(&mut self) -> Result<Vec<Entry>, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, _) => break,
                next => next,
            };
            let (at, key) = self.key(event, &span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, &span)?;
            if key == "<<" {
                merged.extend(merge(value)?);
                continue;
            }
            if let Some(before) = entries.iter().find(|entry| entry.key == key) {
                let message = format!("{key:?} is here twice: also at {}", before.at);
                return Err(problem(at, message));
            }
            entries.push(Entry { at, key, value });
        }
        // What is written here comes before what is merged, what is merged first before the rest.
        for entry in merged {
            if entries.iter().all(|known| known.key != entry.key) {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    fn key(&mut self, event: Event<'t>, span: &Span) -> Result<(Position, String), Problem> {
        let node = self.node(event, span)?;
        match node.content {
            Content::Scalar { text, .. } => Ok((node.at, text)),
            _ => Err(problem(
                node.at,
                format!("a key is a text; {} is found", node.words()),
            )),
        }
    }
}

fn size(node: &Node) -> usize {
    match &node.content {
        Content::Scalar { .. } | Content::Removed => 1,
        Content::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Content::Mapping(entries) => {
            1 + entries
                .iter()
                .map(|entry| 1 + size(&entry.value))
                .sum::<usize>()
        }
    }
}

fn height(node: &Node) -> usize {
    let tallest = match &node.content {
        Content::Scalar { .. } | Content::Removed => None,
        Content::List(items) => items.iter().map(height).max(),
        Content::Mapping(entries) => entries.iter().map(|entry| height(&entry.value)).max(),
    };
    1 + tallest.unwrap_or_default()
}

/// A tag could make anything of a value; only those that say what it is anyway are let through.
fn check_tag(tag: Option<&Tag>, at: Position) -> Result<(), Problem> {
    match tag {
        Some(tag) if !matches!(tag.core_suffix(), Some("str" | "seq" | "map")) => Err(problem(
            at,
            format!("the tag {} is not used here", tag.original()),
        )),
        _ => Ok(()),
    }
}

/// What `<<` brings: the entries of a mapping, or of several in a list.
fn merge(value: Node) -> Result<Vec<Entry>, Problem> {
    let at = value.at;
    match value.content {
        Content::Mapping(entries) => Ok(entries),
        Content::List(items) => {
            let mappings: Result<Vec<_>, _> = items.into_iter().map(merge).collect();
            Ok(mappings?.into_iter().flatten().collect())
        }
        _ => Err(problem(at, "<< merges a mapping, or a list of them")),
    }
}
