//! The plugin folder while traffic flows: files dropped in, replaced and removed, without a lost request.

use std::fs;
use std::io::Write;
use std::time::Duration;

use portcullis_tests::{Gateway, Load, Origin, Request, Response, Setup, artefacts, json};

fn version(response: &Response) -> Option<u32> {
    response.value("x-version")?.parse().ok()
}

async fn until_version(gateway: &Gateway, wanted: Option<u32>) -> Response {
    gateway.until(&format!("version {wanted:?}"), Request::get("/"), |response| version(response) == wanted).await
}

fn is_served(response: &Response) -> Result<(), String> {
    match (response.status, response.text(), version(response)) {
        (200, "hello", Some(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test]
async fn a_file_dropped_in_serves_and_one_taken_out_does_not() {
    let origin = Origin::saying("hello").await;
    let gateway = Setup::to(&origin).start().await;
    assert_eq!(version(&gateway.get("/").await), None);
    gateway.put_plugin("version.wasm", &artefacts::version(1));
    until_version(&gateway, Some(1)).await;
    gateway.put_plugin("version.wasm", &artefacts::version(2));
    until_version(&gateway, Some(2)).await;
    gateway.remove_plugin("version.wasm");
    until_version(&gateway, None).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_new_version_gets_the_configuration_of_the_chain() {
    let origin = Origin::saying("hello").await;
    let setup = Setup::to(&origin).guest("version", json!({ "word": "kept" }));
    let gateway = setup.start().await;
    gateway.put_plugin("version.wasm", &artefacts::version(5));
    let response = until_version(&gateway, Some(5)).await;
    assert_eq!(response.value("x-version-config"), Some("kept"));
}

#[tokio::test]
async fn a_new_configuration_is_taken_over_without_a_new_file() {
    let origin = Origin::saying("hello").await;
    let gateway = Setup::to(&origin).guest("version", json!({ "word": "one" })).start().await;
    gateway.patch_config(&json!({ "plugins": { "chain": [{ "plugin": "version", "config": { "word": "two" } }] } }));
    let says_two = |response: &Response| response.value("x-version-config") == Some("two");
    gateway.until("the new word", Request::get("/"), says_two).await;
}

#[tokio::test]
async fn a_file_that_is_written_slowly_is_taken_when_it_is_whole() {
    let origin = Origin::saying("hello").await;
    let gateway = Setup::to(&origin).guest("version", json!({})).start().await;
    let load = Load::start(&gateway, 2, &Request::get("/"), is_served);
    let bytes = artefacts::version(3);
    let mut file = fs::File::create(gateway.plugin_path("version.wasm")).unwrap();
    for part in bytes.chunks(bytes.len() / 10) {
        file.write_all(part).unwrap();
        file.sync_all().unwrap();
        // As a slow copy does it; the time itself is what is tested.
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    drop(file);
    until_version(&gateway, Some(3)).await;
    load.stop().await.expect_clean(10);
}

#[tokio::test]
async fn a_folder_that_is_replaced_as_a_whole_is_followed() {
    let origin = Origin::saying("hello").await;
    let gateway = Setup::to(&origin).file("version.wasm", artefacts::version(1)).start().await;
    let (folder, next) = (gateway.folder().join("plugins"), gateway.folder().join("next"));
    fs::create_dir(&next).unwrap();
    fs::write(next.join("version.wasm"), artefacts::version(2)).unwrap();
    fs::rename(&folder, gateway.folder().join("last")).unwrap();
    fs::rename(&next, &folder).unwrap();
    until_version(&gateway, Some(2)).await;
    gateway.put_plugin("version.wasm", &artefacts::version(3));
    until_version(&gateway, Some(3)).await;

    let mark = gateway.logs().mark();
    fs::remove_dir_all(&folder).unwrap();
    gateway.logs().wait_for_words(mark, &["create the folder"]).await;
    assert_eq!(version(&gateway.get("/").await), Some(3));
    let status = gateway.admin("/api/v1/state").await;
    assert!(status.text().contains("create the folder"), "{}", status.text());
    fs::create_dir(&folder).unwrap();
    until_version(&gateway, None).await;
    gateway.put_plugin("version.wasm", &artefacts::version(4));
    until_version(&gateway, Some(4)).await;
}

#[tokio::test]
async fn calls_under_way_end_on_the_version_they_began_with() {
    let gate = portcullis_tests::Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| match seen.target.as_str() {
        "/held" => portcullis_tests::Reply::ok("hello").behind(&held),
        _ => portcullis_tests::Reply::ok("hello"),
    })
    .await;
    let setup = Setup::to(&origin).file("version.wasm", artefacts::version(1)).entry("version", json!({}));
    let gateway = setup.start().await;
    let mut client = gateway.connect().await;
    client.write("GET /held HTTP/1.1\r\nHost: a\r\n\r\n").await;
    origin.wait_for(1).await;
    gateway.put_plugin("version.wasm", &artefacts::version(2));
    until_version(&gateway, Some(2)).await;
    gate.open();
    let response = client.response_to("GET").await.unwrap();
    assert_eq!((response.status, version(&response)), (200, Some(1)));
}

#[tokio::test]
async fn two_hundred_swaps_under_load_lose_nothing_and_leak_nothing() {
    let origin = Origin::saying("hello").await;
    let gateway = Setup::to(&origin).patch(&json!({ "workers": 2 })).guest("version", json!({})).start().await;
    let load = Load::start(&gateway, 8, &Request::get("/"), is_served);

    // What is allocated once has been allocated after twenty.
    swap(&gateway, 1..=20).await;
    let (memory, descriptors) = (gateway.memory_bytes(), gateway.descriptors());
    swap(&gateway, 21..=200).await;
    let grown = gateway.memory_bytes().saturating_sub(memory);
    assert!(grown < 48 << 20, "180 swaps cost {} KiB", grown >> 10);
    let more = gateway.descriptors().saturating_sub(descriptors);
    assert!(more < 10, "180 swaps cost {more} descriptors");

    load.stop().await.expect_clean(2000);
    gateway.stop().await;
}

async fn swap(gateway: &Gateway, turns: std::ops::RangeInclusive<u32>) {
    // Twenty versions in turn: each swap is a whole one, but each version is compiled only once.
    for number in turns.map(|turn| turn % 20 + 1) {
        gateway.put_plugin("version.wasm", &artefacts::version(number));
        until_version(gateway, Some(number)).await;
    }
}
