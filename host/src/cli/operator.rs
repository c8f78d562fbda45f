//! Talks to the admin API of a running gateway.
//!
//! Finds out where the gateway is asked and by which token: by the Unix socket if there is one, otherwise by the address, which is the gateway's
//! own and on the same machine or network.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;

use super::Files;
use super::door::{Door, NO_TLS, exchange};
use crate::admin::Settings;
use crate::config::Config;

/// Where it keeps the token that it makes.
const TOKEN_FILE: &str = "config/state/admin-token";
/// The variable that holds a token.
const TOKEN: &str = "PORTCULLIS_TOKEN";

/// Longest wait for what is only read.
const READING_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a change: compiling a plugin or counting what is purged takes a while.
const CHANGING_TIMEOUT: Duration = Duration::from_secs(60);

/// Which gateway is meant, and who asks.
#[derive(Debug, Args)]
pub(super) struct Operator {
    /// The gateway's admin address (`HOST:PORT`), or `unix:` and the path of its socket [default: that of --config, or 127.0.0.1:9900].
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<Door>,
    /// The gateway's configuration, to take admin address, socket and token file from.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file with a token [default: the variable PORTCULLIS_TOKEN, or on this machine the token that the gateway made].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Seconds to wait for an answer [default: 10, or 60 for changes].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: Option<u64>,
}

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) target: String,
    /// Content type and content.
    pub(super) body: Option<(&'static str, Vec<u8>)>,
    /// The version that is meant, if only that one is.
    if_match: Option<String>,
}

impl Call {
    /// A call without a body.
    pub(super) fn bare(method: &str, target: impl Into<String>) -> Self {
        Self { method: method.to_owned(), target: target.into(), body: None, if_match: None }
    }

    /// Asks for something.
    pub(super) fn get(target: impl Into<String>) -> Self {
        Self::bare("GET", target)
    }

    /// A call with JSON.
    pub(super) fn json(method: &str, target: impl Into<String>, body: &Value) -> Self {
        Self::bytes(method, target, "application/json", body.to_string().into_bytes())
    }

    /// A call with anything else.
    pub(super) fn bytes(method: &str, target: impl Into<String>, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { body: Some((content_type, body)), ..Self::bare(method, target) }
    }

    /// The same, to be refused where the configuration is another (RFC 9110 section 13.1.1).
    pub(super) fn if_match(self, etag: impl Into<String>) -> Self {
        Self { if_match: Some(etag.into()), ..self }
    }

    /// What is written to the connection. Nothing that came from the command line may end a line.
    fn bytes_for(&self, host: &str, token: Option<&str>) -> anyhow::Result<Vec<u8>> {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n", self.method, self.target);
        let quoted = |etag: &String| if etag.starts_with('"') { etag.clone() } else { format!("\"{etag}\"") };
        let fields = [
            ("authorization", token.map(|token| format!("Bearer {token}"))),
            ("if-match", self.if_match.as_ref().map(quoted)),
            ("content-type", self.body.as_ref().map(|(content_type, _)| (*content_type).to_owned())),
            ("content-length", self.body.as_ref().map(|(_, body)| body.len().to_string())),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        let lines = head.split("\r\n");
        if lines.into_iter().any(|line| line.contains(char::is_control)) || self.target.contains(' ') {
            bail!("neither a path nor a token may hold control characters or blanks");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend(self.body.iter().flat_map(|(_, body)| body));
        Ok(bytes)
    }
}

/// What the gateway refuses, or what is wrong with what it answers: as it told it, and as people are told.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Refused {
    /// As a program is told; null where it has been.
    pub(super) answer: Value,
    pub(super) text: String,
}

/// What a configuration says of operators.
#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    address: Option<String>,
    socket: Option<PathBuf>,
    /// Where the token is that the gateway made.
    state: PathBuf,
    /// Whether TLS is spoken at the address.
    tls: bool,
}

