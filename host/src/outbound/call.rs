//! A request to a service, and what its answer means.
//!
//! Pure.

use std::fmt;
use std::time::Duration;

use ::http::{HeaderMap, Method, StatusCode, Uri};
use bytes::Bytes;

use super::retry;

/// A request.
#[derive(Clone)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// Its URL, which may hold a secret.
    pub uri: Uri,
    /// Its fields, which may hold secrets.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The body, as far as it is short.
    pub body: Bytes,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({})", self.method)
    }
}

/// What that means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Taken,
    /// It never will be, however often it is asked for.
    Refused(String),
    /// It may be the next time.
    Later {
        /// Why not now.
        why: String,
        /// How long the service asks us to wait.
        asked: Option<Duration>,
        /// What else has to wait.
        scope: Scope,
    },
}

/// Whom a wait concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This request.
    Request,
    /// All requests to this service.
    Service,
}

/// How the body of a good answer is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The status says it all.
    Status,
    /// `success` in the JSON body must be true.
    Success,
}

/// Most of a body that is shown in the log, in characters.
const SHOWN_MAX: usize = 200;

impl Answer {
    /// What it means; `now`: Unix time.
    pub fn outcome(&self, proof: Proof, now: Duration) -> Outcome {
        let asked = retry::asked(&self.headers, now);
        let later = |scope| Outcome::Later { why: self.told(), asked, scope };
        match self.status {
            status if status.is_success() => match proof {
                Proof::Success if !self.succeeded() => later(Scope::Request),
                Proof::Status | Proof::Success => Outcome::Taken,
            },
            // Too Many Requests (RFC 6585 section 4) speaks of us, not of this one.
            StatusCode::TOO_MANY_REQUESTS => later(Scope::Service),
            StatusCode::SERVICE_UNAVAILABLE if asked.is_some() => later(Scope::Service),
            StatusCode::REQUEST_TIMEOUT => later(Scope::Request),
            status if status.is_server_error() => later(Scope::Request),
            _ => Outcome::Refused(self.told()),
        }
    }

    fn succeeded(&self) -> bool {
        let parsed: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        parsed.and_then(|value| value.get("success")?.as_bool()) == Some(true)
    }

    /// Status and the beginning of the body, in one line.
    fn told(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let mut line = body.split_whitespace().collect::<Vec<_>>().join(" ");
        line.retain(|c| !c.is_control());
        let shown: String = line.chars().take(SHOWN_MAX).collect();
        let cut = if shown.len() < line.len() { "…" } else { "" };
        let space = if shown.is_empty() { "" } else { " " };
        format!("it answers {}{space}{shown}{cut}", self.status.as_u16())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood() {
        let check = |status: u16, after: Option<&str>, body: &'static str, proof, expected: &str| {
            let headers = after.map(|after| (::http::header::RETRY_AFTER, after.parse().unwrap()));
            let status = StatusCode::from_u16(status).unwrap();
            let answer =
                Answer { status, headers: headers.into_iter().collect(), body: Bytes::from_static(body.as_bytes()) };
            let outcome = match answer.outcome(proof, Duration::ZERO) {
                Outcome::Taken => "taken".to_owned(),
                Outcome::Refused(why) => format!("refused: {why}"),
                Outcome::Later { why, asked, scope } => {
                    format!("later: {why} {:?} {scope:?}", asked.map(|a| a.as_secs()))
                }
            };
            assert_eq!(outcome, expected);
        };
        check(200, None, "", Proof::Status, "taken");
        check(204, None, "", Proof::Status, "taken");
        check(200, None, r#"{"success": true, "errors": []}"#, Proof::Success, "taken");
        check(200, None, r#"{"success": false}"#, Proof::Status, "taken");
        check(
            200,
            None,
            r#"{"success":false}"#,
            Proof::Success,
            r#"later: it answers 200 {"success":false} None Request"#,
        );
        check(200, None, "<html>\n  hi", Proof::Success, "later: it answers 200 <html> hi None Request");
        check(301, None, "", Proof::Status, "refused: it answers 301");
        check(403, None, "no\u{7} token", Proof::Status, "refused: it answers 403 no token");
        check(429, Some("3"), "slow", Proof::Status, "later: it answers 429 slow Some(3) Service");
        check(429, None, "", Proof::Success, "later: it answers 429 None Service");
        check(500, None, "", Proof::Status, "later: it answers 500 None Request");
        check(503, Some("9"), "", Proof::Status, "later: it answers 503 Some(9) Service");
        check(503, None, "", Proof::Status, "later: it answers 503 None Request");
    }
}
