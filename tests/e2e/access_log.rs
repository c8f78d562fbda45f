//! The access log of a real gateway: a line for every request whatever became of it, files that change under load, a disk that is full, secrets,
//! and the log's levels, which change while it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::{SinkExt, StreamExt};
use portcullis_tests::{Gate, Gateway, Load, Origin, Reply, Request, Setup, Value, eventually, in_time, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use crate::websocket::echo;

/// The lines of a log, once there are so many.
async fn lines(file: &Path, count: usize) -> Vec<Value> {
    eventually(&format!("{count} lines in {}", file.display()), || async {
        let text = fs::read_to_string(file).unwrap_or_default();
        // The last one may not be whole yet.
        (text.lines().count() >= count && text.ends_with('\n')).then(|| parsed(&text))
    })
    .await
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))).collect()
}

/// A folder for logs, and a file in it.
fn log() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    (folder, file)
}

/// An address where nobody listens.
async fn nobody() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn every_request_has_the_line_that_it_deserves() {
    let (_folder, file) = log();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::start(move |seen| match seen.target.as_str() {
        "/cached" => Reply::ok("kept").field("Cache-Control", "max-age=60"),
        "/endless" => Reply::chunks(["first"]).then(&held, "second"),
        _ => Reply::ok("hello").field("ETag", "\"v1\""),
    })
    .await;
    let fields = [
        "method",
        "path",
        "query",
        "protocol",
        "route",
        "status",
        "bytes",
        "cache",
        "upstream",
        "endpoint",
        "failure",
        "fault",
        "answered_by",
        "complete",
        "request.header.authorization",
        "request.header.referer",
        "response.header.etag",
    ];
    let gateway = Setup::to(&origin)
        .upstream("down", nobody().await)
        .upstream("chat", echo().await)
        .route(json!({ "name": "quiet", "match": { "path": "/quiet" }, "access_log": false, "respond": {} }))
        .route(json!({ "name": "down", "match": { "path": "/down" }, "proxy": { "upstream": "down" } }))
        .route(json!({ "name": "chat", "match": { "path": "/chat" }, "proxy": { "upstream": "chat" } }))
        .route(json!({ "name": "all", "cache": true, "proxy": { "upstream": "origin" } }))
        .guest("respond-early", json!({ "place": { "hook": "pre-handler", "only_with": "x-deny" }, "status": 403 }))
        .patch(&json!({ "access_log": { "to": { "file": file }, "fields": fields } }))
        .start()
        .await;
    let endpoint = origin.address().to_string();
    let mut count = 0;
    let mut next = async |expected: Value| {
        count += 1;
        assert_eq!(lines(&file, count).await[count - 1], expected);
    };

    let secret = Request::get("/a?x=1&token=abc").bearer("abc").field("Referer", "https://a.example/?code=abc&y=2");
    assert_eq!(gateway.send(secret).await.status, 200);
    next(json!({
        "method": "GET", "path": "/a", "query": "x=1&token=(redacted)", "protocol": "HTTP/1.1", "route": "all", "status": 200, "bytes": 5,
        "cache": "miss", "upstream": "origin", "endpoint": endpoint, "complete": true, "request.header.authorization": "(redacted)",
        "request.header.referer": "https://a.example/?code=(redacted)&y=2", "response.header.etag": "\"v1\"",
    }))
    .await;

    assert_eq!(gateway.get("/cached").await.status, 200);
    next(json!({
        "method": "GET", "path": "/cached", "protocol": "HTTP/1.1", "route": "all", "status": 200, "bytes": 4, "cache": "miss",
        "upstream": "origin", "endpoint": endpoint, "complete": true,
    }))
    .await;
    assert_eq!(gateway.get("/cached").await.status, 200);
    next(json!({
        "method": "GET", "path": "/cached", "protocol": "HTTP/1.1", "route": "all", "status": 200, "bytes": 4, "cache": "hit",
        "complete": true,
    }))
    .await;

    let down = gateway.get("/down").await;
    assert_eq!(down.status, 502);
    next(json!({
        "method": "GET", "path": "/down", "protocol": "HTTP/1.1", "route": "down", "status": 502, "bytes": down.body.len(),
        "upstream": "down", "failure": "upstream_connect", "fault": "upstream", "complete": true,
    }))
    .await;

    assert_eq!(gateway.send(Request::get("/denied").field("X-Deny", "1")).await.status, 403);
    next(json!({
        "method": "GET", "path": "/denied", "protocol": "HTTP/1.1", "route": "all", "status": 403, "bytes": 0,
        "answered_by": "respond-early", "complete": true,
    }))
    .await;

    // Not a request at all: nothing of it is made up.
    let mut client = gateway.connect().await;
    client.write("GET / HTTP/1.1 or so\r\n\r\n").await;
    let refused = client.response_to("GET").await.unwrap();
    next(json!({
        "status": refused.status, "bytes": refused.body.len(), "failure": refused.json()["reason"], "fault": "downstream", "complete": true,
    }))
    .await;
    // A request, but not one that may pass.
    let mut client = gateway.connect().await;
    client.write("GET /a/../b HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    let refused = client.response_to("GET").await.unwrap();
    next(json!({
        "method": "GET", "path": "/a/../b", "protocol": "HTTP/1.1", "status": 400, "bytes": refused.body.len(), "failure": "bad_request",
        "fault": "downstream", "complete": true,
    }))
    .await;

    // A client that goes away in the middle.
    let mut client = gateway.connect().await;
    client.write("GET /endless HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    client.reader().response_head().await.unwrap();
    assert_eq!(client.reader().chunk().await.unwrap(), b"first");
    drop(client);
    next(json!({
        "method": "GET", "path": "/endless", "protocol": "HTTP/1.1", "route": "all", "status": 200, "bytes": 5, "cache": "miss",
        "upstream": "origin", "endpoint": endpoint, "complete": false,
    }))
    .await;

    gate.open();
    http2(&gateway, "/h2").await;
    next(json!({
        "method": "GET", "path": "/h2", "protocol": "HTTP/2.0", "route": "all", "status": 200, "bytes": 5, "cache": "miss",
        "upstream": "origin", "endpoint": endpoint, "complete": true, "response.header.etag": "\"v1\"",
    }))
    .await;

    chat(&gateway).await;
    let line = lines(&file, count + 1).await.pop().unwrap();
    assert_eq!(
        (&line["path"], &line["status"], &line["upstream"]),
        (&json!("/chat"), &json!(101), &json!("chat")),
        "{line}"
    );
    assert!(line["bytes"].as_u64().unwrap() >= 5, "{line}");

    // What is switched off has no line, and what comes after it does.
    assert_eq!(gateway.get("/quiet").await.status, 200);
    assert_eq!(gateway.send(Request::new("HEAD", "/cached")).await.status, 200);
    let all = lines(&file, count + 2).await;
    assert_eq!(all.last().unwrap()["method"], "HEAD");
    let metrics = gateway.admin("/metrics").await;
    let total = format!("portcullis_access_log_lines_total {}\n", count + 2);
    assert!(metrics.text().contains(&total), "{total}{}", metrics.text());
}

async fn http2(gateway: &Gateway, target: &str) {
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    let driving = tokio::spawn(connection);
    let request = http::Request::get(format!("http://a.example{target}")).body(()).unwrap();
    let (response, _) = send.send_request(request, true).unwrap();
    let mut body = in_time("a response", response).await.unwrap().into_body();
    while let Some(data) = in_time("data", body.data()).await {
        let length = data.unwrap().len();
        body.flow_control().release_capacity(length).unwrap();
    }
    drop(send);
    driving.abort();
}

async fn chat(gateway: &Gateway) {
    let request = format!("ws://{}/chat", gateway.address()).into_client_request().unwrap();
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(in_time("the echo", socket.next()).await.unwrap().unwrap(), Message::text("hello"));
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = in_time("the end", socket.next()).await {}
}

#[tokio::test]
async fn lines_on_standard_output_look_as_the_template_says() {
    let origin = Origin::saying("hello").await;
    let template = "LINE {client.address} \"{method} {target} {protocol}\" {status} {bytes} \"{request.header.user-agent}\" {{{route}}}";
    let setup = Setup::to(&origin).patch(&json!({ "access_log": { "template": template } }));
    let gateway = setup.start().await;
    let forged = "x\" 200 1\tLINE";
    gateway.send(Request::get("/a?b=%0a").field("User-Agent", forged)).await;
    gateway.get("/last").await;
    let logs = gateway.stop().await;
    let found: Vec<_> =
        logs.lines().iter().map(|line| line.raw().to_owned()).filter(|line| line.starts_with("LINE")).collect();
    assert_eq!(
        found,
        [
            "LINE 127.0.0.1 \"GET /a?b=%0a HTTP/1.1\" 200 5 \"x\\\" 200 1\\x09LINE\" {all}",
            "LINE 127.0.0.1 \"GET /last HTTP/1.1\" 200 5 \"-\" {all}",
        ]
    );
}

#[tokio::test]
async fn files_that_are_laid_aside_and_moved_under_load_lose_no_line() {
    let (folder, file) = log();
    let origin = Origin::saying("hello").await;
    let log =
        json!({ "to": { "file": file, "rotate_bytes": 20_000, "keep": 100_000 }, "fields": ["request_id", "status"] });
    let gateway = Setup::to(&origin).patch(&json!({ "workers": 2, "access_log": log })).start().await;
    let judge = |response: &portcullis_tests::Response| {
        if response.status == 200 { Ok(()) } else { Err(response.status.to_string()) }
    };
    let load = Load::start(&gateway, 4, &Request::get("/"), judge);
    for round in 0..3 {
        load.more(300).await;
        // As logrotate does it: move, then tell.
        let moved = folder.path().join(format!("moved.{round}"));
        if fs::rename(&file, moved).is_ok() {
            gateway.signal("HUP");
        }
    }
    load.more(300).await;
    let outcome = load.stop().await;
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    gateway.stop().await;
    let files: Vec<PathBuf> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 4, "{files:?}");
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let mut ids: Vec<String> = parsed(&text).iter().map(|line| line["request_id"].to_string()).collect();
    assert_eq!(ids.len(), outcome.requests);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), outcome.requests, "a line is there twice");
}

