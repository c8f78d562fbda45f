//! A page in a real browser, driven by the DevTools protocol: clicks and keys are the browser's own, not a script's.
//!
//! What goes wrong in the page (errors, messages of the console, what its policy forbids) and what it asks for is kept, for the test to
//! look at.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// A browser takes seconds to start, on a busy machine many.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often the page is asked whether something has come.
const STEP: Duration = Duration::from_millis(50);
/// Alt, as the protocol counts it.
pub const ALT: u32 = 1;
/// Shift, as the protocol counts it.
pub const SHIFT: u32 = 8;

/// A page. Its browser ends with it.
pub struct Page {
    _browser: Browser,
    socket: WebSocketStream<TcpStream>,
    session: String,
    asked: u64,
    /// Errors of scripts, of the console and of the policy.
    pub troubles: Vec<String>,
    /// Origins that were asked for something.
    pub origins: BTreeSet<String>,
}

struct Browser {
    child: Child,
    profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Page {
    /// Opens a browser of this width with this page.
    pub async fn open(url: &str, width: u32) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let child = Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium; `cargo xtask test` installs it");
        let browser = Browser { child, profile };
        let (port, path) =
            tokio::time::timeout(PATIENCE, debugging(browser.profile.path())).await.expect("the browser's port");
        let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.unwrap();
        let address = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = tokio_tungstenite::client_async(address, stream).await.unwrap();
        let mut page = Self {
            _browser: browser,
            socket,
            session: String::new(),
            asked: 0,
            troubles: Vec::new(),
            origins: BTreeSet::new(),
        };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attached =
            page.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true })).await;
        page.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network", "DOM"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        page.resize(width).await;
        page.go(url).await;
        page
    }

    /// Goes to another page.
    pub async fn go(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url })).await;
    }

    /// Gives the page this width.
    pub async fn resize(&mut self, width: u32) {
        let metrics = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// The value of an expression in the page; nothing while there is none because the page changes.
    pub async fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", asked).await;
        if answer.get("exceptionDetails").is_some() {
            return Value::Null;
        }
        answer["result"]["value"].clone()
    }

    /// Waits until an expression gives something other than nothing, `false` or an empty text.
    pub async fn until(&mut self, what: &str, expression: &str) -> Value {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let value = self.value(expression).await;
            if !(value.is_null() || value == json!(false) || value == json!("")) {
                return value;
            }
            if tokio::time::Instant::now() > end {
                let text = self.value("document.body.innerText").await;
                panic!(
                    "{what}: {expression} came to nothing; troubles {:?}; the page says:\n{}",
                    self.troubles,
                    text.as_str().unwrap_or_default()
                );
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// Waits until there is a visible element that does not move, and gives its middle.
    async fn place(&mut self, selector: &str) -> (f64, f64) {
        let expression = format!(
            "(async () => {{ const node = {}; if (!node || !node.checkVisibility()) return null; \
             node.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
             const middle = () => {{ const box = node.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; }}; \
             const before = middle(); await new Promise(resolve => setTimeout(resolve, 20)); const now = middle(); \
             return before[0] === now[0] && before[1] === now[1] ? now : null; }})()",
            found(selector)
        );
        let place = self.until(selector, &expression).await;
        (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
    }

    async fn mouse(&mut self, kind: &str, (x, y): (f64, f64)) {
        let buttons = u32::from(kind != "mouseReleased");
        let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1 });
        self.call("Input.dispatchMouseEvent", event).await;
    }

    /// Clicks on an element: a selector, or `selector "text"` for the one that has the text.
    pub async fn click(&mut self, selector: &str) {
        let place = self.place(selector).await;
        self.mouse("mousePressed", place).await;
        self.mouse("mouseReleased", place).await;
    }

    /// Gives an element the focus, as Tab would.
    pub async fn focus(&mut self, selector: &str) {
        self.place(selector).await;
        let focused = format!(
            "(() => {{ const node = {}; node?.focus(); return document.activeElement === node; }})()",
            found(selector)
        );
        self.until(selector, &focused).await;
    }

    /// Presses a key, such as `Enter` or `ArrowUp`, with modifiers.
    pub async fn press(&mut self, key: &str, modifiers: u32) {
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "Escape" => 27,
            "ArrowUp" => 38,
            "ArrowDown" => 40,
            " " => 32,
            other => panic!("{other}: which code has that key?"),
        };
        let text = match key {
            "Enter" => "\r",
            " " => " ",
            _ => "",
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event =
                json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Writes a text into the element that has the focus.
    pub async fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Replaces what stands in a field.
    pub async fn fill(&mut self, selector: &str, text: &str) {
        self.focus(selector).await;
        self.value("document.activeElement.select()").await;
        self.write(text).await;
    }

    /// Chooses a file in a field for files.
    pub async fn choose(&mut self, selector: &str, file: &Path) {
        self.place(selector).await;
        let node = self.call("Runtime.evaluate", json!({ "expression": found(selector) })).await;
        let chosen = json!({ "files": [file], "objectId": node["result"]["objectId"] });
        self.call("DOM.setFileInputFiles", chosen).await;
    }

    /// Everything that assistive technology is told of: nodes with `role`, `name` and `level`.
    pub async fn told(&mut self) -> Vec<Value> {
        let tree = self.call("Accessibility.getFullAXTree", json!({})).await;
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        let told = nodes.into_iter().filter(|node| node["ignored"] != json!(true)).map(|node| {
            let property = |name: &str| {
                let all = node["properties"].as_array().into_iter().flatten();
                all.into_iter().find(|one| one["name"] == name).map(|one| one["value"]["value"].clone())
            };
            json!({ "role": node["role"]["value"], "name": node["name"]["value"], "level": property("level"), "focusable": property("focusable") })
        });
        told.collect()
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let asked = self.asked;
        let mut message = json!({ "id": asked, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(message.to_string())).await.unwrap();
        let answer = async {
            loop {
                let message = self.socket.next().await.expect("the browser is there").unwrap();
                let Ok(text) = message.to_text() else { continue };
                let Ok(value) = serde_json::from_str::<Value>(text) else { continue };
                if value["id"] == json!(asked) {
                    return value;
                }
                self.note(&value);
            }
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("{method}: no answer"));
        answer["result"].clone()
    }

    fn note(&mut self, event: &Value) {
        let parameters = &event["params"];
        match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.troubles.push(parameters["exceptionDetails"].to_string()),
            Some("Runtime.consoleAPICalled")
                if matches!(parameters["type"].as_str(), Some("error" | "warning" | "assert")) =>
            {
                self.troubles.push(parameters["args"].to_string());
            }
            // That something was refused is the browser's own remark on a status, and no trouble of the page.
            Some("Log.entryAdded") => {
                let entry = &parameters["entry"];
                if entry["source"] != "network" && matches!(entry["level"].as_str(), Some("error" | "warning")) {
                    self.troubles.push(entry.to_string());
                }
            }
            Some("Network.requestWillBeSent") => {
                let url = parameters["request"]["url"].as_str().unwrap_or_default();
                self.origins.insert(url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/"));
            }
            _ => {}
        }
    }
}

/// The browser's port and path, once it has written them down.
async fn debugging(profile: &Path) -> (u16, String) {
    loop {
        let written = std::fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
        let mut lines = written.lines();
        if let (Some(Ok(port)), Some(path)) = (lines.next().map(str::parse), lines.next()) {
            return (port, path.to_owned());
        }
        tokio::time::sleep(STEP).await;
    }
}

/// The expression that finds an element: `selector`, or `selector "text"`.
fn found(selector: &str) -> String {
    match selector.strip_suffix('"').and_then(|rest| rest.split_once(" \"")) {
        Some((selector, text)) => format!(
            "[...document.querySelectorAll({selector:?})].find(node => node.checkVisibility() && node.textContent.includes({text:?}))"
        ),
        None => format!("document.querySelector({selector:?})"),
    }
}
