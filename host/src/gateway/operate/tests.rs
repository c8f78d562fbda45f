//! What needs no gateway: redaction, entity tags, conditions, edits, the history, the disk.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::edit::EndpointEdit;
use super::*;
use crate::config::secrets::{Shape, redacted};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn secrets_are_hidden_and_references_are_shown() {
    let schema = json!({
        "type": "object",
        "properties": {
            "pin": { "type": "string", "format": "password" },
            "token_kind": { "$ref": "#/$defs/kind" },
            "users": { "type": "array", "items": { "properties": { "hash": { "writeOnly": true } } } },
            "key": { "type": "string", "writeOnly": false },
            "token": { "type": "string", "writeOnly": false },
        },
        "$defs": { "kind": { "type": "string", "writeOnly": true } },
    });
    let shape = |plugin: &str| match plugin {
        "marked" => Shape::Schema(schema.clone()),
        "gone" => Shape::Unknown,
        _ => Shape::Unmarked,
    };
    let check = |document: Value, expected: Value| assert_eq!(redacted(&document, &shape), expected, "{document}");
    check(
        json!({ "redis": { "url": "redis://h", "password": "p", "sentinel": { "password": "${P}" }, "tls": { "key": "tls/a.key" } } }),
        json!({ "redis": { "url": "redis://h", "password": REDACTED, "sentinel": { "password": "${P}" }, "tls": { "key": "tls/a.key" } } }),
    );
    check(
        json!({ "cache": { "encryption": { "keys": { "one": "a2V5", "two": "${KEY}", "three": "${KEY:-a2V5}" }, "current": "one" } } }),
        json!({ "cache": { "encryption": { "keys": { "one": REDACTED, "two": "${KEY}", "three": REDACTED }, "current": "one" } } }),
    );
    check(
        json!({ "cdn": [{ "name": "edge", "token": "t", "tags": { "headers": { "Fastly-Key": "k", "Accept": "a" } } }] }),
        json!({ "cdn": [{ "name": "edge", "token": REDACTED, "tags": { "headers": { "Fastly-Key": REDACTED, "Accept": REDACTED } } }] }),
    );
    check(
        json!({ "admin": { "tokens": [{ "name": "ci", "role": "read", "token": "t" }] }, "redis": { "url": "redis://u:p@h" } }),
        json!({ "admin": { "tokens": [{ "name": "ci", "role": "read", "token": REDACTED }] }, "redis": { "url": REDACTED } }),
    );
    let entry =
        |plugin: &str, config: Value| json!({ "plugins": { "chain": [{ "plugin": plugin, "config": config }] } });
    check(
        entry(
            "any",
            json!({ "secret": "s", "api-key": "k", "jwks": { "$file": "k.json" }, "keys": [{ "kid": "a", "k": "x" }] }),
        ),
        entry(
            "any",
            json!({ "secret": REDACTED, "api-key": REDACTED, "jwks": { "$file": "k.json" }, "keys": [{ "kid": "a", "k": REDACTED }] }),
        ),
    );
    check(
        entry(
            "any",
            json!({ "token_header": "X-T", "public_key": "p", "max_tokens": 5, "jwks_url": "u", "authorization": "Bearer ${T}" }),
        ),
        entry(
            "any",
            json!({ "token_header": "X-T", "public_key": "p", "max_tokens": 5, "jwks_url": "u", "authorization": "Bearer ${T}" }),
        ),
    );
    check(
        entry(
            "marked",
            json!({ "pin": "1", "token_kind": "t", "users": [{ "name": "a", "hash": "h" }], "key": "shown", "token": "shown" }),
        ),
        entry(
            "marked",
            json!({ "pin": REDACTED, "token_kind": REDACTED, "users": [{ "name": "a", "hash": REDACTED }], "key": "shown", "token": "shown" }),
        ),
    );
    check(
        entry(
            "any",
            json!({ "users": { "ann": "$2b$12$abc" }, "token_bucket": { "key": "address" }, "apiToken": "t" }),
        ),
        entry(
            "any",
            json!({ "users": { "ann": REDACTED }, "token_bucket": { "key": "address" }, "apiToken": REDACTED }),
        ),
    );
    check(
        entry(
            "gone",
            json!({ "a": ["x", "./k.pem", "address"], "b": { "name": "n", "c": "${V}" }, "d": 1, "e": { "$file": "k" } }),
        ),
        entry(
            "gone",
            json!({ "a": [REDACTED, REDACTED, REDACTED], "b": { "name": REDACTED, "c": "${V}" }, "d": 1, "e": { "$file": "k" } }),
        ),
    );
    for inline in ["alice:$2y$10$abc\nbob:$2y$10$def", "# users\nbob:{SHA}abc=", "bob:$apr1$a$b"] {
        check(entry("any", json!({ "users": inline })), entry("any", json!({ "users": REDACTED })));
    }
    check(
        entry("any", json!({ "htpasswd": "a:b", "cost": "1$5$" })),
        entry("any", json!({ "htpasswd": REDACTED, "cost": "1$5$" })),
    );
    check(
        json!({ "tracing": { "otlp": { "endpoint": "http://o", "headers": { "x-team": "t", "x-other": "${T}" } } } }),
        json!({ "tracing": { "otlp": { "endpoint": "http://o", "headers": { "x-team": REDACTED, "x-other": "${T}" } } } }),
    );
    let fields = |name: &str, value: &str| json!({ "request_headers": { "set": { name: value } } });
    for name in ["x-auth", "x-origin-verify", "cookie", "x-amz-signature", "X-Api-Key"] {
        check(fields(name, "v"), fields(name, REDACTED));
        check(fields(name, "${V}"), fields(name, "${V}"));
    }
    check(fields("x-forwarded-proto", "https"), fields("x-forwarded-proto", "https"));
    check(
        json!({ "cdn": [{ "urls": { "url": "https://cdn.test/purge?key=k&u={url}", "headers": { "x-any": "v", "x-tag": "{tags}" } } }] }),
        json!({ "cdn": [{ "urls": { "url": REDACTED, "headers": { "x-any": REDACTED, "x-tag": "{tags}" } } }] }),
    );
    let health = |path: &str| json!({ "upstreams": { "o": { "health": { "path": path } } } });
    check(health("/up?token=t"), health(REDACTED));
    for path in ["/up?token=${T}", "/up?verbose=1", "/up?token=", "/keys"] {
        check(health(path), health(path));
    }
    check(
        entry("any", json!({ "key": ["parameter:rest"], "keys": [{ "algorithms": ["RS256"], "k": "x" }] })),
        entry("any", json!({ "key": ["parameter:rest"], "keys": [{ "algorithms": ["RS256"], "k": REDACTED }] })),
    );
    let pem = "-----BEGIN EC PRIVATE KEY-----\nx\n-----END EC PRIVATE KEY-----";
    check(
        json!({ "routes": [{ "name": "a", "respond": { "body": pem } }] }),
        json!({ "routes": [{ "name": "a", "respond": { "body": REDACTED } }] }),
    );
    check(
        json!({ "routes": [{ "plugins": { "any": { "config": { "password": "p" } }, "b": false } }] }),
        json!({ "routes": [{ "plugins": { "any": { "config": { "password": REDACTED } }, "b": false } }] }),
    );
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let schema = json!({ "$ref": "#", "allOf": [{ "$ref": "#" }] });
    let document = json!({ "plugins": { "chain": [{ "plugin": "a", "config": { "b": { "c": "d" } } }] } });
    assert_eq!(redacted(&document, &|_| Shape::Schema(schema.clone())), document);
}

