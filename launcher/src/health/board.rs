//! What all checks together say.

use std::collections::BTreeMap;

use crate::life::Health;

/// What each check said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// What the health check says.
    pub health: Health,
    /// The pages of `monitor` that are not as expected, by their number, with words.
    pub failing: BTreeMap<usize, String>,
}

/// Nothing is known.
impl Default for Board {
    fn default() -> Self {
        Self {
            health: Health::Unknown,
            failing: BTreeMap::new(),
        }
    }
}

impl Board {
    /// What they say together: a page that is not as expected takes a healthy container down, and
    /// makes no other worse.
    pub fn health(&self) -> Health {
        match (&self.health, self.failing.values().next()) {
            (Health::Up, Some(words)) => Health::Down(words.clone()),
            (health, _) => health.clone(),
        }
    }
}
