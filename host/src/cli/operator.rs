//! Talks to the admin API of a running gateway.
//!
//! One request on one connection, as plain HTTP/1.1: by the Unix socket if there is one, otherwise by the address, which is the gateway's
//! own and on the same machine or network.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use super::Files;
use crate::admin::Settings;

/// Where the gateway's own configuration lets operators connect.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9900);
/// Where it keeps the token that it makes.
const TOKEN_FILE: &str = "config/state/admin-token";
/// The variable that holds a token.
const TOKEN: &str = "PORTCULLIS_TOKEN";

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an answer; counting what is purged takes a while.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Which gateway is meant, and who asks.
#[derive(Debug, Args)]
pub(super) struct Operator {
    /// The gateway's admin address, or `unix:` and the path of its socket [default: that of --config, or 127.0.0.1:9900].
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<Door>,
    /// The gateway's configuration, to take admin address, socket and token file from.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file with a token [default: the variable PORTCULLIS_TOKEN, or on this machine the token that the gateway made].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
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

/// Where a gateway is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Door {
    Address(SocketAddr),
    Socket(PathBuf),
}

impl std::str::FromStr for Door {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some(path) => Ok(Self::Socket(path.into())),
            None => text.parse().map(Self::Address),
        }
    }
}

impl std::fmt::Display for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

impl Door {
    fn open(&self) -> std::io::Result<Box<dyn Connection>> {
        Ok(match self {
            Self::Address(address) => {
                let stream = TcpStream::connect_timeout(address, CONNECT_TIMEOUT)?;
                stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
                stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
                Box::new(stream)
            }
            Self::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
                stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
                Box::new(stream)
            }
        })
    }

    /// Whether what is sent stays on this machine.
    fn is_local(&self) -> bool {
        match self {
            Self::Address(address) => address.ip().to_canonical().is_loopback(),
            Self::Socket(_) => true,
        }
    }

    fn host(&self) -> String {
        match self {
            Self::Address(address) => address.to_string(),
            Self::Socket(_) => "localhost".to_owned(),
        }
    }
}

impl Operator {
    /// What the configuration says of operators. What is wrong elsewhere in it does not matter here.
    fn settings(&self) -> anyhow::Result<Option<Settings>> {
        let Some(file) = &self.config else { return Ok(None) };
        let files = Files { config: file.clone(), overlay: Vec::new() };
        let (config, problems) = files.source(None, None).examine();
        let admin = config.and_then(|config| config.admin);
        let settings = admin.with_context(|| match problems {
            Some(problems) => problems.to_string(),
            None => format!("{} has no \"admin\"; add one, or write --admin", file.display()),
        })?;
        Ok(Some(settings))
    }

    fn door(&self, settings: Option<&Settings>) -> anyhow::Result<Door> {
        if let Some(door) = &self.admin {
            return Ok(door.clone());
        }
        let Some(settings) = settings else { return Ok(Door::Address(ADDRESS)) };
        let socket = settings.socket.as_ref().map(|socket| Door::Socket(socket.path.clone()));
        let door = socket.or_else(|| settings.address().map(Door::Address));
        door.context("\"admin\" has neither an address nor a socket; write --admin")
    }

    /// The token for a door: none where there is no file that was not asked for. The one that the gateway of this machine made is for that
    /// gateway; in cleartext to somewhere else it would be given away.
    fn token(&self, door: &Door, settings: Option<&Settings>) -> anyhow::Result<Option<String>> {
        if let Some(path) = &self.token_file {
            let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
            return Ok(Some(text.trim().to_owned()));
        }
        if let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.trim().is_empty()) {
            return Ok(Some(token.trim().to_owned()));
        }
        if !door.is_local() {
            return Ok(None);
        }
        let made = match settings {
            Some(settings) => settings.state.join("admin-token"),
            None => Path::new(TOKEN_FILE).to_owned(),
        };
        Ok(fs::read_to_string(made).ok().map(|text| text.trim().to_owned()))
    }

    /// Asks the gateway. Gives status and answer.
    pub(super) fn call(&self, call: &Call) -> anyhow::Result<(u16, Value)> {
        // With an address and no configuration, or a broken one, there is nothing to take from it.
        let settings = if self.admin.is_some() { self.settings().unwrap_or_default() } else { self.settings()? };
        let door = self.door(settings.as_ref())?;
        let failed = || format!("the gateway at {door} gives no answer; is this its admin address?");
        let nobody =
            || format!("no gateway listens at {door}; start one, or name its admin address by --admin or --config");
        let stream = door.open().with_context(nobody)?;
        // Who may open the socket needs no token.
        let token = if let Door::Socket(_) = door { None } else { self.token(&door, settings.as_ref())? };
        let (status, value) =
            exchange(stream, &call.bytes_for(&door.host(), token.as_deref())?).with_context(failed)?;
        anyhow::ensure!(
            status != 401,
            "the gateway at {door} wants a token: name its file by --token-file, put it into {TOKEN}, or, on its own machine, name the configuration by --config"
        );
        Ok((status, value))
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

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> anyhow::Result<(u16, Value)> {
    // Who refuses a long body may answer before all of it has been written.
    let written = stream.write_all(request);
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
        Err(error) if answer.is_empty() || error.kind() != io::ErrorKind::ConnectionReset => return Err(error.into()),
        _ => {}
    }
    if answer.is_empty() {
        written?;
    }
    parse(&answer)
}

fn parse(answer: &[u8]) -> anyhow::Result<(u16, Value)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(answer)? else { bail!("the answer breaks off") };
    let status = head.code.context("the answer has no status")?;
    let body = answer.get(length..).unwrap_or_default();
    let announced = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let announced = announced.and_then(|field| std::str::from_utf8(field.value).ok()?.parse::<usize>().ok());
    // A connection that is lost in mid-answer ends like one that was closed.
    anyhow::ensure!(announced.is_none_or(|announced| announced == body.len()), "the answer breaks off");
    if body.is_empty() {
        return Ok((status, json!({})));
    }
    match (serde_json::from_slice(body), String::from_utf8_lossy(body)) {
        (Ok(value), _) => Ok((status, value)),
        // Metrics and health are text.
        (Err(_), text) => Ok((status, Value::String(text.into_owned()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_breaks_off_is_none() {
        let answer = |body: &str| parse(format!("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{body}").as_bytes());
        assert_eq!(answer("{\"a\": 1}").ok(), Some((200, json!({ "a": 1 }))));
        assert!(answer("{\"a\": ").is_err() && answer("").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Len").is_err());
    }

    #[test]
    fn the_token_of_this_machine_stays_on_it() -> anyhow::Result<()> {
        let state = tempfile::tempdir()?;
        fs::write(state.path().join("admin-token"), "made\n")?;
        let settings = Settings {
            listener: None,
            socket: None,
            state: state.path().to_owned(),
            access: crate::admin::Access::default(),
        };
        let operator = |token_file| Operator { admin: None, config: None, token_file };
        let token = |operator: Operator, door: &str| operator.token(&door.parse()?, Some(&settings));
        for (door, expected) in
            [("127.0.0.1:9900", Some("made")), ("[::1]:9900", Some("made")), ("192.0.2.1:9900", None)]
        {
            assert_eq!(token(operator(None), door)?.as_deref(), expected, "{door}");
        }
        let named = Some(state.path().join("admin-token"));
        assert_eq!(token(operator(named), "192.0.2.1:9900")?.as_deref(), Some("made"), "who names it means it");
        Ok(())
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
