//! Documents of our own form, of compose's, and of the prior systems'.

use launcher::definition::{Definition, Parsed, parse};

/// Those that are right.
pub const RIGHT: [(&str, &str); 4] = [
    ("full.yaml", include_str!("../fixtures/full.yaml")),
    ("compose.yaml", include_str!("../fixtures/compose.yaml")),
    ("couchdb.json", include_str!("../fixtures/couchdb.json")),
    ("runner.yaml", include_str!("../fixtures/runner.yaml")),
];

/// The one whose author forgot a key.
pub const WITHOUT_KEY: &str = include_str!("../fixtures/couchdb-without-key.json");

pub fn parsed(text: &str) -> Parsed {
    parse(text).unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"))
}

pub fn definition(text: &str) -> Definition {
    parsed(text).definition
}

/// What is wrong with it.
pub fn problems(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(parsed) => panic!("nothing is wrong with {text}: {parsed:?}"),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}
