//! Talks to the admin address of a running gateway.
//!
//! One request on one connection, as plain HTTP/1.1: the address is the gateway's own and on the same machine or network.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use super::Files;

/// Where the gateway's own configuration lets operators connect.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9900);

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an answer; counting what is purged takes a while.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Which gateway is meant.
#[derive(Debug, Args)]
pub(super) struct Operator {
    /// The gateway's admin address [default: that of --config, or 127.0.0.1:9900].
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// The gateway's configuration, to take the admin address from.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Operator {
    fn address(&self) -> anyhow::Result<SocketAddr> {
        let (Some(file), None) = (&self.config, self.admin) else { return Ok(self.admin.unwrap_or(ADDRESS)) };
        let files = Files { config: file.clone(), overlay: Vec::new() };
        let (config, problems) = files.source(None, None).examine();
        // What is wrong elsewhere in it does not matter here.
        let admin = config.and_then(|config| config.admin);
        admin.with_context(|| match problems {
            Some(problems) => problems.to_string(),
            None => format!("{} has no admin.address; add one, or write --admin", file.display()),
        })
    }

    /// Asks the gateway. Gives status and answer.
    pub(super) fn ask(&self, method: &str, target: &str, body: Option<&Value>) -> anyhow::Result<(u16, Value)> {
        let address = self.address()?;
        let failed = || format!("the gateway at {address} gives no answer; is this its admin address?");
        let nobody =
            || format!("no gateway listens at {address}; start one, or name its admin address by --admin or --config");
        let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).with_context(nobody)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        let body = body.map(Value::to_string);
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
        if let Some(body) = &body {
            let length = body.len();
            request.push_str(&format!("content-type: application/json\r\ncontent-length: {length}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body.as_deref().unwrap_or_default());
        stream.write_all(request.as_bytes()).with_context(failed)?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).with_context(failed)?;
        parse(&answer).with_context(failed)
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
