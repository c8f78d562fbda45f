//! Changes that have to go through although something else is wrong, and what is told of plugins that join.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::fs;

use portcullis_tests::{Setup, artefacts, eventually, json};

use super::gateway_tests::*;
use super::*;

fn two_endpoints() -> Setup {
    let endpoints = json!(["127.0.0.1:1", "127.0.0.1:2"]);
    Setup::new().route(answering("one")).patch(&json!({ "upstreams": { "u": { "endpoints": endpoints } } }))
}

/// A gateway with a list of addresses in another file.
fn with_a_list() -> Running {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    fs::write(folder.path().join("deny.txt"), "192.0.2.1\n").unwrap();
    let setup = two_endpoints().patch(&json!({ "addresses": { "deny": [{ "file": "deny.txt" }] } }));
    fs::write(folder.path().join("portcullis.json"), setup.config().to_string()).unwrap();
    Running::on(folder, &[])
}

async fn drain(gateway: &Running, endpoint: &str) -> Result<Applied, Refusal> {
    gateway.operations.endpoint(ticket("drain"), "u", endpoint, (None, Some(json!(true)))).await
}

fn drains(gateway: &Running, place: usize) -> bool {
    let config = &gateway.operations.generation().config;
    config.upstreams[0].endpoints[place].duty == crate::upstream::Duty::Drains
}

#[tokio::test]
async fn an_endpoint_drains_although_a_list_is_broken() {
    let gateway = with_a_list();
    fs::write(gateway.file("deny.txt"), "garbage!\n").unwrap();
    let applied = drain(&gateway, "127.0.0.1:1").await.unwrap();
    assert_eq!((applied.changes.len(), applied.survival), (1, Survival::Survives));
    let note = applied.notes.join("; ");
    assert!(note.contains("something else is wrong") && note.contains("deny.txt"), "{note}");
    assert!(drains(&gateway, 0));
    assert_eq!(gateway.written()["upstreams"]["u"]["endpoints"][0]["drain"], true);
    assert_eq!(gateway.operations.document().document["upstreams"]["u"]["endpoints"][0]["drain"], true);
    // What the change itself would break stays refused, and so does any other change.
    assert!(matches!(drain(&gateway, "127.0.0.1:2").await, Err(Refusal::Invalid(_))));
    let other = with_routes(&gateway.operations.document().document, "two");
    assert!(matches!(gateway.operations.apply(ticket("other"), other.clone()).await, Err(Refusal::Invalid(_))));
    // Once it is repaired everything holds.
    fs::write(gateway.file("deny.txt"), "192.0.2.2\n").unwrap();
    gateway.operations.apply(ticket("other"), other).await.unwrap();
    assert_eq!((gateway.says().await.as_str(), drains(&gateway, 0)), ("two", true));
}

#[tokio::test]
async fn an_endpoint_drains_beside_an_edit_that_was_refused_and_the_edit_stays() {
    let gateway = Running::start(&two_endpoints());
    let good = gateway.written();
    fs::write(gateway.file("portcullis.json"), "{ \"workers\": \"many\" }").unwrap();
    let applied = drain(&gateway, "127.0.0.1:1").await.unwrap();
    assert!(
        matches!(&applied.survival, Survival::Lost(why) if why.contains("write the change into it")),
        "{applied:?}"
    );
    assert!(drains(&gateway, 0) && gateway.written()["workers"] == "many");
    // Nothing overwrites the edit, neither now nor later.
    let other = with_routes(&gateway.operations.document().document, "two");
    let refused = gateway.operations.apply(ticket("other"), other).await;
    assert!(matches!(refused, Err(Refusal::Edited { .. })), "{refused:?}");
    gateway.watched().await;
    assert!(drains(&gateway, 0) && gateway.written()["workers"] == "many");
    // What the file says counts once it is good.
    let mut repaired = good;
    repaired["routes"] = json!([answering("repaired")]);
    fs::write(gateway.file("portcullis.json"), repaired.to_string()).unwrap();
    eventually("the file is taken over", || async { (gateway.says().await == "repaired").then_some(()) }).await;
    assert!(!drains(&gateway, 0));
    drain(&gateway, "127.0.0.1:1").await.unwrap();
    assert_eq!(gateway.written()["upstreams"]["u"]["endpoints"][0]["drain"], true);
}

