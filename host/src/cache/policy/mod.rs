//! What may be stored, for how long, and when what is stored may be used: RFC 9111, with what a route says otherwise.
//!
//! Pure: fields and times in, decisions out. Only the functions here know what directives mean.

pub mod directives;
mod reuse;
mod storing;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]
mod tests;

use std::time::Duration;

use http::HeaderName;

pub use reuse::{Asked, Facts, Reuse, reuse};
pub use storing::{NotStored, Storing, admission};

/// What a route says about its cache. The default is RFC 9111.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Of the time since a response was modified, so many hundredths it is taken for fresh where it says nothing
    /// (RFC 9111 section 4.2.2); zero: nothing is guessed.
    pub heuristic_percent: u8,
    /// But no longer than this.
    pub heuristic_max: Duration,
    /// For how long after its freshness a response is used while it is fetched anew, where it does not say itself.
    pub stale_while_revalidate: Duration,
    /// For how long after its freshness a response is used instead of an answer of 500, 502, 503 or 504, where it does not
    /// say itself.
    pub stale_if_error: Duration,
    /// For how long after its freshness a response is used where the upstream gives no answer (RFC 9111 section 4.2.4),
    /// where it does not say itself.
    pub stale_if_unreachable: Duration,
    /// What becomes of responses that set cookies.
    pub set_cookie: SetCookie,
    /// What becomes of responses to requests with `Authorization`.
    pub authorization: Authorization,
    /// Whether clients have a say.
    pub client_directives: ClientDirectives,
    /// Fields that count instead of `Cache-Control`, the first that is there (RFC 9213).
    pub targeted: Vec<HeaderName>,
    /// For how long a request waits for another that fetches the same.
    pub wait_max: Duration,
    /// For how long requests do not wait for one another after a response that could not be stored.
    pub pass_for: Duration,
    /// What can be made unreachable at once (`version`); several routes may have one.
    pub namespace: Box<str>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            heuristic_percent: 10,
            heuristic_max: Duration::from_secs(24 * 60 * 60),
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            stale_if_unreachable: Duration::from_secs(60),
            set_cookie: SetCookie::Store,
            authorization: Authorization::AsSaid,
            client_directives: ClientDirectives::Heard,
            targeted: vec![HeaderName::from_static("cdn-cache-control")],
            wait_max: Duration::from_secs(5),
            pass_for: Duration::from_secs(5),
            namespace: "".into(),
        }
    }
}

/// What becomes of responses that set cookies and say that they are fresh. Those that do not say so are never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetCookie {
    /// They are stored, cookies included (RFC 9111 section 7.3).
    Store,
    /// They are stored without the cookies.
    Strip,
    /// They are not stored.
    Refuse,
}

/// What becomes of responses to requests with `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorization {
    /// They are stored where they say that they may be (RFC 9111 section 3.5).
    AsSaid,
    /// They are not stored.
    Refuse,
}

/// Whether a client's `Cache-Control` and `Pragma` count (RFC 9111 section 5.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientDirectives {
    /// They do.
    Heard,
    /// They do not: nobody can make the gateway fetch what it has.
    Ignored,
}
