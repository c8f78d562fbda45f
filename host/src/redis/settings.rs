//! What the link to Redis is made with. Checked by whoever fills it in; nothing here is looked up or read.
//!
//! Invariant: no `Debug` shows a password.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::ServerName;

use crate::tls::ClientSettings;

/// How Redis is reached and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub nodes: Nodes,
    /// As whom it is spoken to.
    pub access: Access,
    /// How it is spoken to by TLS; none: in cleartext.
    pub tls: Option<Tls>,
    /// The number of the database. A cluster has only 0.
    pub database: u32,
    /// What all keys and channels begin with, so that others may use the same Redis.
    pub prefix: String,
    /// Longest time until a command is answered, waiting for its turn included.
    pub timeout: Duration,
    /// Connections per node, besides those of subscriptions.
    pub connections: usize,
    /// When a node is not asked for a while.
    pub breaker: BreakerSettings,
    /// Longest value in bytes: what is longer is neither sent nor given out.
    pub value_bytes_max: usize,
}

impl Settings {
    /// Ten times what a healthy Redis in the same building needs; less than a person notices.
    pub const TIMEOUT: Duration = Duration::from_millis(50);
    /// One that a large value occupies, and another one.
    pub const CONNECTIONS: usize = 2;
    /// On a line of one gigabit per second it is under way for 8 ms, and all other commands behind it wait as long.
    pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
    /// Says whose keys these are.
    pub const PREFIX: &'static str = "portcullis:";

    /// These nodes, and defaults for the rest.
    pub fn new(nodes: Nodes) -> Self {
        Self {
            nodes,
            access: Access::default(),
            tls: None,
            database: 0,
            prefix: Self::PREFIX.to_owned(),
            timeout: Self::TIMEOUT,
            connections: Self::CONNECTIONS,
            breaker: BreakerSettings::default(),
            value_bytes_max: Self::VALUE_BYTES_MAX,
        }
    }
}

/// Where Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nodes {
    /// One server.
    Single(Address),
    /// Whichever server is the master at the moment, as the sentinels know.
    Sentinel(Sentinel),
    /// Several servers that share the keys (Redis Cluster). These are asked who the others are.
    Cluster(Vec<Address>),
}

/// Who knows which server is the master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentinel {
    /// The sentinels; asked in order.
    pub sentinels: Vec<Address>,
    /// What they call the master.
    pub master: String,
    /// As whom they are spoken to.
    pub access: Access,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A DNS name or an IP address without brackets, and a port.
    Tcp(String, u16),
    /// The path of a socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// As whom a server is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// The user (ACL); none for `default`.
    pub username: Option<String>,
    /// The password; none where none is wanted.
    pub password: Option<Password>,
}

/// A password, which is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Keeps a password.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

/// How TLS is spoken. Files are read whenever a connection is made, so that renewed ones are noticed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Whom we trust, and who we are.
    pub client: ClientSettings,
    /// The name that certificates must have; none for the host of each address.
    pub server_name: Option<ServerName<'static>>,
}

/// When a node is not asked for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Commands in a row that were not answered in time, or whose connection broke.
    pub failures: u32,
    /// Longest time between two looks whether it answers again.
    pub open_for: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        // Five of fifty milliseconds are what a request or two may lose; a second is as long as Redis needs to fork for a dump.
        Self { failures: 5, open_for: Duration::from_secs(1) }
    }
}