impl From<Settings> for Known {
    fn from(settings: Settings) -> Self {
        Self {
            address: settings.address().map(|address| address.to_string()),
            tls: settings.listener.is_some_and(|listener| listener.tls.is_some()),
            socket: settings.socket.map(|socket| socket.path),
            state: settings.state,
        }
    }
}

impl Known {
    /// Out of a document that may be wrong elsewhere. What is written beside `folder` is there.
    fn read(document: &Value, folder: &Path) -> Option<Self> {
        let admin = document.get("admin")?;
        // What has to be filled in from variables is nothing that can be opened.
        let text = |value: &Value| value.as_str().filter(|text| !text.contains("${")).map(str::to_owned);
        let socket = admin.get("socket").and_then(|socket| text(socket).or_else(|| text(socket.get("path")?)));
        let state = admin.get("state").and_then(text).unwrap_or_else(|| Config::STATE.to_owned());
        Some(Self {
            address: admin.get("address").and_then(text),
            socket: socket.map(|path| folder.join(path)),
            state: folder.join(state),
            tls: admin.get("tls").is_some_and(|tls| !tls.is_null()),
        })
    }
}

impl Operator {
    /// What the configuration says of operators. What is wrong elsewhere in it does not matter here: the gateway runs on what it was before.
    fn known(&self) -> anyhow::Result<Option<Known>> {
        let Some(file) = &self.config else { return Ok(None) };
        let files = Files { config: file.clone(), overlay: Vec::new() };
        let (config, _) = files.source(None, None).examine();
        let settings = config.and_then(|config| config.admin).map(Known::from);
        if let Some(known) = settings.filter(|known| known.address.is_some() || known.socket.is_some()) {
            return Ok(Some(known));
        }
        let shown = file.display();
        let bytes = fs::read(file).with_context(|| format!("{shown} cannot be read"))?;
        let document: Value = serde_json::from_slice(&bytes)
            .with_context(|| format!("{shown} is not JSON; name the gateway's admin address or socket by --admin"))?;
        let known = Known::read(&document, file.parent().unwrap_or(Path::new("")));
        let known = known.with_context(|| format!("{shown} has no \"admin\"; add one, or write --admin"))?;
        Ok(Some(known))
    }

    fn door(&self, known: Option<&Known>) -> anyhow::Result<Door> {
        if let Some(door) = &self.admin {
            return Ok(door.clone());
        }
        let Some(known) = known else { return Ok(Door::usual()) };
        if let Some(path) = &known.socket {
            return Ok(Door::Socket(path.clone()));
        }
        let address = known.address.as_ref().context("\"admin\" has neither an address nor a socket; write --admin")?;
        anyhow::ensure!(!known.tls, "{address} speaks TLS: {NO_TLS}");
        address.parse().map_err(|error: String| anyhow::anyhow!(error))
    }