/// A tiny disk; none where none may be mounted.
struct Disk(TempDir);

impl Disk {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_costs_lines_that_are_counted_and_nothing_else() {
    const REQUESTS: usize = 400;
    let disk = Disk::mount("64k");
    // Without a disk of our own there is a device that always is full.
    let file = disk.as_ref().map_or(PathBuf::from("/dev/full"), |disk| disk.0.path().join("access.log"));
    let origin = Origin::saying("hello").await;
    let setup =
        Setup::to(&origin).patch(&json!({ "access_log": { "to": { "file": file }, "fields": ["path", "status"] } }));
    let gateway = setup.start().await;
    let mut client = gateway.connect().await;
    for number in 0..REQUESTS {
        let target = format!("/{number:06}/{}", "x".repeat(500));
        assert_eq!(client.send(&Request::get(&target)).await.status, 200);
    }
    let figures = async || {
        let lines = gateway.metric("portcullis_access_log_lines_total").await.unwrap();
        let dropped = gateway.metric("portcullis_access_log_lines_dropped_total{cause=\"failed\"}").await.unwrap();
        (lines as usize, dropped as usize)
    };
    let (written, dropped) = eventually("all lines to be accounted for", async || {
        let (written, dropped) = figures().await;
        // The line of which a part is written is neither, as yet.
        (written + dropped + 1 >= REQUESTS).then_some((written, dropped))
    })
    .await;
    assert!(dropped > 0 && gateway.logs().count(&["lines of the access log were dropped"]) > 0, "{written} {dropped}");
    let Some(disk) = disk else { return };
    // What is there is whole, but for the end of the last line.
    let text = fs::read_to_string(&file).unwrap();
    let whole = text.rfind('\n').map_or("", |at| &text[..=at]);
    assert_eq!(parsed(whole).len(), written);
    // Somebody makes room by taking the file away.
    fs::remove_file(&file).unwrap();
    eventually("lines to come again", || async {
        assert_eq!(gateway.get("/again").await.status, 200);
        fs::read_to_string(&file).unwrap_or_default().contains("/again").then_some(())
    })
    .await;
    drop(gateway);
    drop(disk);
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_told_at_the_start_and_at_a_reload() {
    let origin = Origin::saying("hello").await;
    let folder = tempfile::tempdir().unwrap();
    let bad = json!({ "access_log": { "to": { "file": folder.path() } } });
    let (code, said) = Gateway::fail_to_start(&Setup::to(&origin).patch(&bad)).await;
    assert_ne!(code, Some(0));
    assert!(said.contains("access_log.to.file: cannot open"), "{said}");
    let gateway = Setup::to(&origin).start().await;
    gateway.patch_config(&bad);
    gateway.logs().wait_for_words(0, &["configuration refused", "access_log.to.file: cannot open"]).await;
    assert_eq!(gateway.get("/").await.status, 200);
    // Switched on while it runs.
    let file = folder.path().join("access.log");
    gateway.patch_config(&json!({ "access_log": { "to": { "file": file }, "fields": ["path"] } }));
    gateway.logs().wait_for_words(0, &["generation takes over"]).await;
    eventually("a line", async || {
        gateway.get("/on").await;
        fs::read_to_string(&file).unwrap_or_default().contains("{\"path\":\"/on\"}\n").then_some(())
    })
    .await;
}

#[tokio::test]
async fn levels_of_the_log_change_with_the_configuration() {
    let gateway = Setup::new().route(json!({ "name": "a", "match": { "path": "/a" }, "respond": {} })).start().await;
    let quiet = |gateway: &Gateway| gateway.logs().count(&["no route matches"]);
    assert_eq!(gateway.get("/none").await.status, 404);
    assert_eq!(quiet(&gateway), 0);
    gateway.patch_config(&json!({ "log": { "filter": "info,portcullis=debug" } }));
    gateway.logs().wait_for_words(0, &["log filter takes over"]).await;
    assert_eq!(gateway.get("/none").await.status, 404);
    gateway.logs().wait_for_words(0, &["no route matches"]).await;
    let mark = gateway.logs().mark();
    gateway.patch_config(&json!({ "log": { "filter": "info" } }));
    gateway.logs().wait_for_words(mark, &["log filter takes over"]).await;
    // By hand.
    let put = |filter: &str| {
        let body = json!({ "filter": filter }).to_string();
        Request::new("PUT", "/api/v1/log").field("Content-Type", "application/json").body(body)
    };
    assert_eq!(gateway.admin("/api/v1/log").await.json()["filter"], "info");
    let refused = gateway.ask_admin(&put("inof")).await;
    assert_eq!(
        (refused.status, &refused.json()["problems"][0]["remedy"]),
        (422, &json!("did you mean \"info\"?")),
        "{}",
        refused.text()
    );
    let before = quiet(&gateway);
    assert_eq!(gateway.get("/none").await.status, 404);
    let taken = gateway.ask_admin(&put("portcullis=debug")).await;
    assert_eq!((taken.status, &taken.json()["survives_restart"]), (200, &json!(false)), "{}", taken.text());
    assert_eq!(gateway.admin("/api/v1/log").await.json()["filter"], "portcullis=debug");
    assert_eq!(gateway.get("/none").await.status, 404);
    eventually("one line more", async || (quiet(&gateway) == before + 1).then_some(())).await;
    assert_eq!(gateway.ask_admin(&put("info")).await.status, 200);
    let before = quiet(&gateway);
    assert_eq!(gateway.get("/none").await.status, 404);
    let logs = gateway.stop().await;
    assert_eq!(logs.count(&["no route matches"]), before);
}
