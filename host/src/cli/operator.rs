//! Talks to the admin API of a running gateway.
//!
//! One request on one connection, as plain HTTP/1.1: by the Unix socket if there is one, otherwise by the address, which is the gateway's
//! own and on the same machine or network.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

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
    /// A file with a token [default: the variable PORTCULLIS_TOKEN, or the token that the gateway made].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
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

    /// The token: none where there is no file that was not asked for.
    fn token(&self, settings: Option<&Settings>) -> anyhow::Result<Option<String>> {
        if let Some(path) = &self.token_file {
            let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
            return Ok(Some(text.trim().to_owned()));
        }
        if let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.trim().is_empty()) {
            return Ok(Some(token.trim().to_owned()));
        }
        let made = match settings {
            Some(settings) => settings.state.join("admin-token"),
            None => Path::new(TOKEN_FILE).to_owned(),
        };
        Ok(fs::read_to_string(made).ok().map(|text| text.trim().to_owned()))
    }

    /// Asks the gateway. Gives status and answer.
    pub(super) fn ask(&self, method: &str, target: &str, body: Option<&Value>) -> anyhow::Result<(u16, Value)> {
        // With an address and no configuration, or a broken one, there is nothing to take from it.
        let settings = if self.admin.is_some() { self.settings().unwrap_or_default() } else { self.settings()? };
        let door = self.door(settings.as_ref())?;
        let failed = || format!("the gateway at {door} gives no answer; is this its admin address?");
        let nobody =
            || format!("no gateway listens at {door}; start one, or name its admin address by --admin or --config");
        let mut stream = door.open().with_context(nobody)?;
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", door.host());
        // Who may open the socket needs no token.
        let token = if let Door::Socket(_) = door { None } else { self.token(settings.as_ref())? };
        if let Some(token) = token.filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic())) {
            request.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        let body = body.map(Value::to_string);
        if let Some(body) = &body {
            let length = body.len();
            request.push_str(&format!("content-type: application/json\r\ncontent-length: {length}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body.as_deref().unwrap_or_default());
        stream.write_all(request.as_bytes()).with_context(failed)?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).with_context(failed)?;
        let (status, value) = parse(&answer).with_context(failed)?;
        anyhow::ensure!(
            status != 401,
            "the gateway does not know who asks; name a token by --token-file or {TOKEN}, or the configuration by --config"
        );
        Ok((status, value))
    }
}

fn parse(answer: &[u8]) -> anyhow::Result<(u16, Value)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(answer)? else { anyhow::bail!("the answer breaks off") };
    let status = head.code.context("the answer has no status")?;
    let body = answer.get(length..).unwrap_or_default();
    // What is no JSON comes from another program, or another version of this one.
    let value = serde_json::from_slice(body);
    Ok((status, value.with_context(|| format!("status {status}: {}", String::from_utf8_lossy(body).trim()))?))
}
