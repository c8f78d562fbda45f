//! What the words are for each kind of mistake.
//!
//! Schemas are shaped as schemars makes them, since that is what plugins carry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use serde_json::json;

use super::*;

fn check(schema: &Value, instance: &Value, expected: &[&str]) {
    let problems = schema_problems(schema, instance, &JsonPath::root().key("config")).unwrap();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(lines, expected, "{instance} against {schema}");
}

#[test]
fn types_limits_and_keys() {
    let schema = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^a"},
            "count": {"type": "integer", "minimum": 1, "maximum": 9},
            "list": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2, "uniqueItems": true},
            "0": {"$ref": "#/$defs/inner"},
        },
        "required": ["name"],
        "additionalProperties": false,
        "$defs": {"inner": {"type": "object", "properties": {"deep": {}}, "additionalProperties": false}},
    });
    check(&schema, &json!({"name": "abc"}), &[]);
    check(&schema, &json!([]), &["config: is an array; write an object"]);
    check(&schema, &json!({}), &["config.name: missing; add it: a string"]);
    check(&schema, &json!({"nmae": "abc"}), &["config.nmae: unknown key; did you mean \"name\"?"]);
    check(
        &schema,
        &json!({"name": "abc", "zebra": 1}),
        &["config.zebra: unknown key; remove it; known here: \"name\", \"count\", \"list\" and \"0\""],
    );
    check(
        &schema,
        &json!({"name": "b"}),
        &[
            "config.name: has 1 character; write at least 2",
            "config.name: has not the form it must have; write something that matches ^a",
        ],
    );
    check(
        &schema,
        &json!({"name": "abc", "count": 0.5}),
        &["config.count: is a number with a fraction; write a whole number"],
    );
    check(&schema, &json!({"name": "abc", "count": 10}), &["config.count: 10 is too large; write 9 or less"]);
    check(&schema, &json!({"name": "abc", "list": []}), &["config.list: is empty; add at least one"]);
    check(
        &schema,
        &json!({"name": "abc", "list": [true, true]}),
        &["config.list: has the same item twice; remove one of them"],
    );
    check(&schema, &json!({"name": "abc", "list": [null]}), &["config.list[0]: is null; write true or false"]);
    check(&schema, &json!({"name": "abc", "0": {"dep": 1}}), &["config.0.dep: unknown key; did you mean \"deep\"?"]);
}

#[test]
fn a_value_is_shown_only_where_words_are_listed() {
    let schema = json!({"properties": {
        "secret": {"type": "string", "minLength": 32, "pattern": "^[a-z]+$", "not": {"const": "x"}},
        "mode": {"enum": ["fast", "slow"]},
    }});
    let problems = schema_problems(&schema, &json!({"secret": "HUNTER2"}), &JsonPath::root()).unwrap();
    assert_eq!(problems.len(), 2);
    assert!(problems.iter().all(|problem| !problem.to_string().contains("HUNTER2")), "{problems:?}");
    check(&schema, &json!({"mode": "fsat"}), &["config.mode: \"fsat\" is not known here; did you mean \"fast\"?"]);
    check(&schema, &json!({"mode": 7}), &["config.mode: 7 is not known here; write \"fast\" or \"slow\""]);
}

#[test]
fn words_with_descriptions() {
    let schema = json!({"oneOf": [
        {"type": "string", "const": "deny", "description": "x"}, {"type": "string", "const": "skip"},
    ]});
    check(&schema, &json!("skip"), &[]);
    check(&schema, &json!("denny"), &["config: \"denny\" is not known here; did you mean \"deny\"?"]);
    check(&schema, &json!(3), &["config: is a whole number; write a string"]);
}

