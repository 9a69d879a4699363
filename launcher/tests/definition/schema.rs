//! The JSON Schema says what the parser says.

use std::collections::BTreeSet;

use launcher::definition::{parse, schema};
use serde_json::Value;
use testbed::documents;

use super::fixtures::RIGHT;

fn schema_value() -> Value {
    serde_json::from_str(&schema()).unwrap()
}

#[test]
fn the_copy_in_docs_is_the_schema() {
    let copy = documents::one("docs/definition.schema.json").unwrap();
    assert!(
        copy == schema(),
        "launcher schema > docs/definition.schema.json"
    );
}

/// Documents of both kinds, in the one language that the validator reads.
const WRONG: [&str; 9] = [
    "{}",
    r#"{"image": "x", "zebra": 1}"#,
    r#"{"image": ["x"]}"#,
    r#"{"image": "x", "port": 0}"#,
    r#"{"image": "x", "health_check": "ping"}"#,
    r#"{"image": "x", "port": 80, "health_check": {"http": {"pth": "/"}}}"#,
    r#"{"image": "x", "publish": [{"scope": "service"}]}"#,
    r#"{"image": "x", "update": {"max_parallel": 0}}"#,
    r#"{"image": "x", "volumes": [{"source": "a"}]}"#,
];

#[test]
fn the_schema_and_the_parser_agree() {
    let validator = jsonschema::validator_for(&schema_value()).unwrap();
    let forms = [
        r#"{"image": "x", "x-mine": 1, "health_check": "none"}"#,
        r#"{"image": "x", "port": 80, "health_check": "http", "command": "a b", "user": "1"}"#,
        r#"{"image": "x", "health_check": {"exec": {"command": ["a"], "fall": 2}}}"#,
        r#"{"image": "x", "networks": {"a": null, "b": {"aliases": ["c"]}}, "drain": 5}"#,
        r#"{"image": "x", "ports": [80, "1:2"], "ulimits": {"nofile": 5}, "env_file": "/a"}"#,
    ];
    let canonical = RIGHT.map(|(_, text)| parse(text).unwrap().definition.canonical());
    for text in forms
        .into_iter()
        .chain(canonical.iter().map(String::as_str))
    {
        assert!(parse(text).is_ok(), "{text}");
        let value: Value = serde_json::from_str(text).unwrap();
        let error = validator
            .validate(&value)
            .err()
            .map(|error| error.to_string());
        assert_eq!(error, None, "{text}");
    }
    for text in WRONG {
        assert!(parse(text).is_err(), "{text}");
        let value: Value = serde_json::from_str(text).unwrap();
        assert!(!validator.is_valid(&value), "{text}");
    }
}

/// The block of code in the page that begins with this line, without its indentation.
fn block(page: &str, first: &str) -> String {
    let lines = page.lines().skip_while(|line| line.trim_start() != first);
    let lines = lines.map_while(|line| line.strip_prefix("    "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_of_the_page_is_one() {
    let page = documents::one("docs/definition.md").unwrap();
    let example = block(&page, "image: registry.example/web:1.4");
    let full = parse(&example).unwrap().definition;
    assert_eq!(full, parse(RIGHT[0].1).unwrap().definition);
    let wrong = example
        .replace("image:", "imgae:")
        .replace("interval: 1s", "interval: soon");
    let problems = parse(&wrong).unwrap_err();
    for problem in &problems {
        assert!(page.contains(&format!("web.yaml:{problem}\n")), "{problem}");
    }
    assert_eq!(problems.len(), 2);
}

/// The names of all properties in a schema.
fn keys(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                found.extend(properties.keys().cloned());
            }
            fields.values().for_each(|value| keys(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

#[test]
fn every_key_is_in_the_page() {
    let page = documents::one("docs/definition.md").unwrap();
    let named: BTreeSet<String> = documents::code(&page)
        .iter()
        .flat_map(|code| code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .map(str::to_owned)
        .collect();
    let mut known = BTreeSet::new();
    keys(&schema_value(), &mut known);
    assert!(known.len() > 100, "{known:?}");
    let missing: Vec<_> = known.difference(&named).collect();
    assert!(missing.is_empty(), "docs/definition.md lacks {missing:?}");
}

#[test]
fn every_key_is_described() {
    let schema = schema_value();
    let properties = schema["properties"].as_object().unwrap();
    for (key, property) in properties {
        assert!(property.get("description").is_some(), "{key}: {property}");
    }
}
