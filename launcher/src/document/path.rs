use std::fmt;

/// One step from a value into what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To the value of a key.
    Key(String),
    /// To an element of a list, counted from 0.
    Index(usize),
}

/// The way from the whole document to one of its values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

impl Path {
    /// To a key of the document.
    pub fn key(key: &str) -> Self {
        Self::default().then_key(key)
    }

    /// And from there to one of its keys.
    #[must_use]
    pub fn then_key(mut self, key: &str) -> Self {
        self.0.push(Step::Key(key.to_owned()));
        self
    }

    /// And from there to one of its elements.
    #[must_use]
    pub fn then_index(mut self, index: usize) -> Self {
        self.0.push(Step::Index(index));
        self
    }

    /// The steps, outermost first.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether it leads to something within what the other one leads to, or there.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// To what holds it.
    pub(super) fn parent(mut self) -> Self {
        self.0.pop();
        self
    }

    /// For errors on their way out: the step that led to where they come from.
    pub(super) fn enter_from(&mut self, step: Step) {
        self.0.insert(0, step);
    }
}

/// `publish[2].key`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if place == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