#[tokio::test]
async fn a_plugin_is_switched_off_although_the_file_of_another_is_gone() {
    let setup =
        two_endpoints().file("one.wasm", artefacts::version(1)).file("two.wasm", artefacts::guest("counts-calls"));
    let gateway = Running::start(&setup.entry("one", json!({})).entry("two", json!({})));
    fs::remove_file(gateway.file("plugins/two.wasm")).unwrap();
    let applied = gateway.operations.set_plugin(ticket("off"), &plugin("one"), enabled(false)).await.unwrap();
    assert!(applied.notes.join("; ").contains("two.wasm"), "{:?}", applied.notes);
    let state = |name: &str| gateway.operations.plugin(&plugin(name)).unwrap()["state"].clone();
    assert_eq!((state("one"), state("two")), (json!("disabled"), json!("active")));
    drain(&gateway, "127.0.0.1:1").await.unwrap();
    assert!(drains(&gateway, 0));
    // Switching on is no emergency.
    let on = gateway.operations.set_plugin(ticket("on"), &plugin("one"), enabled(true)).await;
    assert!(matches!(on, Err(Refusal::Invalid(_))), "{on:?}");
}

#[tokio::test]
async fn who_is_switched_on_joins_the_chain_and_says_where() {
    let setup = Setup::new().route(answering("one")).patch(&json!({ "plugins": { "unlisted": "ignore" } }));
    let gateway = Running::start(&setup.file("version.wasm", artefacts::version(1)));
    assert_eq!(gateway.version().await, None);
    let on = gateway.operations.set_plugin(ticket("on"), &plugin("version"), enabled(true)).await.unwrap();
    assert_eq!(on.notes, ["plugin version joins the chain as number 1 of 1 and runs on all routes"]);
    assert_eq!((on.changes.len(), gateway.version().await.as_deref()), (1, Some("00000001")));
    gateway.operations.set_plugin(ticket("off"), &plugin("version"), enabled(false)).await.unwrap();
    let config = PluginEdit { enabled: Some(json!(true)), routes: Some(json!(["all"])), ..PluginEdit::default() };
    let told = gateway.operations.set_plugin(ticket("on"), &plugin("version"), config).await.unwrap();
    assert!(told.notes.join("").contains("joins the chain"), "{:?}", told.notes);
    let removed = gateway.operations.remove(ticket("gone"), &plugin("version")).await.unwrap();
    assert!(removed.notes.join("").contains("version.wasm is taken away"), "{:?}", removed.notes);
}

#[tokio::test]
async fn what_waits_for_a_restart_is_what_the_process_did_not_start_with() {
    let gateway = Running::start(&Setup::new().route(answering("one")).patch(&json!({ "workers": 1 })));
    let set = async |workers: u64, body: &str| {
        let mut document = with_routes(&gateway.operations.document().document, body);
        document["workers"] = json!(workers);
        gateway.operations.apply(ticket("workers"), document).await.unwrap().restart_needed
    };
    assert_eq!(set(2, "one").await, ["$.workers"]);
    assert!(set(2, "two").await.is_empty(), "that is told already");
    assert_eq!(set(3, "two").await, ["$.workers"]);
    assert!(set(1, "two").await.is_empty(), "it has so many");
}

#[tokio::test]
async fn what_is_in_memory_only_is_written_once_that_is_possible() {
    use std::os::unix::fs::PermissionsExt as _;
    let gateway = Running::start(&two_endpoints());
    let allow = |mode| fs::set_permissions(gateway.folder.path(), fs::Permissions::from_mode(mode)).unwrap();
    allow(0o555);
    let lost = drain(&gateway, "127.0.0.1:1").await.unwrap();
    assert!(matches!(lost.survival, Survival::Lost(_)), "{lost:?}");
    allow(0o755);
    assert_eq!(drain(&gateway, "127.0.0.1:1").await.unwrap().survival, Survival::Survives);
    assert_eq!(gateway.written()["upstreams"]["u"]["endpoints"][0]["drain"], true);
}
