//! The JSON Schema of a definition, for editors.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{Schema, SchemaGenerator};

use super::Definition;

/// The JSON Schema of a definition, on several lines.
pub fn schema() -> String {
    let settings = SchemaSettings::draft2020_12();
    let mut schema = SchemaGenerator::new(settings).into_root_schema_for::<Definition>();
    RecursiveTransform(tidy).transform(&mut schema);
    own_keys(&mut schema);
    format!("{:#}\n", schema.to_value())
}

/// What says nothing to a person who completes a document.
fn tidy(schema: &mut Schema) {
    let says_nothing = schema.get("default").is_some_and(|default| {
        let is_empty = |value: &serde_json::Value| {
            value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(serde_json::Map::is_empty)
        };
        default.is_null() || default == "" || is_empty(default)
    });
    if says_nothing {
        schema.remove("default");
    }
    // A format of Rust's numbers is none of JSON Schema.
    schema.remove("format");
}

/// Keys that begin with `x-` are the author's own.
fn own_keys(schema: &mut Schema) {
    schema.insert(
        "patternProperties".to_owned(),
        serde_json::json!({"^x-": true}),
    );
}