#[test]
fn conditions_are_those_of_http() {
    let check = |condition: Option<&str>, holds: bool| {
        let ticket = Ticket { if_match: condition.map(str::to_owned), ..Ticket::default() };
        assert_eq!(ticket.check("abc").is_ok(), holds, "{condition:?}");
    };
    check(None, true);
    check(Some("*"), true);
    check(Some("\"abc\""), true);
    check(Some("\"x\", \"abc\""), true);
    check(Some("\"x\""), false);
    check(Some("abc"), false);
    check(Some("W/\"abc\""), false);
    check(Some(""), false);
}

fn edited(document: &Value, plugin: &str, edit: PluginEdit) -> Value {
    let mut document = document.clone();
    edit::plugin(&mut document, &name(plugin), edit, &[name("b")]).unwrap();
    document
}

#[test]
fn a_plugin_is_changed_in_place_or_gets_an_entry() {
    let document = json!({ "plugins": { "chain": [{ "plugin": "a", "config": { "x": 1 } }] } });
    let enabled = |enabled: bool| PluginEdit { enabled: Some(json!(enabled)), ..PluginEdit::default() };
    let off = edited(&document, "a", enabled(false));
    assert_eq!(off["plugins"]["chain"], json!([{ "plugin": "a", "config": { "x": 1 }, "enabled": false }]));
    assert_eq!(edited(&off, "a", enabled(true))["plugins"]["chain"][0]["enabled"], true);
    assert_eq!(edited(&document, "a", enabled(true)), document);
    assert_eq!(edited(&document, "b", enabled(true)), document, "it runs without an entry");
    let joined = edited(&document, "c", enabled(true));
    assert_eq!(joined["plugins"]["chain"][1], json!({ "plugin": "c" }), "it does not run without one");
    let listed = edited(&json!({}), "b", enabled(false));
    assert_eq!(listed, json!({ "plugins": { "chain": [{ "plugin": "b", "enabled": false }] } }));
    let routes = PluginEdit { routes: Some(json!(["r"])), config: Some(Value::Null), ..PluginEdit::default() };
    assert_eq!(edited(&document, "a", routes)["plugins"]["chain"], json!([{ "plugin": "a", "routes": ["r"] }]));
}

