//! What a newcomer sees: the default configuration with its plugins and the demo origin, as `cargo xtask run` starts them.

use std::fs;
use std::path::Path;

use portcullis_tests::{Gateway, Request, Response, Setup, artefacts, json};

async fn demo() -> Gateway {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/portcullis.json");
    let mut config = portcullis_tests::from_json(&fs::read(file).unwrap()).unwrap();
    let here = json!({ "log": { "format": "json" } });
    portcullis_tests::setup::merge(&mut config, &here);
    // All that the folder holds, so that those which are switched off are seen to stay off.
    let guards = ["access-control", "api-key", "basic-auth", "cors", "csrf", "rate-limit"];
    let plugins = ["response-timing", "security-headers", "jwt-auth", "smart-cache"].into_iter().chain(guards);
    let setup =
        plugins.fold(Setup::of(config), |setup, name| setup.file(&format!("{name}.wasm"), artefacts::plugin(name)));
    let setup = setup.environment("PORTCULLIS_LISTEN", "127.0.0.1:0").environment("PORTCULLIS_ADMIN", "127.0.0.1:0");
    setup.argument("--demo").start().await
}

/// The token that the command lines carry.
async fn token(gateway: &Gateway) -> String {
    let line = gateway.logs().wait_for_words(0, &["curl", "Bearer "]).await;
    line.raw().split("Bearer ").nth(1).unwrap().split('\'').next().unwrap().to_owned()
}

fn has_timing_and_security_headers(response: &Response) {
    assert!(response.value("server-timing").unwrap().contains("total;dur="), "{response:?}");
    assert_eq!(response.value("x-content-type-options"), Some("nosniff"), "{response:?}");
    assert!(response.fields.has("content-security-policy") && !response.fields.has("x-powered-by"), "{response:?}");
}

#[tokio::test]
async fn the_command_lines_show_what_they_promise() {
    let gateway = demo().await;
    let token = token(&gateway).await;

    let plain = gateway.get("/plain").await;
    assert!(plain.status == 200 && plain.text().contains("hello"), "{plain:?}");
    has_timing_and_security_headers(&plain);

    let refused = gateway.get("/private/headers").await;
    assert_eq!(refused.status, 401);
    has_timing_and_security_headers(&refused);
    let allowed = gateway.send(Request::get("/private/headers").bearer(&token)).await;
    assert_eq!((allowed.status, &allowed.json()["headers"]["x-user"]), (200, &json!("user-0001")));
    has_timing_and_security_headers(&allowed);

    let miss = gateway.get("/cached").await;
    let hit = gateway.get("/cached").await;
    assert!(hit.value("cache-status").unwrap().contains("; hit"), "{hit:?}");
    assert_eq!(miss.body, hit.body);
    has_timing_and_security_headers(&hit);

    assert!(gateway.get("/stream").await.text().ends_with("piece 10 of 10\n"));
    gateway.stop().await;
}

#[tokio::test]
async fn the_example_plugin_can_be_dropped_in() {
    let gateway = demo().await;
    gateway.put_plugin("hello.wasm", &artefacts::plugin("hello"));
    let greets = |response: &Response| response.value("x-greeting") == Some("hello");
    gateway.until("the greeting", Request::get("/"), greets).await;
}
