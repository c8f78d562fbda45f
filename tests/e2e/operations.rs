//! What operators change over the admin API: the configuration, plugins, endpoints; and what is left of it after a restart.

use std::fs;

use portcullis_tests::{Gateway, Load, Origin, Request, Response, Setup, Value, artefacts, from_json, json};

fn answering(body: &str) -> Value {
    json!({ "name": "all", "respond": { "body": body } })
}

/// Sends JSON to the admin API.
async fn send(gateway: &Gateway, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = Request::new(method, &format!("/api/v1{path}")).field("Content-Type", "application/json");
    told(&gateway.ask_admin(&request.body(body.to_string())).await)
}

async fn ask(gateway: &Gateway, path: &str) -> Value {
    let (status, value) = told(&gateway.admin(&format!("/api/v1{path}")).await);
    assert_eq!(status, 200, "{path}: {value}");
    value
}

async fn upload(gateway: &Gateway, plugin: &str, bytes: Vec<u8>) -> (u16, Value) {
    let request = Request::new("PUT", &format!("/api/v1/plugins/{plugin}/file"));
    told(&gateway.ask_admin(&request.field("Content-Type", "application/wasm").body(bytes)).await)
}

fn told(response: &Response) -> (u16, Value) {
    (response.status, from_json(&response.body).unwrap_or_else(|error| panic!("{error}: {response:?}")))
}

fn is_served(response: &Response) -> Result<(), String> {
    if (response.status, response.text()) == (200, "hello") { Ok(()) } else { Err(format!("{response:?}")) }
}

#[tokio::test]
async fn a_configuration_is_validated_compared_applied_and_rolled_back() {
    let gateway = Setup::new().route(answering("one")).start().await;
    let shown = gateway.admin("/api/v1/configuration").await;
    let tag = shown.value("etag").unwrap().to_owned();
    let before = told(&shown).1;
    assert_eq!(
        (before["writable"].clone(), format!("{:?}", before["etag"].as_str().unwrap())),
        (json!(true), tag.clone())
    );
    let mut document = before["document"].clone();
    document["routes"] = json!([answering("two")]);
    let body = json!({ "document": document });
    assert_eq!(send(&gateway, "POST", "/configuration/validate", &body).await.1["valid"], true);
    let difference = send(&gateway, "POST", "/configuration/diff", &body).await.1;
    assert_eq!(difference["changes"][0]["path"], "$.routes[0].respond.body");

    let put = |tag: &str| {
        let request = Request::new("PUT", "/api/v1/configuration").field("Content-Type", "application/json");
        request.field("If-Match", tag).body(body.to_string())
    };
    assert_eq!(gateway.ask_admin(&put("\"other\"")).await.status, 412);
    let (status, applied) = told(&gateway.ask_admin(&put(&tag)).await);
    assert_eq!(
        (status, &applied["survives_restart"], &applied["changes"]),
        (200, &json!(true), &difference["changes"])
    );
    assert_eq!(gateway.get("/").await.text(), "two");
    assert_eq!(gateway.config()["routes"][0]["respond"]["body"], "two");
    assert_eq!(gateway.ask_admin(&put(&tag)).await.status, 412, "somebody was faster");

    let mut wrong = document.clone();
    wrong["rotues"] = json!([]);
    let (status, refusal) = send(&gateway, "PUT", "/configuration", &json!({ "document": wrong })).await;
    assert_eq!(
        (status, &refusal["reason"], &refusal["problems"][0]["path"]),
        (422, &json!("invalid"), &json!("$.rotues"))
    );
    let versions = ask(&gateway, "/configuration/history").await["versions"].clone();
    assert_eq!((&versions[0]["current"], &versions[1]["by"]), (&json!(true), &json!("file")));
    let kept = ask(&gateway, &format!("/configuration/history/{}", versions[1]["id"].as_str().unwrap())).await;
    assert_eq!(kept["document"], before["document"]);
    let (status, back) = send(&gateway, "POST", "/configuration/rollback", &json!({ "id": versions[1]["id"] })).await;
    assert_eq!((status, &back["etag"]), (200, &before["etag"]));
    assert_eq!(gateway.get("/").await.text(), "one");
    assert_eq!(send(&gateway, "POST", "/configuration/rollback", &json!({ "id": "../x" })).await.0, 404);
    let audit = ask(&gateway, "/audit").await.to_string();
    assert!(audit.contains("PUT /api/v1/configuration") && audit.contains("$.routes[0].respond.body"), "{audit}");
}