#[test]
fn a_chain_is_ordered_by_naming_all_of_it() {
    let document =
        json!({ "plugins": { "chain": [{ "plugin": "a", "enabled": false }, { "plugin": "b", "config": {} }] } });
    let check = |order: &[&str], expected: Result<Value, &str>| {
        let mut document = document.clone();
        let order: Vec<String> = order.iter().map(|&name| name.to_owned()).collect();
        match (edit::chain(&mut document, &order, &[name("loose")]), expected) {
            (Ok(()), Ok(expected)) => assert_eq!(document["plugins"]["chain"], expected),
            (Err(Refusal::Invalid(problems)), Err(expected)) => assert_eq!(problems[0].path, expected, "{order:?}"),
            other => assert!(other.1.is_err() && other.0.is_err(), "{order:?}: {other:?}"),
        }
    };
    let chain = json!([{ "plugin": "loose" }, { "plugin": "b", "config": {} }, { "plugin": "a", "enabled": false }]);
    check(&["loose", "b", "a"], Ok(chain));
    check(&["a", "b"], Err("$.order"));
    check(&["a", "b", "loose", "c"], Err("$.order[3]"));
    check(&["a", "b", "loose", "a"], Err("$.order[3]"));
}

#[test]
fn an_endpoint_is_known_by_what_is_written_and_by_what_it_is_called() {
    let document = json!({ "upstreams": { "u": { "endpoints": ["${HOST}:80", { "address": "b:80", "weight": 3 }] } } });
    let called = ["a:80".to_owned(), "b:80".to_owned()];
    let edit = |endpoint: &str, weight: Option<Value>, drain: Option<Value>| {
        let mut document = document.clone();
        let edit = EndpointEdit { upstream: "u", endpoint, called: &called, weight, drain };
        edit::endpoint(&mut document, edit).map(|_| document["upstreams"]["u"]["endpoints"].clone())
    };
    let drained = edit("a:80", None, Some(json!(true))).unwrap();
    assert_eq!(drained[0], json!({ "address": "${HOST}:80", "drain": true }));
    assert_eq!(edit("${HOST}:80", Some(json!(5)), None).unwrap()[0], json!({ "address": "${HOST}:80", "weight": 5 }));
    assert_eq!(edit("b:80", Some(Value::Null), None).unwrap()[1], json!("b:80"));
    assert!(matches!(edit("c:80", None, None), Err(Refusal::Unknown(_))));
}

#[test]
fn removing_a_plugin_takes_what_routes_say_of_it_along() {
    let mut document = json!({
        "plugins": { "chain": [{ "plugin": "a" }, { "plugin": "b" }] },
        "routes": [{ "name": "x", "plugins": { "a": false } }, { "name": "y", "plugins": { "a": false, "b": false } }],
    });
    edit::remove(&mut document, &name("a")).unwrap();
    let expected = json!({
        "plugins": { "chain": [{ "plugin": "b" }] },
        "routes": [{ "name": "x" }, { "name": "y", "plugins": { "b": false } }],
    });
    assert_eq!(document, expected);
}

#[test]
fn the_history_is_bounded_private_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (state, tags) = (folder.path().join("state"), tags::Tags::passing());
    for number in 0..60 {
        let by = Ticket { actor: "me".to_owned(), action: format!("change {number}"), if_match: None };
        history::prepare(&state, &tags, &json!({ "number": number }), &by).unwrap().commit().unwrap();
        history::prune(&state);
    }
    let current = json!({ "number": 59 });
    let entries = history::list(&state, &tags, &current);
    assert_eq!(entries.len(), 50);
    assert_eq!((entries[0].action.as_str(), entries[49].action.as_str()), ("change 59", "change 10"));
    assert!(entries[0].current && entries[1..].iter().all(|entry| !entry.current));
    let (entry, document) = history::read(&state, &tags, &entries[3].id, &current).unwrap();
    assert_eq!((entry.by.as_str(), document), ("me", json!({ "number": 56 })));
    for id in ["../history/x", "", "none"] {
        assert!(matches!(history::read(&state, &tags, id, &current), Err(Refusal::Unknown(_))), "{id:?}");
    }
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&state.join("history"))), (0o700, 0o700));
    assert_eq!(mode(&state.join("history").join(format!("{}.json", entries[0].id))), 0o600);
}

#[test]
fn what_is_staged_and_not_committed_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    drop(disk::Staged::new(&path, b"new").unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    disk::Staged::new(&path, b"new").unwrap().commit().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn links_and_what_is_read_only_are_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "").unwrap();
    std::os::unix::fs::symlink("file", &link).unwrap();
    assert!(disk::writable(&file).is_ok());
    assert!(disk::writable(&folder.path().join("new")).is_ok());
    assert!(disk::writable(&link).unwrap_err().contains("is a link"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    assert!(disk::writable(&file).unwrap_err().contains("read-only"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    assert!(disk::writable(&file).unwrap_err().contains("folder"));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}
