//! Checks `admin`. Tokens are known by their digests from here on.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::super::file::{self, File};
use super::super::problem::Report;
use super::{address, taken, tls};
use crate::admin::{Access, CertificateHolder, Mark, Role, Settings, Socket, Token, listener_settings};
use crate::listener;
use crate::plugin::schema::JsonPath;

/// Shortest token: what is shorter can be tried out.
const TOKEN_BYTES_MIN: usize = 16;
/// Longest path of a Unix socket, in bytes (`sun_path` in unix(7), with its end), less what it is made under.
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// Compiles `admin`.
pub(super) fn compile(
    file: &File,
    listeners: &[(JsonPath, listener::Settings)],
    (folder, included): (&Path, &mut Vec<PathBuf>),
    report: &mut Report,
) -> Option<Settings> {
    let at = JsonPath::root().key("admin");
    let written = file.admin.as_ref()?;
    let place = at.key("address");
    let address = written.address.as_deref().and_then(|text| address::socket(text, &place, report));
    if let Some(address) = address
        && let Some(other) = taken(listeners, address)
    {
        report.add(&place, format!("{address} is the address of {other}, too"), "give each its own port");
    }
    let neither = written.address.is_none() && written.socket.is_none();
    if neither && !["address", "socket"].iter().any(|key| report.is_gone(&at.key(key))) {
        let remedy = "add \"address\": \"127.0.0.1:9900\", or \"socket\" with a path";
        report.add(&at, "says neither an address nor a socket", remedy);
    }
    let tls = match &written.tls {
        Some(_) if written.address.is_none() => {
            report.add(&at.key("tls"), "stands without an address", "add \"address\" or remove it");
            None
        }
        Some(written) => tls::listener(written, &tls::PROTOCOLS, (folder, included), &at.key("tls"), report),
        None => None,
    };
    let asks = written.tls.as_ref().is_some_and(|tls| tls.client.is_some());
    if written.client_certificates.is_some() && !asks && !report.is_gone(&at.key("tls")) {
        let remedy = "add \"tls\" with \"client\", so that clients are asked for certificates";
        report.add(&at.key("client_certificates"), "are never shown", remedy);
    }
    Some(Settings {
        listener: address.map(|address| listener_settings(address, tls)),
        socket: written.socket.as_ref().and_then(|written| socket(written, folder, &at.key("socket"), report)),
        state: folder.join(written.state.as_deref().unwrap_or(file::Admin::STATE)),
        access: Access {
            tokens: tokens(written, &at.key("tokens"), report),
            certificates: certificates(written, &at.key("client_certificates"), report),
            hosts: written.hosts.iter().flatten().flatten().map(|host| host.to_ascii_lowercase()).collect(),
        },
    })
}

fn socket(written: &file::AdminSocket, folder: &Path, at: &JsonPath, report: &mut Report) -> Option<Socket> {
    let (path, mode) = match written {
        file::AdminSocket::Path(path) => (path, None),
        file::AdminSocket::Options(options) => (options.path.as_ref()?, options.mode.as_deref()),
    };
    let path = folder.join(path);
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX || path.as_os_str().is_empty() {
        let remedy = format!("name a path of at most {SOCKET_PATH_BYTES_MAX} bytes");
        report.add(at, "is no path that a socket can have", remedy);
        return None;
    }
    let mode = mode.and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(Socket::MODE);
    Some(Socket { path, mode })
}

fn tokens(written: &file::Admin, at: &JsonPath, report: &mut Report) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (index, token) in written.tokens.iter().flatten().enumerate() {
        let (Some(token), at) = (token, at.index(index)) else { continue };
        let digest = match (&token.sha256, &token.token) {
            (Some(_), Some(_)) => {
                report.add(&at.key("token"), "stands beside \"sha256\"", "keep one of the two");
                continue;
            }
            (Some(text), None) => unhex(text),
            (None, Some(secret)) if secret.0.len() < TOKEN_BYTES_MIN => {
                let what = format!("has fewer than {TOKEN_BYTES_MIN} bytes");
                report.add(&at.key("token"), what, "take a random one: openssl rand -hex 32");
                continue;
            }
            (None, Some(secret)) => digest_of(secret.0.as_bytes()),
            (None, None) => {
                if !["sha256", "token"].iter().any(|key| report.is_gone(&at.key(key))) {
                    report.add(&at, "has no token", "add \"sha256\": the SHA-256 of one in hexadecimal digits");
                }
                continue;
            }
        };
        let (Some(name), Some(role), Some(digest)) = (&token.name, token.role, digest) else { continue };
        if tokens.iter().any(|known| known.digest == digest) {
            report.add(&at, "is a token that stands here already", "give each its own");
        }
        tokens.push(Token { name: name.clone(), role: self::role(role), digest });
    }
    tokens
}

fn certificates(written: &file::Admin, at: &JsonPath, report: &mut Report) -> Vec<CertificateHolder> {
    let mut holders = Vec::new();
    for (index, holder) in written.client_certificates.iter().flatten().enumerate() {
        let (Some(holder), at) = (holder, at.index(index)) else { continue };
        let mark = match (&holder.subject, &holder.fingerprint) {
            (Some(_), Some(_)) => {
                report.add(&at.key("fingerprint"), "stands beside \"subject\"", "keep one of the two");
                continue;
            }
            (Some(subject), None) => Mark::Subject(subject.clone()),
            (None, Some(fingerprint)) => Mark::Fingerprint(fingerprint.to_ascii_lowercase()),
            (None, None) => {
                if !["subject", "fingerprint"].iter().any(|key| report.is_gone(&at.key(key))) {
                    report.add(&at, "does not say which certificate", "add \"subject\": \"CN=alice\"");
                }
                continue;
            }
        };
        let Some(role) = holder.role else { continue };
        let (Mark::Subject(shown) | Mark::Fingerprint(shown)) = &mark;
        let name = holder.name.clone().unwrap_or_else(|| shown.clone());
        holders.push(CertificateHolder { name, role: self::role(role), mark });
    }
    holders
}

fn role(written: file::AdminRole) -> Role {
    match written {
        file::AdminRole::Read => Role::Read,
        file::AdminRole::Operate => Role::Operate,
        file::AdminRole::Admin => Role::Admin,
    }
}

fn digest_of(bytes: &[u8]) -> Option<[u8; 32]> {
    digest(&SHA256, bytes).as_ref().try_into().ok()
}

/// Hexadecimal digits, which the schema has counted.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}
