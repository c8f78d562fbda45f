//! The JSON Schema of the file, made from its types.
//!
//! Two of them: a strict one that values are held against once variables are filled in, and one for editors, in which
//! `${NAME}` may also stand where a number or a boolean belongs.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use serde_json::{Map, Value, json};

use super::File;

/// The JSON Schema of a configuration file, for editors; kept in `config/portcullis.schema.json`.
pub fn schema() -> Value {
    generate(|schema| {
        tidy(schema);
        admit_variables(schema);
    })
}

/// The JSON Schema of a configuration in which all variables are filled in.
pub(in crate::config) fn strict_schema() -> Value {
    generate(tidy)
}

/// The JSON Schema of what a plugin may spend: each limit with its meaning, its bounds and its default.
pub fn plugin_limits_schema() -> Value {
    let schema = generate(tidy);
    schema.pointer("/$defs/Limits").cloned().unwrap_or_default()
}

fn generate(transform: fn(&mut Schema)) -> Value {
    let generator = SchemaSettings::draft2020_12().with_transform(transform).into_generator();
    let mut schema = generator.into_root_schema_for::<File>();
    schema.insert("title".to_owned(), json!("Portcullis"));
    schema.to_value()
}

/// Takes out what comes from the fields being `Option`: nowhere in the file is `null` the same as absent.
fn tidy(schema: &mut Schema) {
    transform_subschemas(&mut tidy, schema);
    let Some(object) = schema.as_object_mut() else { return };
    if object.get("default") == Some(&Value::Null) {
        object.shift_remove("default");
    }
    // The exact Rust type says nothing to a reader of JSON.
    if object.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
        object.shift_remove("format");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
        branches.retain(|branch| *branch != json!({"type": "null"}));
        if let [Value::Object(only)] = branches.as_slice() {
            let only: Map<String, Value> = only.clone();
            object.shift_remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}

/// Numbers and booleans may also come from a variable.
fn admit_variables(schema: &mut Schema) {
    transform_subschemas(&mut admit_variables, schema);
    let Some(object) = schema.as_object_mut() else { return };
    let kind = object.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if matches!(kind.as_str(), "integer" | "number" | "boolean") && !object.contains_key("enum") {
        object.insert("type".to_owned(), json!([kind, "string"]));
        object.insert("pattern".to_owned(), json!("^\\$\\{[^}]*\\}$"));
    }
}