#[tokio::test]
async fn a_plugin_is_switched_uploaded_rolled_back_and_removed() {
    let origin = Origin::saying("hello").await;
    let setup = Setup::to(&origin).patch(&json!({ "workers": 2 })).file("version.wasm", artefacts::version(1));
    let gateway = setup.entry("version", json!({ "config": { "word": "kept" } })).start().await;
    let load = Load::start(&gateway, 4, &Request::get("/"), is_served);
    let version = async || gateway.get("/").await.value("x-version").map(str::to_owned);
    for (enabled, expected) in [(false, None), (true, Some("00000001"))] {
        let (status, applied) = send(&gateway, "PATCH", "/plugins/version", &json!({ "enabled": enabled })).await;
        assert_eq!((status, &applied["survives_restart"]), (200, &json!(true)));
        assert_eq!(version().await.as_deref(), expected);
    }
    let (status, uploaded) = upload(&gateway, "version", artefacts::version(2)).await;
    assert_eq!((status, version().await.as_deref()), (200, Some("00000002")));
    let (status, refusal) = upload(&gateway, "version", b"garbage".to_vec()).await;
    assert_eq!(status, 422, "{refusal}");
    assert!(refusal["problems"][0]["what"].as_str().unwrap().contains("not WebAssembly"), "{refusal}");
    assert_eq!(version().await.as_deref(), Some("00000002"));
    let versions = ask(&gateway, "/plugins/version/versions").await["versions"].clone();
    assert_eq!((&versions[0]["hash"], &versions[0]["current"]), (&uploaded["hash"], &json!(true)));
    let back = json!({ "hash": versions[1]["hash"] });
    assert_eq!(send(&gateway, "POST", "/plugins/version/rollback", &back).await.0, 200);
    assert_eq!(version().await.as_deref(), Some("00000001"));
    let details = ask(&gateway, "/plugins/version").await;
    assert_eq!((&details["config"], &details["state"]), (&json!({ "word": "kept" }), &json!("active")));
    assert!(details["config_schema"]["properties"]["word"].is_object(), "{details}");
    let listed = ask(&gateway, "/plugins").await;
    assert_eq!((&listed["plugins"][0]["plugin"], listed["plugins"].as_array().unwrap().len()), (&json!("version"), 1));
    let (status, refusal) = send(&gateway, "PUT", "/plugins/order", &json!({ "order": ["nobody"] })).await;
    assert_eq!((status, &refusal["problems"][0]["path"]), (422, &json!("$.order[0]")));
    let removed = told(&gateway.ask_admin(&Request::new("DELETE", "/api/v1/plugins/version")).await);
    assert_eq!((removed.0, version().await), (200, None), "{}", removed.1);
    assert!(!gateway.plugin_path("version.wasm").exists());
    assert_eq!(told(&gateway.ask_admin(&Request::new("DELETE", "/api/v1/plugins/version")).await).0, 404);
    load.stop().await.expect_clean(20);
}

#[tokio::test]
async fn an_endpoint_is_drained_by_whoever_may_and_nobody_else() {
    let (one, other) = (Origin::saying("one").await, Origin::saying("other").await);
    let endpoints = json!([one.address().to_string(), other.address().to_string()]);
    let token = "0123456789abcdef0123456789abcdef";
    let tokens = json!([{ "name": "ops", "role": "operate", "token": token }]);
    let setup = Setup::new()
        .patch(&json!({ "upstreams": { "origin": { "endpoints": endpoints } }, "admin": { "tokens": tokens } }));
    let gateway = setup.file("version.wasm", artefacts::version(1)).entry("version", json!({})).start().await;
    let operate = async |method: &str, path: &str, body: Value| {
        let request = Request::new(method, &format!("/api/v1{path}")).field("Content-Type", "application/json");
        told(&gateway.ask_admin(&request.bearer(token).body(body.to_string())).await)
    };
    let path = format!("/upstreams/origin/endpoints/{}", one.address().to_string().replace(':', "%3A"));
    let (status, drained) = operate("PATCH", &path, json!({ "draining": true })).await;
    assert_eq!((status, drained["changes"].as_array().map(Vec::len)), (200, Some(1)), "{drained}");
    for _ in 0..6 {
        assert_eq!(gateway.get("/").await.text(), "other");
    }
    assert_eq!(operate("PATCH", "/plugins/version", json!({ "enabled": false })).await.0, 200);
    assert_eq!(operate("PATCH", "/plugins/version", json!({ "config": {} })).await.0, 403);
    assert_eq!(operate("PUT", "/configuration", json!({ "document": {} })).await.0, 403);
    assert_eq!(operate("PATCH", "/upstreams/nobody/endpoints/x", json!({ "weight": 2 })).await.0, 404);
}