#[test]
fn alternatives_of_types() {
    let schema = json!({"anyOf": [
        {"type": "boolean"},
        {
            "type": "object",
            "properties": {"ttl": {"type": "integer"}, "mode": {"enum": ["deny", "skip"]}},
            "additionalProperties": false,
        },
    ]});
    check(&schema, &json!("x"), &["config: is a string; write true or false or an object"]);
    check(&schema, &json!({"ttl": "x"}), &["config.ttl: is a string; write a whole number"]);
    check(&schema, &json!({"tl": 1}), &["config.tl: unknown key; did you mean \"ttl\"?"]);
    // A word that is not known does not hide what else is wrong beside it.
    check(
        &schema,
        &json!({"mode": "x", "tl": null}),
        &[
            "config.mode: \"x\" is not known here; write \"deny\" or \"skip\"",
            "config.tl: unknown key; did you mean \"ttl\"?",
        ],
    );
}

#[test]
fn alternatives_by_key() {
    let branch = |key: &str| json!({"type": "object", "properties": {key: {"type": "string"}}, "required": [key], "additionalProperties": false});
    let schema = json!({"oneOf": [branch("secret"), branch("pem"), branch("jwks")]});
    check(&schema, &json!({"pem": "x"}), &[]);
    check(&schema, &json!({}), &["config: has none of \"secret\", \"pem\" and \"jwks\"; add exactly one of them"]);
    check(&schema, &json!({"jwsk": "x"}), &["config.jwsk: unknown key; did you mean \"jwks\"?"]);
    check(&schema, &json!({"pem": 5}), &["config.pem: is a whole number; write a string"]);
}

#[test]
fn alternatives_by_required_key_only() {
    let schema = json!({
        "type": "object",
        "properties": {"a": {}, "b": {}, "ccc": {}},
        "additionalProperties": false,
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}, {"required": ["ccc"]}],
    });
    check(&schema, &json!({"a": 1}), &[]);
    check(&schema, &json!({}), &["config: has none of \"a\", \"b\" and \"ccc\"; add exactly one of them"]);
    check(
        &schema,
        &json!({"a": 1, "b": 1}),
        &["config: has \"a\" and \"b\"; keep exactly one of \"a\", \"b\" and \"ccc\""],
    );
    check(&schema, &json!({"ccd": 1}), &["config.ccd: unknown key; did you mean \"ccc\"?"]);
}

#[test]
fn alternatives_by_tag() {
    let branch = |kind: &str, key: &str| {
        json!({"type": "object", "properties": {"kind": {"type": "string", "const": kind}, key: {"type": "integer"}},
               "required": ["kind", key], "additionalProperties": false})
    };
    let schema = json!({"oneOf": [branch("fixed", "ttl"), branch("adaptive", "factor")]});
    check(&schema, &json!({"kind": "fixed", "ttl": 1}), &[]);
    check(
        &schema,
        &json!({"kind": "fixde", "ttl": 1}),
        &["config.kind: \"fixde\" is not known here; did you mean \"fixed\"?"],
    );
    check(&schema, &json!({"ttl": 1}), &["config.kind: missing; add it: a string"]);
    check(&schema, &json!({"kind": "adaptive"}), &["config.factor: missing; add it: a whole number"]);
}

#[test]
fn a_bad_schema_is_refused() {
    let refused = |schema: Value| assert!(Schema::new(schema.clone()).is_err(), "{schema}");
    refused(json!({"type": "nothing"}));
    refused(json!({"pattern": "("}));
    refused(json!({"$ref": "https://example.com/schema.json"}));
    refused(json!({"$ref": "file:///etc/passwd"}));
    refused(json!({"$ref": "#/$defs/absent"}));
    refused(json!({"description": "x".repeat(SCHEMA_BYTES_MAX)}));
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    for schema in
        [json!({"$ref": "#"}), json!({"allOf": [{"$ref": "#"}]}), json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]})]
    {
        if let Ok(schema) = Schema::new(schema) {
            let _ = schema.problems(&json!({"a": 1}), &JsonPath::root());
        }
    }
}

#[test]
fn paths_read_well() {
    let path = JsonPath::root().key("routes").index(3).key("plugins").key("jwt-auth").key("a.b");
    assert_eq!(path.to_string(), "routes[3].plugins.jwt-auth[\"a.b\"]");
    assert_eq!(JsonPath::root().to_string(), "(top level)");
    assert!(path.is_within(&JsonPath::root().key("routes")));
    assert!(!JsonPath::root().key("route").is_within(&JsonPath::root().key("routes")));
}
