//! A browser as the client: what it makes of TLS, HTTP/2, encoded and cached responses, files, events and WebSockets.
//!
//! The page tests, and posts what it found; nothing here guesses when it is done.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use portcullis_tests::{Origin, Reply, Setup, Value, json};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::sync::mpsc;

use crate::websocket::echo;

/// A browser takes seconds to start, on a busy machine many.
const PATIENCE: Duration = Duration::from_secs(90);

const PAGE: &str = r#"<!doctype html><title>a page</title><script type="module" src="/static/app.js"></script>"#;

const SCRIPT: &str = r#"
const found = {};
async function look() {
  const response = await fetch('/api/text');
  found.length = (await response.text()).length;
  found.encoding = response.headers.get('content-encoding');
  found.user = response.headers.get('x-route');
  const again = await fetch('/api/text');
  found.cached = again.headers.get('cache-status');
  found.protocol = performance.getEntriesByName(response.url)[0].nextHopProtocol;
  const part = await fetch('/static/app.js', { headers: { range: 'bytes=0-3' }, cache: 'no-store' });
  found.part = [part.status, (await part.text()).length];
  found.upload = await (await fetch('/api/echo', { method: 'POST', body: new Uint8Array(300000) })).text();
  found.events = await new Promise((resolve, reject) => {
    const all = [], source = new EventSource('/api/events');
    source.onmessage = event => { all.push(event.data); if (event.data === 'last') { source.close(); resolve(all); } };
    source.onerror = () => reject(new Error('events'));
  });
  found.socket = await new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://${location.host}/socket`);
    socket.onopen = () => socket.send('hello');
    socket.onmessage = event => { socket.onclose = close => resolve([event.data, close.code]); socket.close(1000); };
    socket.onerror = () => reject(new Error('socket'));
  });
}
look().catch(error => { found.error = String(error); })
  .then(() => fetch('/api/found', { method: 'POST', body: JSON.stringify(found) }));
"#;

/// A browser, ended with the test.
struct Browser(Child);

impl Browser {
    fn open(url: &str, profile: &std::path::Path) -> Self {
        let child = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--ignore-certificate-errors", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("--remote-debugging-port=0")
            .arg(url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium; `cargo xtask test` installs it");
        Self(child)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_page_works_through_the_gateway() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let origin = Origin::start(move |seen| match seen.target.as_str() {
        "/text" => Reply::ok("all work and no play\n".repeat(1000))
            .field("Content-Type", "text/plain")
            .field("Cache-Control", "s-maxage=60, max-age=0"),
        "/echo" => Reply::ok(seen.body.len().to_string()),
        "/events" => Reply::chunks(["data: first\n\n", "data: last\n\n"]).field("Content-Type", "text/event-stream"),
        "/found" => {
            let _ = tell.send(seen.body.clone());
            Reply::ok("thanks")
        }
        _ => Reply::new(404, ""),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(path("a.pem"), cert.pem()).unwrap();
    std::fs::write(path("a.key"), signing_key.serialize_pem()).unwrap();
    std::fs::create_dir(path("site")).unwrap();
    std::fs::write(path("site/index.html"), PAGE).unwrap();
    std::fs::write(path("site/app.js"), SCRIPT).unwrap();
    let tls = json!({ "certificates": [{ "certificate": path("a.pem"), "key": path("a.key") }] });
    let strip = json!({ "strip_prefix": "/api" });
    let gateway = Setup::to(&origin)
        .upstream("echo", echo().await)
        .patch(&json!({ "listeners": [{ "address": "127.0.0.1:0", "tls": tls }], "compression": {} }))
        .route(json!({ "name": "page", "match": { "path": "/" }, "files": { "root": path("site") } }))
        .route(json!({
            "name": "static", "match": { "path": "/static/*" },
            "files": { "root": path("site"), "strip_prefix": "/static" },
        }))
        .route(json!({
            "name": "api", "match": { "path": "/api/*" }, "cache": true,
            "response_headers": { "set": { "x-route": "{route}" } },
            "proxy": { "upstream": "origin", "rewrite": strip },
        }))
        .route(json!({ "name": "socket", "match": { "path": "/socket" }, "proxy": { "upstream": "echo" } }))
        .start()
        .await;
    let browser = Browser::open(&format!("https://localhost:{}/", gateway.address().port()), &path("profile"));
    let found = tokio::time::timeout(PATIENCE, told.recv()).await.expect("the page says nothing").unwrap();
    drop(browser);
    let found: Value = serde_json::from_slice(&found).unwrap();
    assert_eq!(found.get("error"), None, "{found}");
    assert_eq!((&found["length"], &found["encoding"], &found["user"]), (&json!(21_000), &json!("zstd"), &json!("api")));
    assert_eq!(found["protocol"], "h2", "{found}");
    assert!(found["cached"].as_str().is_some_and(|status| status.contains("hit")), "{found}");
    assert_eq!((&found["part"], &found["upload"]), (&json!([206, 4]), &json!("300000")), "{found}");
    assert_eq!((&found["events"], &found["socket"]), (&json!(["first", "last"]), &json!(["hello", 1000])), "{found}");
}