#[tokio::test]
async fn a_disk_that_takes_no_more_leaves_everything_as_it_was() {
    // What is larger than this cannot be written, as on a disk that is full.
    let setup = Setup::new().route(answering("one"));
    let gateway = setup.shell("trap '' XFSZ; ulimit -f 60").start().await;
    let mut document = ask(&gateway, "/configuration").await["document"].clone();
    // Answered once the gateway has noted in the history what it found.
    send(&gateway, "POST", "/configuration/validate", &json!({ "document": document })).await;
    let (before, entries) = (fs::read(gateway.config_path()).unwrap(), count(&gateway));
    document["routes"] = json!([answering(&"x".repeat(200_000))]);
    let (status, refusal) = send(&gateway, "PUT", "/configuration", &json!({ "document": document })).await;
    assert_eq!((status, &refusal["reason"]), (507, &json!("storage")), "{refusal}");
    assert_eq!(fs::read(gateway.config_path()).unwrap(), before);
    assert_eq!(count(&gateway), entries, "nothing is left behind");
    assert_eq!(gateway.get("/").await.text(), "one");
}

/// Files beside the configuration, in the plugin folder and in the history.
fn count(gateway: &Gateway) -> [usize; 3] {
    ["", "plugins", "state/history"].map(|name| fs::read_dir(gateway.folder().join(name)).unwrap().count())
}

#[tokio::test]
async fn what_waits_for_a_restart_is_shown_until_it_is_taken_back() {
    let gateway = Setup::new().route(answering("one")).patch(&json!({ "workers": 1 })).start().await;
    let good = ask(&gateway, "/configuration").await["document"].clone();
    let mut document = good.clone();
    document["workers"] = json!(2);
    let (status, applied) = send(&gateway, "PUT", "/configuration", &json!({ "document": document })).await;
    assert_eq!((status, &applied["restart_needed"]), (200, &json!(["$.workers"])));
    assert_eq!(ask(&gateway, "/state").await["restart_needed"], json!(["$.workers"]));
    let health = ask(&gateway, "/health").await.to_string();
    assert!(health.contains("$.workers changed since the start"), "{health}");
    assert_eq!(send(&gateway, "PUT", "/configuration", &json!({ "document": good })).await.0, 200);
    assert_eq!(ask(&gateway, "/state").await["restart_needed"], json!([]));
    assert_eq!(gateway.metric("portcullis_bans").await, Some(0.0));
    assert_eq!(send(&gateway, "POST", "/bans", &json!({ "address": "192.0.2.9", "seconds": 60 })).await.0, 200);
    assert_eq!(gateway.metric("portcullis_bans").await, Some(1.0));
}

#[tokio::test]
async fn explaining_knows_what_the_gateway_refuses_and_variants_keep_their_names() {
    let routes = json!([{ "name": "rest", "respond": { "body": "x" }, "plugins": { "version": { "config": { "word": "b" } } } }]);
    let setup = Setup::new().patch(&json!({ "routes": routes })).file("other.wasm", artefacts::guest("counts-calls"));
    let setup = setup.file("version.wasm", artefacts::version(1)).entry("version", json!({})).entry("other", json!({}));
    let gateway = setup.start().await;
    for path in ["/../a", "/a/./b", "/a\\b"] {
        let question = json!({ "method": "GET", "url": format!("http://a.test{path}") });
        let (status, told) = send(&gateway, "POST", "/routes/explain", &question).await;
        assert_eq!((status, &told["outcome"], &told["route"]), (200, &json!("refused"), &Value::Null), "{path} {told}");
        assert_eq!(gateway.get(path).await.status, 400, "{path}");
    }
    assert_eq!(gateway.get("/").await.status, 200);
    let order = json!({ "order": ["other", "version"] });
    assert_eq!(send(&gateway, "PUT", "/plugins/order", &order).await.0, 200);
    let metrics = gateway.admin("/metrics").await;
    let text = metrics.text();
    assert!(text.contains("plugin=\"version\",variant=\"route rest\"") && !text.contains("plugins.chain["), "{text}");
    let shown = ask(&gateway, "/plugins/version").await;
    assert!(shown["variants"].to_string().contains("plugins.chain[1].config"), "{shown}");
}
