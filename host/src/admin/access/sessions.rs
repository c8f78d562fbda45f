//! Sessions of browsers: a random cookie that stands for a token, for twelve hours, in memory.
//!
//! Pure but for the random bytes. Only digests are kept, and no more sessions than a hundred operators open.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};

use super::digest_of;
use crate::exchange::Client;
use crate::time::Instant;

/// How long a session lasts: a long day at work.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Most sessions. The oldest makes room for a new one.
const SESSIONS_MAX: usize = 256;
/// The cookie's name. Cookies are shared by all ports of a host (RFC 6265 section 8.5), so another server of this machine may see it.
const NAME: &str = "portcullis_session";
/// The same over TLS: no other host and nothing without TLS can set it (RFC 6265bis section 4.1.3.2).
const SECURE_NAME: &str = "__Host-portcullis_session";

/// Whether a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Cleartext,
    Encrypted,
}

impl Channel {
    /// That of a client.
    pub(super) fn of(client: &Client) -> Self {
        if client.tls.is_some() { Self::Encrypted } else { Self::Cleartext }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Cleartext => NAME,
            Self::Encrypted => SECURE_NAME,
        }
    }
}

/// The sessions, by the digest of their cookie.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<[u8; 32], Session>);

#[derive(Debug)]
struct Session {
    /// The digest of the token that it was begun with. It ends with that.
    token: [u8; 32],
    ends: Instant,
}

impl Sessions {
    /// Begins a session for a token. Gives its cookie; none where the system has no random numbers.
    pub(super) fn begin(&mut self, token: [u8; 32], now: Instant) -> Option<String> {
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).ok()?;
        let cookie = URL_SAFE_NO_PAD.encode(random);
        self.0.retain(|_, session| session.ends > now);
        if self.0.len() >= SESSIONS_MAX
            && let Some(oldest) = self.0.iter().min_by_key(|(_, session)| session.ends).map(|(key, _)| *key)
        {
            self.0.remove(&oldest);
        }
        self.0.insert(digest_of(cookie.as_bytes()), Session { token, ends: now + LIFETIME });
        Some(cookie)
    }

    /// The digest of the token that a cookie stands for.
    pub(super) fn find(&mut self, cookie: &str, now: Instant) -> Option<[u8; 32]> {
        let session = self.0.get(&digest_of(cookie.as_bytes()))?;
        (session.ends > now).then_some(session.token)
    }

    /// Ends a session.
    pub(super) fn end(&mut self, cookie: &str) {
        self.0.remove(&digest_of(cookie.as_bytes()));
    }
}

/// Our cookie in a request.
pub(super) fn cookie(headers: &HeaderMap, channel: Channel) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == channel.name()).map(|(_, value)| value).next()
}

/// What `Set-Cookie` says of a new session.
pub(super) fn set(cookie: &str, channel: Channel) -> String {
    line(cookie, LIFETIME.as_secs(), channel)
}

/// What makes a browser forget it.
pub(super) fn unset(channel: Channel) -> String {
    line("", 0, channel)
}

fn line(cookie: &str, seconds: u64, channel: Channel) -> String {
    let (name, secure) = (channel.name(), if channel == Channel::Encrypted { "; Secure" } else { "" });
    format!("{name}={cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}
