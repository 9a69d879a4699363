//! What all checks together say.

use std::collections::BTreeMap;

use presence::probe::Outcome;

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
    /// What they say together: a page that is not as expected takes a healthy container out, until
    /// it is as expected again, and makes no other worse.
    pub fn health(&self) -> Health {
        match (&self.health, self.failing.values().next()) {
            (Health::Up, Some(words)) => Health::Down(words.clone()),
            (health, _) => health.clone(),
        }
    }

    /// What became of a page.
    pub(super) fn page(&mut self, number: usize, path: &str, outcome: &Outcome) {
        if outcome.is_up {
            self.failing.remove(&number);
        } else {
            self.failing
                .insert(number, format!("monitor {path}: {outcome}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    fn any_health() -> impl Strategy<Value = Health> {
        prop_oneof![
            Just(Health::Unknown),
            Just(Health::Up),
            "[a-z]{1,4}".prop_map(Health::Down),
            "[a-z]{1,4}".prop_map(Health::Dead),
        ]
    }

    #[test]
    fn the_first_page_that_fails_says_why_and_one_that_succeeds_is_forgotten() {
        let mut board = Board {
            health: Health::Up,
            ..Board::default()
        };
        for (number, path) in [(1, "/b"), (0, "/a")] {
            board.page(number, path, &Outcome::down("500"));
        }
        assert_eq!(board.health(), Health::Down("monitor /a: 500".to_owned()));
        board.page(0, "/a", &Outcome::up("200"));
        assert_eq!(board.health(), Health::Down("monitor /b: 500".to_owned()));
        board.page(1, "/b", &Outcome::up("200"));
        assert_eq!(board.health(), Health::Up);
    }

    proptest! {
        #[test]
        fn pages_only_take_out_who_is_healthy(
            health in any_health(),
            failing in btree_map(0..4_usize, "[a-z]{1,4}", 0..4),
        ) {
            let board = Board { health: health.clone(), failing: failing.clone() };
            match board.health() {
                Health::Down(words) if health == Health::Up => {
                    prop_assert_eq!(failing.values().next(), Some(&words));
                }
                Health::Up => prop_assert!(health == Health::Up && failing.is_empty()),
                same => prop_assert_eq!(same, health),
            }
        }
    }
}
