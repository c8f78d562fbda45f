//! Where a gateway is asked, and one request on one connection there, as plain HTTP/1.1.
//!
//! Border: what is asked and by whom is the caller's business. Whatever is at the other end, nobody waits for longer than was said.

use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// Where the gateway's own configuration lets operators connect.
const ADDRESS: &str = "127.0.0.1:9900";
const PORT: u16 = 9900;
/// What to do where only TLS is spoken.
pub(super) const NO_TLS: &str =
    "ctl does not speak it; give \"admin\" a \"socket\" and write --admin unix:PATH, or ask an address without TLS";

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Where a gateway is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Door {
    /// Host and port, as they are written.
    Address(String),
    Socket(PathBuf),
}

impl Door {
    /// Where nobody says otherwise.
    pub(super) fn usual() -> Self {
        Self::Address(ADDRESS.to_owned())
    }
}

impl FromStr for Door {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Socket(path.into()));
        }
        if text.starts_with("https://") {
            return Err(format!("that is TLS: {NO_TLS}"));
        }
        let place = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let has_port = |place: &str| {
            let parts = place.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains(':'));
            place.parse::<SocketAddr>().is_ok() || parts.is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        };
        let odd = |c: char| !(c.is_ascii_alphanumeric() || ".-_:[]".contains(c));
        if place.is_empty() || place.contains(odd) {
            return Err("write HOST:PORT, such as 127.0.0.1:9900, or unix:/run/portcullis/admin.sock".to_owned());
        }
        if place.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self::Address(format!("[{place}]:{PORT}")));
        }
        if has_port(place) {
            return Ok(Self::Address(place.to_owned()));
        }
        let with_port = format!("{place}:{PORT}");
        if has_port(&with_port) { Ok(Self::Address(with_port)) } else { Err(format!("{place:?} is no HOST:PORT")) }
    }
}

impl std::fmt::Display for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => f.write_str(address),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

pub(super) trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

impl Door {
    /// Connects. From then on nothing is waited for longer than `patience`.
    pub(super) fn open(&self, patience: Duration) -> io::Result<Box<dyn Connection>> {
        match self {
            Self::Address(address) => {
                let mut last = io::Error::other("the name has no address");
                for address in address.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT.min(patience)) {
                        Ok(stream) => {
                            stream.set_read_timeout(Some(patience))?;
                            stream.set_write_timeout(Some(patience))?;
                            return Ok(Box::new(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            Self::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))?;
                Ok(Box::new(stream))
            }
        }
    }

    /// Whether what is sent stays on this machine, as far as the name tells.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Address(address) => match address.parse::<SocketAddr>() {
                Ok(address) => address.ip().to_canonical().is_loopback(),
                // What else a name stands for, somebody else may decide (RFC 6761 section 6.3).
                Err(_) => address.rsplit_once(':').is_some_and(|(host, _)| host.eq_ignore_ascii_case("localhost")),
            },
            Self::Socket(_) => true,
        }
    }

    /// What it is called in a request.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Address(address) => address.clone(),
            Self::Socket(_) => "localhost".to_owned(),
        }
    }
}

/// Sends a request and gives status and answer.
pub(super) fn exchange(
    mut stream: impl Read + Write,
    request: &[u8],
    patience: Duration,
) -> anyhow::Result<(u16, Value)> {
    let late = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            anyhow::anyhow!("it took the connection, but has not answered within {} s (--timeout)", patience.as_secs())
        }
        _ => error.into(),
    };
    // Who refuses a long body may answer before all of it has been written.
    let written = stream.write_all(request);
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
        Err(error) if answer.is_empty() || error.kind() != io::ErrorKind::ConnectionReset => return Err(late(error)),
        _ => {}
    }
    if answer.is_empty() {
        written.map_err(late)?;
        bail!("it closed the connection without an answer; is this its admin address?");
    }
    parse(&answer)
}

fn parse(answer: &[u8]) -> anyhow::Result<(u16, Value)> {
    // An alert (21) or a handshake message (22) of TLS 1.x (RFC 8446 section 5.1).
    if matches!(answer, [21 | 22, 3, ..]) {
        bail!("it speaks TLS: {NO_TLS}");
    }
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let parsed = head.parse(answer).context("what is there does not speak HTTP/1.1; is this its admin address?")?;
    let httparse::Status::Complete(length) = parsed else { bail!("the answer breaks off") };
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
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_gateway_is_named_in_many_ways() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(text.parse::<Door>().ok().map(|door| door.to_string()).as_deref(), expected, "{text}");
        };
        check("127.0.0.1:1", Some("127.0.0.1:1"));
        check("localhost:9901", Some("localhost:9901"));
        check("http://localhost:9901/", Some("localhost:9901"));
        check("localhost", Some("localhost:9900"));
        check("[::1]:80", Some("[::1]:80"));
        check("::1", Some("[::1]:9900"));
        check("unix:/a b", Some("unix:/a b"));
        check("https://localhost:1", None);
        check("a/b:1", None);
        check("a:b", None);
        check("", None);
        assert!("https://a".parse::<Door>().unwrap_err().contains("does not speak"));
    }

    #[test]
    fn an_answer_that_breaks_off_is_none() {
        let answer = |body: &str| parse(format!("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{body}").as_bytes());
        assert_eq!(answer("{\"a\": 1}").ok(), Some((200, json!({ "a": 1 }))));
        assert!(answer("{\"a\": ").is_err() && answer("").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Len").is_err());
    }

    #[test]
    fn whoever_does_not_answer_is_told_of() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let door = Door::Address(silent.local_addr().unwrap().to_string());
        let patience = Duration::from_secs(1);
        let told = exchange(door.open(patience).unwrap(), b"GET / HTTP/1.1\r\n\r\n", patience).unwrap_err();
        assert!(told.to_string().contains("has not answered within 1 s"), "{told}");
    }

    #[test]
    fn tls_is_known_by_its_alert() {
        let told = |answer: &[u8]| parse(answer).unwrap_err().to_string();
        assert!(told(&[21, 3, 3, 0, 2, 2, 50]).contains("speaks TLS"));
        assert!(told(b"SSH-2.0-x\r\n").contains("does not speak HTTP"));
    }
}
