use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::super::load;
use super::read;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    text: String,
    number: u16,
    share: f64,
    on: bool,
    list: Vec<Inner>,
    map: BTreeMap<String, Option<String>>,
    kind: Kind,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    name: String,
    size: Option<u8>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Small,
    Large,
    Other(Inner),
}

fn parsed(text: &str) -> Result<Document, Vec<String>> {
    load(text)
        .map_err(|problem| vec![problem])
        .and_then(|node| read(&node))
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn yaml_and_json_say_the_same() {
    let yaml = "text: 1.10\nnumber: 80\nshare: 1.5\non: true\nlist: [{name: a, size: 1}]\n\
                map: {A: 'true', B: 012, C: }\nkind: large\nx-mine: {any: thing}\n";
    let json = r#"{"text": "1.10", "number": "80", "share": 1.5, "on": true,
        "list": [{"name": "a", "size": 1}], "map": {"A": "true", "B": "012", "C": null},
        "kind": "large"}"#;
    let expected = parsed(yaml).unwrap();
    assert_eq!(expected.text, "1.10");
    assert_eq!(expected.map["B"].as_deref(), Some("012"));
    assert_eq!(expected.map["C"], None);
    assert_eq!(parsed(json), Ok(expected));
}

#[test]
fn aliases_and_merge_keys_are_followed() {
    let yaml = "x-base: &base {A: 1, B: 2}\nx-more: &more {C: 3}\nmap: {<<: [*base, *more], B: 4}\n\
                list: [&one {name: a}, *one]\n";
    let document = parsed(yaml).unwrap();
    let value = |name: &str| document.map[name].as_deref();
    assert_eq!(
        [value("A"), value("B"), value("C")],
        [Some("1"), Some("4"), Some("3")]
    );
    assert_eq!(document.list[0], document.list[1]);
}

#[test]
fn json_s_escapes_are_read() {
    let document = parsed(r#"{"text": "\ud83d\ude00\u00e4\/\n\t\\ \"x\""}"#).unwrap();
    assert_eq!(document.text, "😀ä/\n\t\\ \"x\"");
}

#[test]
fn everything_that_is_wrong_is_shown_in_its_place() {
    let text = "txet: a\nnumber: 70000\nshare: much\non: yes\nlist:\n  - {name: a, size: 256}\n  \
                - {nam: a}\n  - x\nkind: {other: {name: [a]}}\nmap: 5\n";
    assert_eq!(
        parsed(text).unwrap_err(),
        [
            "1:1: unknown key \"txet\"; did you mean \"text\"?",
            "2:9: number: a whole number from 0 to 65535 is expected, 70000 is found",
            "3:8: share: a number is expected, much is found",
            "4:5: on: true or false is expected, yes is found",
            "6:21: list[0].size: a whole number from 0 to 255 is expected, 256 is found",
            "7:6: list[1]: unknown key \"nam\"; did you mean \"name\"?",
            "8:5: list[2]: a mapping of keys is expected, x is found",
            "9:22: kind.other.name: a text is expected, a list is found",
            "10:6: map: a mapping of keys is expected, 5 is found",
        ]
    );
}

#[test]
fn what_is_no_document_is_refused() {
    let deep = "[".repeat(40);
    let long = "a".repeat(2 << 20);
    for (text, message) in [
        ("", "1:1: the document is empty"),
        ("# nothing\n", "1:1: the document is empty"),
        ("5", "1:1: a mapping of keys is expected, 5 is found"),
        ("{\"text\": \"a\"", "1:1: this is no YAML: unclosed bracket"),
        (
            "text: a\ntext: b\n",
            "2:1: \"text\" is here twice: also at 1:1",
        ),
        (
            "text: a\n---\ntext: b\n",
            "2:1: a second document begins here; one is expected",
        ),
        ("? [a]\n: b\n", "1:3: a key is a text; a list is found"),
        (
            "text: !!binary aGk=\n",
            "1:16: the tag !!binary is not used here",
        ),
        (
            "text: \"a\\0b\"\n",
            "1:7: text: the text holds a NUL character, which no program can be given",
        ),
        (
            "map: {<<: 5}\n",
            "1:11: << merges a mapping, or a list of them",
        ),
        (
            "kind: huge\n",
            "1:7: kind: one of small, large, other is expected, huge is found",
        ),
        (
            "kind: {small: , large: }\n",
            "1:7: kind: exactly one of small, large, other is expected, a mapping of keys is found",
        ),
        (&deep, "1:"),
        (
            &long,
            "1:1: the document has 2097152 bytes; at most 1048576 are allowed",
        ),
    ] {
        let problems = parsed(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(message), "{problems:?}");
    }
}

#[test]
fn aliases_do_not_fill_the_memory() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (one, next) in ["a", "b", "c", "d", "e", "f", "g"]
        .iter()
        .zip(["b", "c", "d", "e", "f", "g", "h"])
    {
        let aliases = vec![format!("*{one}"); 10].join(", ");
        text += &format!("{next}: &{next} [{aliases}]\n");
    }
    let problem = load(&text).unwrap_err().to_string();
    assert!(
        problem.contains("more than 50000 values, aliases followed"),
        "{problem}"
    );
}

#[test]
fn aliases_do_not_nest_without_end() {
    let nested: Vec<String> = (1..40)
        .map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1))
        .collect();
    let text = format!("a0: &a0 [x]\n{}", nested.concat());
    let problem = load(&text).unwrap_err().to_string();
    assert!(
        problem.ends_with("values are nested deeper than 32, aliases followed"),
        "{problem}"
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[ \\PC\n]*") {
        let _ = parsed(&text);
    }

    #[test]
    fn what_looks_like_yaml_is_read_or_refused(text in "([a-z]{1,4}|[-:{}\\[\\]&*<,|>'\"!#%?@ \n]){0,40}") {
        let _ = parsed(&text);
    }

    #[test]
    fn every_text_arrives_as_it_was(value in "\\PC*") {
        let json = serde_json::json!({"text": value}).to_string();
        prop_assert_eq!(parsed(&json).map(|document| document.text), Ok(value));
    }
}
