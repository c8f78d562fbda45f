//! Who asks: by token, session, Unix socket or certificate; and what that allows.
//!
//! Nobody is let in whom nothing names. Tokens are known by their digests and compared in constant time, all of them every time.

pub(super) mod origin;
mod sessions;
mod throttle;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use http::{HeaderMap, header};

use self::sessions::{Channel, Sessions};
use self::throttle::Throttle;
use super::settings::{Access, Mark, Role, Token};
use crate::exchange::Client;
use crate::time::Instant;

/// What the token is called that the gateway made.
pub(super) const BUILT_IN: &str = "admin-token";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// By what name the audit log knows them.
    pub(super) name: String,
    /// What they may.
    pub(super) role: Role,
    /// Where they are.
    pub(super) source: String,
    /// How they are known.
    pub(super) by: By,
}

/// How somebody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// By a token in the request, or by the socket that they came through.
    Request,
    /// By what a browser sends along whoever makes it ask.
    Session,
}

/// Why nobody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// There are no credentials.
    Anonymous,
    /// They are wrong. The answer is to wait this long.
    Wrong(Duration),
    /// They are wrong, and there were too many of those: none is counted until then.
    Later(Duration),
}

/// Knows people.
#[derive(Debug, Default)]
pub(super) struct Doorkeeper {
    built_in: Cell<Option<[u8; 32]>>,
    sessions: RefCell<Sessions>,
    throttle: RefCell<Throttle>,
}

impl Doorkeeper {
    /// With the digest of the token that counts where none is configured.
    pub(super) fn new(built_in: Option<[u8; 32]>) -> Self {
        Self { built_in: Cell::new(built_in), ..Self::default() }
    }

    /// Whether there is a token for when none is configured.
    pub(super) fn has_built_in(&self) -> bool {
        self.built_in.get().is_some()
    }

    /// Takes the digest of that token, where none was configured later.
    pub(super) fn take_built_in(&self, digest: [u8; 32]) {
        self.built_in.set(Some(digest));
    }

    /// Who asks.
    pub(super) fn who(
        &self,
        access: &Access,
        client: &Client,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<Caller, Unknown> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let token = value.as_bytes().split_at_checked(7);
            let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer ")).map(|(_, token)| token);
            let (name, role) = self.judge(access, client, token.unwrap_or_default().trim_ascii(), now)?;
            return Ok(Caller { name, role, source: source(client), by: By::Request });
        }
        if let Some(uid) = client.user {
            let name = format!("uid:{uid}");
            return Ok(Caller { name, role: Role::Admin, source: source(client), by: By::Request });
        }
        let cookie = sessions::cookie(headers, Channel::of(client));
        if let Some(token) = cookie.and_then(|cookie| self.sessions.borrow_mut().find(cookie, now)) {
            let token = self.tokens(access).into_iter().find(|known| known.digest == token);
            if let Some(Token { name, role, .. }) = token {
                return Ok(Caller { name, role, source: source(client), by: By::Session });
            }
        }
        let certificate = client.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
        let holder = certificate.and_then(|certificate| {
            access.certificates.iter().find(|holder| match &holder.mark {
                Mark::Subject(subject) => **subject == *certificate.subject,
                Mark::Fingerprint(digits) => digits.eq_ignore_ascii_case(&certificate.fingerprint),
            })
        });
        match holder {
            Some(holder) => {
                let name = holder.name.clone();
                Ok(Caller { name, role: holder.role, source: source(client), by: By::Request })
            }
            None => Err(Unknown::Anonymous),
        }
    }

    /// Begins a session with a token. Gives who that is, and the line for `Set-Cookie`.
    pub(super) fn sign_in(
        &self,
        access: &Access,
        client: &Client,
        token: &[u8],
        now: Instant,
    ) -> Result<(Caller, String), Unknown> {
        let (name, role) = self.judge(access, client, token, now)?;
        let cookie = self.sessions.borrow_mut().begin(digest_of(token), now).ok_or(Unknown::Anonymous)?;
        let line = sessions::set(&cookie, Channel::of(client));
        Ok((Caller { name, role, source: source(client), by: By::Session }, line))
    }

    /// Ends a session. Gives the line for `Set-Cookie` that makes the browser forget it.
    pub(super) fn sign_out(&self, client: &Client, headers: &HeaderMap) -> String {
        if let Some(cookie) = sessions::cookie(headers, Channel::of(client)) {
            self.sessions.borrow_mut().end(cookie);
        }
        sessions::unset(Channel::of(client))
    }

    /// Whose token this is.
    fn judge(&self, access: &Access, client: &Client, token: &[u8], now: Instant) -> Result<(String, Role), Unknown> {
        let mut throttle = self.throttle.borrow_mut();
        let address = client.address.ip();
        let digest = digest_of(token);
        let mut known = None;
        for token in self.tokens(access) {
            if verify_slices_are_equal(&token.digest, &digest).is_ok() {
                known = Some((token.name, token.role));
            }
        }
        match known {
            // A right one counts also behind an address that others try tokens out from, as all of this machine do. It does not set them free.
            Some(known) if !token.is_empty() => {
                if throttle.locked(address, now).is_none() {
                    throttle.succeeded(address);
                }
                Ok(known)
            }
            _ => match throttle.locked(address, now) {
                Some(left) => Err(Unknown::Later(left)),
                None => Err(Unknown::Wrong(throttle.failed(address, now))),
            },
        }
    }

    /// The tokens that count.
    fn tokens(&self, access: &Access) -> Vec<Token> {
        if !access.tokens.is_empty() {
            return access.tokens.clone();
        }
        let built_in = |digest| Token { name: BUILT_IN.to_owned(), role: Role::Admin, digest };
        self.built_in.get().map(built_in).into_iter().collect()
    }
}

/// Where a client is, in words.
pub(super) fn source(client: &Client) -> String {
    match client.user {
        Some(_) => "unix".to_owned(),
        None => client.address.ip().to_string(),
    }
}

/// The digest that a token is known by.
pub(super) fn digest_of(bytes: &[u8]) -> [u8; 32] {
    // SHA-256 always gives 32 bytes.
    digest(&SHA256, bytes).as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
