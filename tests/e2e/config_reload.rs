//! The configuration file: changed while the gateway runs, wrong, overlaid, filled in from the environment.

use std::fs;

use portcullis_tests::{Gateway, Load, Origin, Request, Response, Setup, Value, json};

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
