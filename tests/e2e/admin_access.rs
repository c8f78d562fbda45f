//! Who gets in at the admin listener, by what, and what is written down of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use portcullis_tests::{Gateway, Request, Response, Setup, Value, eventually, from_json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

fn setup() -> Setup {
    Setup::new().route(json!({ "name": "all", "cache": true, "respond": { "body": "hello" } }))
}

async fn at(gateway: &Gateway, request: Request) -> Response {
    let host = gateway.admin_address().await.to_string();
    gateway.ask_admin_plainly(&request.host(&host)).await
}

fn purge() -> Request {
    Request::post("/api/v1/cache/purge", r#"{"all":true}"#).field("Content-Type", "application/json")
}

async fn audit(gateway: &Gateway) -> Vec<Value> {
    gateway.admin("/api/v1/audit").await.json()["entries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_token_that_is_made_opens_and_health_needs_none() {
    let gateway = setup().start().await;
    let path = gateway.folder().join("state/admin-token");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(gateway.folder().join("state")).unwrap().permissions().mode() & 0o777, 0o700);
    let token = gateway.admin_token().unwrap();
    assert!(!gateway.logs().text().contains(&token), "the log tells the token");
    for path in ["/livez", "/readyz", "/startupz"] {
        // Whoever runs the process may ask by any name.
        assert_eq!(gateway.ask_admin_plainly(&Request::get(path)).await.status, 200, "{path}");
    }
    let state = gateway.admin("/api/v1/state").await.json();
    assert_eq!((&state["workers"], &state["draining"], &state["generation"]), (&json!(1), &json!(false), &json!(1)));
    for path in ["/", "/api/v1/state", "/metrics", "/assets/app.js", "/nothing", "/api/v1/audit"] {
        let response = at(&gateway, Request::get(path)).await;
        assert_eq!(response.status, 401, "{path}");
    }
    assert!(at(&gateway, Request::get("/")).await.text().contains("action=\"/login\""));
    let stranger = Request::get("/api/v1/state").bearer(&token).host("evil.example");
    assert_eq!(gateway.ask_admin_plainly(&stranger).await.status, 421, "a name that leads here is no name of ours");
}

#[tokio::test]
async fn a_browser_signs_in_and_no_other_site_acts_for_it() {
    let gateway = setup().start().await;
    let (token, host) = (gateway.admin_token().unwrap(), gateway.admin_address().await.to_string());
    let form = |token: &str| {
        Request::post("/login", format!("token={token}")).field("Content-Type", "application/x-www-form-urlencoded")
    };
    let wrong = at(&gateway, form("wrong")).await;
    assert_eq!((wrong.status, wrong.value("set-cookie").is_some()), (401, false));
    let foreign = at(&gateway, form(&token).field("Origin", "http://evil.test")).await;
    assert_eq!((foreign.status, foreign.value("set-cookie").is_some()), (403, false));
    let welcome = at(&gateway, form(&token)).await;
    assert_eq!((welcome.status, welcome.value("location")), (303, Some("/")));
    let cookie = welcome.value("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let page = at(&gateway, Request::get("/").field("Cookie", &cookie)).await;
    assert_eq!(page.status, 200);
    let policy = page.value("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let script = at(&gateway, Request::get("/assets/app.js").field("Cookie", &cookie)).await;
    assert_eq!((script.status, script.value("content-type")), (200, Some("text/javascript; charset=utf-8")));

    let mine = format!("http://{host}");
    let check = async |origin: Option<&str>, status: u16| {
        let request = purge().field("Cookie", &cookie);
        let request = origin.iter().fold(request, |request, origin| request.field("Origin", origin));
        assert_eq!(at(&gateway, request).await.status, status, "{origin:?}");
    };
    check(Some(&mine), 200).await;
    check(None, 403).await;
    check(Some("http://evil.test"), 403).await;
    check(Some("null"), 403).await;
    let out = at(&gateway, Request::post("/logout", "").field("Cookie", &cookie).field("Origin", &mine)).await;
    assert_eq!(out.status, 303);
    assert_eq!(at(&gateway, Request::get("/").field("Cookie", &cookie)).await.status, 401);
}

#[tokio::test]
async fn changes_and_refusals_are_written_down_and_nothing_is_changed_unseen() {
    let gateway = setup().start().await;
    assert_eq!(gateway.ask_admin(&purge()).await.status, 200);
    assert_eq!(gateway.ask_admin(&purge().body("{}")).await.status, 400);
    assert_eq!(gateway.ask_admin(&purge().bearer("wrong-token")).await.status, 401);
    let entries = audit(&gateway).await;
    let told: Vec<(&str, &str, &str)> = entries
        .iter()
        .map(|entry| ["actor", "action", "outcome"].map(|key| entry[key].as_str().unwrap()).into())
        .collect();
    let action = "POST /api/v1/cache/purge";
    let expected =
        [("(unknown)", action, "refused"), ("admin-token", action, "refused"), ("admin-token", action, "done")];
    assert_eq!(told, expected);
    assert_eq!((&entries[2]["detail"], &entries[2]["role"]), (&json!({ "all": true }), &json!("admin")));
    let text = fs::read_to_string(gateway.folder().join("state/audit.log")).unwrap();
    assert!(!text.contains(&gateway.admin_token().unwrap()) && !text.contains("wrong-token"), "{text}");
    assert!(text.lines().all(|line| from_json::<Value>(line.as_bytes()).is_ok()), "{text}");

    // Nobody can write into a folder.
    let path = gateway.folder().join("state/audit.log");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    gateway.get("/").await;
    let before = gateway.admin("/api/v1/cache").await.json()["last_purge"].clone();
    let refused = gateway.ask_admin(&purge()).await;
    assert_eq!((refused.status, refused.json()["reason"].as_str()), (503, Some("audit_unavailable")));
    assert_eq!(gateway.admin("/api/v1/cache").await.json()["last_purge"], before);
}

/// Sends a request through a Unix socket and gives the response as text.
async fn by_socket(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn who_may_open_the_socket_may_do_everything() {
    let setup = setup().patch(&json!({ "admin": { "socket": { "path": "admin.sock" } } }));
    let gateway = setup.start().await;
    gateway.logs().wait_for_words(0, &["admin socket listening"]).await;
    let path = gateway.folder().join("admin.sock");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let body = r#"{"all":true}"#;
    let request = format!(
        "POST /api/v1/cache/purge HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!(by_socket(&path, &request).await.starts_with("HTTP/1.1 200"));
    let actor = audit(&gateway).await[0]["actor"].as_str().unwrap().to_owned();
    assert!(actor.starts_with("uid:"), "{actor}");
    let wrong = "GET /api/v1/state HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer wrong\r\n\r\n";
    assert!(by_socket(&path, wrong).await.starts_with("HTTP/1.1 401"));
    drop(gateway.stop().await);
}

#[tokio::test]
async fn who_may_only_look_reads_no_files_and_variables() {
    let tokens = json!([
        { "name": "reader", "role": "read", "token": "the-token-of-the-reader" },
        { "name": "operator", "role": "operate", "token": "the-token-of-the-operator" },
        { "name": "boss", "role": "admin", "token": "the-token-of-the-boss" },
    ]);
    let gateway =
        setup().patch(&json!({ "admin": { "tokens": tokens } })).environment("KEPT", "hunter2-hunter2").start().await;
    let mut document = gateway.config();
    document["addresses"] = json!({ "allow": ["${KEPT}", { "file": "portcullis.json" }] });
    let body = json!({ "document": document }).to_string();
    let ask = async |path: &str, token: &str| {
        let request = Request::post(path, body.as_str()).field("Content-Type", "application/json").bearer(token);
        gateway.ask_admin(&request).await
    };
    for path in ["/api/v1/configuration/validate", "/api/v1/configuration/diff"] {
        for token in ["the-token-of-the-reader", "the-token-of-the-operator"] {
            assert_eq!(ask(path, token).await.status, 403, "{path}");
        }
    }
    let told = ask("/api/v1/configuration/validate", "the-token-of-the-boss").await;
    let text = told.text().to_owned();
    assert!(
        text.contains(r#"\"${KEPT}\" is not a network"#) && text.contains("portcullis.json, line 1: is not"),
        "{text}"
    );
    assert!(!text.contains("hunter2") && !text.contains("the-token-of"), "{text}");
    // Nor does what was refused in the file tell it, to whoever looks at the state or reads the log.
    let mark = gateway.logs().mark();
    gateway.patch_config(&json!({ "addresses": { "allow": ["${KEPT}"] } }));
    gateway.logs().wait_for_words(mark, &["configuration refused"]).await;
    let state = gateway.ask_admin(&Request::get("/api/v1/state").bearer("the-token-of-the-reader")).await;
    assert!(state.text().contains("${KEPT}") && !state.text().contains("hunter2"), "{}", state.text());
    assert!(!gateway.logs().text().contains("hunter2"));
    // What was tried stands in the audit log.
    let entries = gateway.ask_admin(&Request::get("/api/v1/audit").bearer("the-token-of-the-reader")).await;
    assert!(entries.text().contains("POST /api/v1/configuration/validate"), "{}", entries.text());
}

#[tokio::test]
async fn somebody_gets_in_after_the_last_token_was_removed() {
    let tokens =
        json!({ "admin": { "tokens": [{ "name": "one", "role": "admin", "token": "the-first-token-of-all" }] } });
    let gateway = setup().patch(&tokens).start().await;
    assert!(gateway.admin_token().is_none());
    let mark = gateway.logs().mark();
    gateway.patch_config(&json!({ "admin": { "tokens": null } }));
    gateway.logs().wait_for_words(mark, &["admin token made"]).await;
    let made = gateway.admin_token().unwrap();
    let ask = async |token: &str| gateway.ask_admin(&Request::get("/api/v1/state").bearer(token)).await.status;
    assert_eq!((ask("the-first-token-of-all").await, ask(&made).await), (401, 200));
}

#[tokio::test]
async fn tokens_change_while_the_gateway_runs() {
    let token =
        |name: &str, token: &str| json!({ "admin": { "tokens": [{ "name": name, "role": "read", "token": token }] } });
    let gateway = setup().patch(&token("one", "the-first-token-of-all")).start().await;
    let ask = async |token: &str| gateway.ask_admin(&Request::get("/api/v1/state").bearer(token)).await.status;
    assert_eq!(ask("the-first-token-of-all").await, 200);
    assert!(gateway.admin_token().is_none(), "a token was made although one is configured");
    gateway.patch_config(&token("two", "the-second-token-of-all"));
    // The first generation may tell that it serves only now.
    eventually("the other token", || async { (ask("the-second-token-of-all").await == 200).then_some(()) }).await;
    assert_eq!((ask("the-first-token-of-all").await, ask("the-second-token-of-all").await), (401, 200));
}
