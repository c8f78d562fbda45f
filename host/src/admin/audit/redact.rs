//! What of a request may stand in the audit log: no secrets, and not too much.

use serde_json::{Map, Value};

use crate::config::secrets::{self, Keys, REDACTED as HIDDEN};

/// What stands in place of what is too long.
const LONG: &str = "(not shown)";
/// Longest text, in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// Most items of a list or an object.
const ITEMS_MAX: usize = 50;
/// Most levels.
const DEPTH_MAX: usize = 4;
/// Keys that hold whole configurations, whose secrets have any name.
const WHOLE: [&str; 2] = ["document", "config"];

/// A value that may be shown.
pub(in crate::admin) fn redacted(value: &Value) -> Value {
    shown(value, 0)
}

fn shown(value: &Value, depth: usize) -> Value {
    match value {
        Value::String(text) if text.len() > TEXT_BYTES_MAX => Value::from(LONG),
        Value::Array(items) if depth >= DEPTH_MAX || items.len() > ITEMS_MAX => Value::from(LONG),
        Value::Object(map) if depth >= DEPTH_MAX || map.len() > ITEMS_MAX => Value::from(LONG),
        Value::Array(items) => items.iter().map(|item| shown(item, depth + 1)).collect(),
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| {
                let name = key.to_ascii_lowercase();
                let value = match value {
                    _ if secrets::is_named_secret(key, Keys::MostlyNames) => Value::from(HIDDEN),
                    _ if WHOLE.contains(&name.as_str()) => Value::from(LONG),
                    value => shown(value, depth + 1),
                };
                (key.chars().take(64).collect(), value)
            };
            Value::Object(map.iter().map(entry).collect::<Map<_, _>>())
        }
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_and_long_things_are_not_shown() {
        let value = json!({ "enabled": true, "key": "k", "Api_Key": "x", "config": { "a": 1 }, "list": ["a", { "client_secret": [1], "htpasswd": "a:b", "hash": "cafe" }], "long": "x".repeat(2000) });
        let expected = json!({
            "enabled": true, "key": "k", "Api_Key": HIDDEN, "config": LONG, "list": ["a", { "client_secret": HIDDEN, "htpasswd": HIDDEN, "hash": "cafe" }], "long": LONG,
        });
        assert_eq!(redacted(&value), expected);
        let deep = (0..100).fold(Value::Null, |inner, _| json!([inner]));
        assert_eq!(redacted(&deep), json!([[[[LONG]]]]));
    }
}
