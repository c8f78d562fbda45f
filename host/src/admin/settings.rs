//! Where operators connect and what they may, as the configuration says it.
//!
//! Plain values. A token is kept as its digest only.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::listener;

/// Where operators connect, and who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The address, if there is one.
    pub listener: Option<listener::Settings>,
    /// The Unix socket, if there is one.
    pub socket: Option<Socket>,
    /// The folder of what outlives a restart: the token that was made, the audit log, the history of configurations.
    pub state: PathBuf,
    /// Who may do what. The only part that a running gateway takes over.
    pub access: Access,
}

impl Settings {
    /// The address, if there is one.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().map(|listener| listener.address)
    }
}

/// A Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Where.
    pub path: PathBuf,
    /// Its permissions: who may connect may do everything.
    pub mode: u32,
}

impl Socket {
    /// Only the user that the gateway runs as.
    pub const MODE: u32 = 0o600;
}

/// Who may do what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Tokens. As long as there is none, one that the gateway makes counts.
    pub tokens: Vec<Token>,
    /// Clients that show a certificate.
    pub certificates: Vec<CertificateHolder>,
    /// Names, besides `localhost`, by which a loopback address may be asked.
    pub hosts: Vec<String>,
}

/// A token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Who it was given to.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Its SHA-256.
    pub digest: [u8; 32],
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} {})", self.name, self.role.as_str())
    }
}

/// A client that shows a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateHolder {
    /// Who that is.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// By what it is known.
    pub mark: Mark,
}

/// By what a certificate is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Its subject's distinguished name (RFC 4514).
    Subject(String),
    /// Its SHA-256 in lowercase hexadecimal digits.
    Fingerprint(String),
}

/// What an operator may do. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look at everything that is no secret.
    Read,
    /// Do what keeps it running: purge, drain an endpoint, switch a plugin off, ban.
    Operate,
    /// Change the configuration and the plugins, and end it.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Operate, Self::Admin];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(())
    }
}

/// How the listener for operators behaves on an address. It has few clients and no reason to be patient with any.
pub fn listener_settings(address: SocketAddr, tls: Option<listener::Tls>) -> listener::Settings {
    listener::Settings {
        address,
        head_timeout: Duration::from_secs(10),
        head_bytes_max: 16 * 1024,
        headers_max: 64,
        connections_max: 256,
        // One client that opens all it can leaves room for those that ask whether we are alive.
        connections_per_address_max: Some(128),
        proxy_protocol: None,
        tls,
        http1: listener::Http1::default(),
        http2: listener::Http2::default(),
        redirect_https: None,
    }
}
