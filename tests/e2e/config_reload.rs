//! The configuration file: changed while the gateway runs, wrong, overlaid, filled in from the environment.

use std::fs;

use portcullis_tests::{Gateway, Load, Origin, Request, Response, Setup, Value, artefacts, from_json, json};

fn answering(body: &str) -> Value {
    json!({ "name": "all", "respond": { "body": body } })
}

async fn until_says(gateway: &Gateway, body: &str) {
    gateway.until(body, Request::get("/"), |response| response.text() == body).await;
}

#[tokio::test]
async fn a_changed_file_is_taken_over_without_losing_a_request() {
    let gateway = Setup::new().route(answering("one")).start().await;
    let known = |response: &Response| match response.text() {
        "one" | "two" | "three" => Ok(()),
        other => Err(other.to_owned()),
    };
    let load = Load::start(&gateway, 4, &Request::get("/"), known);
    gateway.patch_config(&json!({ "routes": [answering("two")] }));
    until_says(&gateway, "two").await;
    // Written in place, as some editors do.
    let mut config = gateway.config();
    config["routes"] = json!([answering("three")]);
    fs::write(gateway.config_path(), config.to_string()).unwrap();
    until_says(&gateway, "three").await;
    load.stop().await.expect_clean(10);
}

#[tokio::test]
async fn a_bad_file_is_refused_with_all_its_problems_and_the_running_state_stays() {
    let gateway = Setup::new().route(answering("good")).start().await;
    let mark = gateway.logs().mark();
    gateway.patch_config(&json!({ "rotues": [], "drain_timeout_ms": "soon", "routes": [{ "name": "x", "proxy": { "upstream": "nobody" } }] }));
    for words in [["rotues", "routes"], ["drain_timeout_ms", "whole number"], ["routes[0].proxy.upstream", "nobody"]] {
        gateway.logs().wait_for_words(mark, &words).await;
    }
    assert_eq!(gateway.get("/").await.text(), "good");

    let mark = gateway.logs().mark();
    gateway.write_config("{ \"routes\": [");
    gateway.logs().wait_for_words(mark, &["portcullis.json", "1"]).await;
    assert_eq!(gateway.get("/").await.text(), "good");

    let repaired = Setup::new().route(answering("repaired")).config();
    gateway.write_config(repaired.to_string());
    until_says(&gateway, "repaired").await;
}

#[tokio::test]
async fn upstreams_and_routes_change_together() {
    let (first, second) = (Origin::saying("first").await, Origin::saying("second").await);
    let gateway = Setup::to(&first).start().await;
    assert_eq!(gateway.get("/").await.text(), "first");
    let moved = json!({ "upstreams": { "origin": { "endpoints": [second.address().to_string()] } } });
    gateway.patch_config(&moved);
    until_says(&gateway, "second").await;
}

#[tokio::test]
async fn the_environment_fills_in() {
    let setup = Setup::new().route(answering("${GREETING} ${NOBODY:-you} $${x}")).environment("GREETING", "hello");
    let gateway = setup.start().await;
    assert_eq!(gateway.get("/").await.text(), "hello you ${x}");

    let missing = Setup::new().route(answering("${PORTCULLIS_TEST_NOT_SET}"));
    let (code, text) = Gateway::fail_to_start(&missing).await;
    assert!(code.is_some_and(|code| code != 0) && text.contains("PORTCULLIS_TEST_NOT_SET"), "{text}");
}

#[tokio::test]
async fn a_file_that_is_wrong_at_start_ends_the_process() {
    let (code, text) = Gateway::fail_to_start(&Setup::new().patch(&json!({ "listeners": [], "workers": -1 }))).await;
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
    assert!(text.contains("listeners") && text.contains("workers"), "{text}");
}

async fn until_version(gateway: &Gateway, wanted: &str) {
    gateway.until(wanted, Request::get("/"), |response| response.value("x-version") == Some(wanted)).await;
}

/// What `/api/v1/state` says about a change that was refused.
async fn refused(gateway: &Gateway) -> Value {
    from_json::<Value>(&gateway.admin("/api/v1/state").await.body).unwrap()["refused"].clone()
}