    /// The token for a door and where it was found: none where there is no file that was not asked for. The one that the gateway of this
    /// machine made is for that gateway; in cleartext to somewhere else it would be given away.
    fn token(&self, door: &Door, known: Option<&Known>) -> anyhow::Result<Option<(String, String)>> {
        if let Some(path) = &self.token_file {
            let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
            return Ok(Some((text.trim().to_owned(), path.display().to_string())));
        }
        if let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.trim().is_empty()) {
            return Ok(Some((token.trim().to_owned(), TOKEN.to_owned())));
        }
        if !door.is_local() {
            return Ok(None);
        }
        let made = match known {
            Some(known) => known.state.join("admin-token"),
            None => Path::new(TOKEN_FILE).to_owned(),
        };
        let shown = made.display().to_string();
        Ok(fs::read_to_string(made).ok().map(|text| (text.trim().to_owned(), shown)))
    }

    /// Asks the gateway. Gives status and answer.
    pub(super) fn call(&self, call: &Call) -> anyhow::Result<(u16, Value)> {
        // With an address and no configuration, or a broken one, there is nothing to take from it.
        let known = if self.admin.is_some() { self.known().unwrap_or_default() } else { self.known()? };
        let door = self.door(known.as_ref())?;
        let nobody =
            || format!("no gateway listens at {door}; start one, or name its admin address by --admin or --config");
        let reading = matches!(call.method.as_str(), "GET" | "HEAD");
        let patience = match self.timeout {
            Some(seconds) => Duration::from_secs(seconds),
            None if reading => READING_TIMEOUT,
            None => CHANGING_TIMEOUT,
        };
        let stream = door.open(patience).with_context(nobody)?;
        // Who may open the socket needs no token.
        let token = if let Door::Socket(_) = door { None } else { self.token(&door, known.as_ref())? };
        let request = call.bytes_for(&door.host(), token.as_ref().map(|(token, _)| token.as_str()))?;
        let (status, value) = exchange(stream, &request, patience)
            .with_context(|| format!("the gateway at {door} gives no answer that can be used"))?;
        if status != 401 {
            return Ok((status, value));
        }
        let text = match token {
            Some((_, place)) => format!(
                "the gateway at {door} does not take the token of {place}: it is not one of its tokens, or no longer; name another by --token-file"
            ),
            None => format!(
                "the gateway at {door} wants a token: name its file by --token-file, put it into {TOKEN}, or, on its own machine, name the configuration by --config"
            ),
        };
        Err(Refused { answer: value, text }.into())
    }

    /// Asks the gateway with JSON, or without anything.
    pub(super) fn ask(&self, method: &str, target: &str, body: Option<&Value>) -> anyhow::Result<(u16, Value)> {
        self.call(&body.map_or_else(|| Call::bare(method, target), |body| Call::json(method, target, body)))
    }
}

/// Percent-encoded, so that it is one segment of a path or one value in a query (RFC 3986 section 2.1).
pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':');
    let one = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn where_operators_connect_is_found_in_what_is_wrong_elsewhere() {
        let known = |document: Value| Known::read(&document, Path::new("/etc/p"));
        let found =
            known(json!({ "listeners": 1, "admin": { "address": "127.0.0.1:1", "socket": "a.sock" } })).unwrap();
        assert_eq!((found.address.as_deref(), found.tls), (Some("127.0.0.1:1"), false));
        assert_eq!((found.socket.unwrap(), found.state), ("/etc/p/a.sock".into(), "/etc/p/state".into()));
        let found =
            known(json!({ "admin": { "address": "${HOST}:1", "socket": { "path": "/a" }, "tls": {} } })).unwrap();
        assert_eq!((found.address, found.socket.unwrap(), found.tls), (None, "/a".into(), true));
        assert_eq!(known(json!({})), None);
    }

    #[test]
    fn the_token_of_this_machine_stays_on_it() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("admin-token"), "made\n").unwrap();
        let known = Known { state: state.path().to_owned(), ..Known::default() };
        let operator = |token_file| Operator { admin: None, config: None, token_file, timeout: None };
        let token = |operator: Operator, door: &str| {
            operator.token(&door.parse().unwrap(), Some(&known)).unwrap().map(|(token, _)| token)
        };
        for (door, expected) in [
            ("127.0.0.1:9900", Some("made")),
            ("[::1]:9900", Some("made")),
            ("localhost:9900", Some("made")),
            ("192.0.2.1:9900", None),
            ("localhost.example:9900", None),
        ] {
            assert_eq!(token(operator(None), door).as_deref(), expected, "{door}");
        }
        let named = Some(state.path().join("admin-token"));
        assert_eq!(token(operator(named), "192.0.2.1:9900").as_deref(), Some("made"), "who names it means it");
    }

    #[test]
    fn nothing_ends_a_line() {
        let call = Call::json("PUT", "/a", &json!({})).if_match("x");
        let bytes = call.bytes_for("h", Some("t")).unwrap_or_default();
        let expected = "PUT /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\nauthorization: Bearer t\r\nif-match: \"x\"\r\n\
                        content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
        assert!(call.bytes_for("h", Some("t\nx: y")).is_err());
        assert!(Call::get("/a b").bytes_for("h", None).is_err());
        assert!(Call::get("/a\r\nx: y").bytes_for("h", None).is_err());
    }
}
