//! The command line: `check`, `plugin inspect`, and what a wrong word gets.

use std::fs;

use portcullis_tests::command::portcullis;
use portcullis_tests::{Setup, Value, artefacts, json};

#[test]
fn check_says_that_a_good_configuration_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let config = Setup::new().route(json!({ "name": "a", "respond": { "body": "hello" } })).config();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    fs::write(folder.path().join("good.json"), config.to_string()).unwrap();
    let outcome = portcullis(folder.path(), &["check", "--config", "good.json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.text());
}

#[test]
fn check_names_every_mistake() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    let config = json!({
        "worker": 2,
        "listeners": [{ "address": "localhost" }],
        "drain_timeout_ms": "long",
        "log": { "format": "xml" },
        "plugins": { "chain": [{ "plugin": "nobody-has-this", "grants": ["everything"], "limits": { "fuel": 0 } }] },
        "upstreams": { "app": { "endpoints": ["app-without-port"] } },
        "routes": [
            { "name": "a", "proxy": { "upstream": "ap" } },
            { "name": "a", "respond": {}, "redirect": { "location": "/" } },
            { "name": "c", "match": { "path": "no-slash" }, "respond": { "status": 42 } },
        ],
    });
    fs::write(folder.path().join("bad.json"), format!("{config:#}")).unwrap();
    let outcome = portcullis(folder.path(), &["check", "--config", "bad.json"]);
    assert!(outcome.code.is_some_and(|code| code != 0), "{}", outcome.text());
    let places = [
        "worker",
        "listeners[0].address",
        "drain_timeout_ms",
        "log.format",
        "plugins.chain[0].grants[0]",
        "plugins.chain[0].limits.fuel",
        "upstreams.app.endpoints[0]",
        "routes[0].proxy.upstream",
        "routes[1]",
        "routes[2].match.path",
        "routes[2].respond.status",
    ];
    let missing: Vec<_> = places.iter().filter(|place| !outcome.text().contains(**place)).collect();
    assert!(missing.is_empty(), "nothing about {missing:?} in\n{}", outcome.text());
}

#[test]
fn check_looks_at_the_plugins_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    fs::write(folder.path().join("plugins/version.wasm"), artefacts::guest("version")).unwrap();
    let with = |word: Value| {
        let setup = Setup::new().route(json!({ "name": "a", "respond": {} }));
        let config = setup.entry("version", json!({ "config": { "word": word } })).config();
        fs::write(folder.path().join("c.json"), config.to_string()).unwrap();
        portcullis(folder.path(), &["check", "--config", "c.json"])
    };
    assert_eq!(with(json!("text")).code, Some(0));
    let outcome = with(json!(5));
    assert!(outcome.code.is_some_and(|code| code != 0) && outcome.text().contains("word"), "{}", outcome.text());
}

#[test]
fn an_overlay_is_merged_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    let config = Setup::new().route(json!({ "name": "a", "respond": {} })).config();
    fs::write(folder.path().join("base.json"), config.to_string()).unwrap();
    fs::write(folder.path().join("overlay.json"), json!({ "routes": null, "workers": "many" }).to_string()).unwrap();
    let outcome = portcullis(folder.path(), &["check", "--config", "base.json", "--overlay", "overlay.json"]);
    let text = outcome.text();
    assert!(
        outcome.code.is_some_and(|code| code != 0) && text.contains("workers") && text.contains("routes"),
        "{text}"
    );
}

#[test]
fn inspect_shows_what_a_component_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("kv-probe.wasm"), artefacts::guest("kv-probe")).unwrap();
    fs::write(folder.path().join("version.wasm"), artefacts::guest("version")).unwrap();
    fs::write(folder.path().join("bad.wasm"), artefacts::broken::core_module()).unwrap();
    let inspect = |file: &str| portcullis(folder.path(), &["plugin", "inspect", file]);

    let outcome = inspect("kv-probe.wasm");
    assert_eq!(outcome.code, Some(0), "{}", outcome.text());
    for word in ["kv-probe", "pre-handler", "portcullis:plugin/kv", "bytes"] {
        assert!(outcome.stdout.contains(word), "{word} is missing in\n{}", outcome.stdout);
    }
    assert!(inspect("version.wasm").stdout.contains("word"), "the schema of the configuration");
    let bad = inspect("bad.wasm");
    assert!(bad.code.is_some_and(|code| code != 0) && bad.text().contains("component"), "{}", bad.text());
    assert!(inspect("absent.wasm").code.is_some_and(|code| code != 0));
}

#[test]
fn a_wrong_word_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = portcullis(folder.path(), &["rnu"]);
    assert!(outcome.code.is_some_and(|code| code != 0) && outcome.stderr.contains("rnu"), "{}", outcome.text());
    assert_eq!(portcullis(folder.path(), &["--help"]).code, Some(0));
    assert!(portcullis(folder.path(), &["--version"]).stdout.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn check_does_not_wait_for_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    let pipe = folder.path().join("keys");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let entry = json!({ "plugin": "version", "config": { "word": { "$file": "keys" } } });
    fs::write(folder.path().join("a.json"), json!({ "plugins": { "chain": [entry] } }).to_string()).unwrap();
    for config in ["a.json", "keys"] {
        let outcome = portcullis(folder.path(), &["check", "--config", config]);
        assert!(outcome.code.is_some_and(|code| code != 0), "{}", outcome.text());
        assert!(outcome.text().contains("regular file"), "{}", outcome.text());
    }
}