#[tokio::test]
async fn a_configuration_that_waits_for_a_file_is_taken_over_when_it_arrives() {
    let gateway = Setup::new().route(answering("hello")).start().await;
    let mark = gateway.logs().mark();
    gateway.patch_config(&json!({ "plugins": { "chain": [{ "plugin": "version", "config": { "word": "waited" } }] } }));
    gateway.logs().wait_for_words(mark, &["refused", "no version.wasm"]).await;
    assert_eq!(refused(&gateway).await["change"], "plugins");
    gateway.put_plugin("version.wasm", &artefacts::version(1));
    let waited = |response: &Response| response.value("x-version-config") == Some("waited");
    gateway.until("the configuration", Request::get("/"), waited).await;
    assert_eq!(refused(&gateway).await, Value::Null);
}

#[tokio::test]
async fn a_folder_that_a_refused_configuration_named_first_is_watched_once_it_is_taken_over() {
    let gateway = Setup::new().route(answering("hello")).start().await;
    let other = gateway.folder().join("other");
    fs::create_dir(&other).unwrap();
    let put = |name: &str, number: u32| fs::write(other.join(name), artefacts::version(number)).unwrap();
    let chain = |names: &[&str]| names.iter().map(|name| json!({ "plugin": name })).collect::<Vec<_>>();
    let mark = gateway.logs().mark();
    gateway.patch_config(&json!({ "plugins": { "directory": "other", "chain": chain(&["absent"]) } }));
    gateway.logs().wait_for_words(mark, &["refused", "no absent.wasm"]).await;
    gateway.patch_config(&json!({ "plugins": { "chain": chain(&[]) }, "routes": [answering("repaired")] }));
    until_says(&gateway, "repaired").await;
    put("version.wasm", 1);
    until_version(&gateway, "00000001").await;
}

#[tokio::test]
async fn what_arrives_in_a_folder_of_a_refused_configuration_completes_it() {
    let gateway = Setup::new().route(answering("hello")).start().await;
    let other = gateway.folder().join("other");
    let mark = gateway.logs().mark();
    let plugins = json!({ "directory": "other", "chain": [{ "plugin": "version" }] });
    gateway.patch_config(&json!({ "plugins": plugins }));
    gateway.logs().wait_for_words(mark, &["refused", "create the folder"]).await;
    assert_eq!(refused(&gateway).await["change"], "folder");
    // The old folder serves as before.
    gateway.put_plugin("version.wasm", &artefacts::version(1));
    until_version(&gateway, "00000001").await;
    let mark = gateway.logs().mark();
    fs::create_dir(&other).unwrap();
    gateway.logs().wait_for_words(mark, &["refused", "no version.wasm"]).await;
    fs::write(other.join("version.wasm"), artefacts::version(2)).unwrap();
    until_version(&gateway, "00000002").await;
    assert_eq!(refused(&gateway).await, Value::Null);
}

#[tokio::test]
async fn a_missing_file_of_a_refused_configuration_is_waited_for() {
    let gateway = Setup::new().route(answering("hello")).file("version.wasm", artefacts::version(1)).start().await;
    let mark = gateway.logs().mark();
    let entry = json!({ "plugin": "version", "config": { "word": { "$file": "word.txt" } } });
    gateway.patch_config(&json!({ "plugins": { "chain": [entry] } }));
    gateway.logs().wait_for_words(mark, &["refused", "word.txt"]).await;
    fs::write(gateway.folder().join("word.txt"), "found").unwrap();
    let found = |response: &Response| response.value("x-version-config") == Some("found");
    gateway.until("the file", Request::get("/"), found).await;
}

#[tokio::test]
async fn a_gateway_that_is_busy_with_a_change_drains_at_once() {
    let log = json!({ "log": { "filter": "info,portcullis=debug" } });
    let mut gateway = Setup::new().route(answering("hello")).patch(&log).start().await;
    let mut idle = gateway.connect().await;
    let other = gateway.folder().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("slow-init.wasm"), artefacts::guest("slow-init")).unwrap();
    let mark = gateway.logs().mark();
    let limits = json!({ "fuel": 100_000_000_000_u64, "timeout_ms": 5000 });
    let entry = json!({ "plugin": "slow-init", "config": { "ms": 3000 }, "limits": limits });
    gateway.patch_config(&json!({ "plugins": { "directory": "other", "chain": [entry] } }));
    // Next comes `init`, which takes three seconds.
    gateway.logs().wait_for_words(mark, &["compiled", "slow-init"]).await;
    gateway.signal("TERM");
    assert!(idle.is_closed().await);
    assert_eq!(gateway.logs().count(&["plugin takes over", "slow-init"]), 0, "the change is still being made");
    assert!(gateway.ended().await.success());
    gateway.logs().wait_ended().await;
    assert_eq!(gateway.logs().count(&["plugin takes over", "slow-init"]), 1, "it was made to its end");
}
