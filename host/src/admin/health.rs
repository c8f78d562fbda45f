//! Is it alive, is it ready, has it started: one line of text each, for whoever asks without credentials.

use http::Method;
use http::StatusCode;

use super::answer::Answer;
use super::{Status, plugins};
use crate::redis::{Condition, Redis};

/// How it is, as the API calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// All is well.
    Healthy,
    /// It works, if more slowly or without something.
    Degraded,
    /// It does not serve.
    Unhealthy,
}

impl Standing {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// The answer to a question after its health; none to any other.
pub(super) fn answer(method: &Method, path: &str, status: impl FnOnce() -> (Standing, String, u64)) -> Option<Answer> {
    if !matches!(path, "/livez" | "/readyz" | "/startupz") {
        return None;
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let answer = Answer::text("only by GET\n").status(StatusCode::METHOD_NOT_ALLOWED);
        return Some(answer.field(http::header::ALLOW, http::HeaderValue::from_static("GET, HEAD")));
    }
    if path == "/livez" {
        return Some(Answer::text("alive\n"));
    }
    let (standing, words, adopted) = status();
    let answer = match path {
        "/startupz" if adopted > 0 => return Some(Answer::text("started\n")),
        _ => Answer::text(format!("{words}\n")),
    };
    let well = standing != Standing::Unhealthy && adopted > 0;
    Some(if well { answer } else { answer.status(StatusCode::SERVICE_UNAVAILABLE) })
}

/// How it is, in a word and a line.
pub(super) fn standing(status: &Status, draining: bool) -> (Standing, String) {
    let quarantined = plugins(status).any(|loaded| loaded.quarantined().is_some());
    // Everything still works, if more slowly.
    let redis = status.redis.as_ref().map(Redis::condition);
    let redis = redis.as_ref().and_then(Condition::reason);
    match (status.adopted, draining) {
        (_, true) => (Standing::Unhealthy, "draining".to_owned()),
        (0, false) => (Standing::Unhealthy, "starting".to_owned()),
        _ if quarantined => (Standing::Degraded, "degraded: a plugin is quarantined, see /api/v1/plugins".to_owned()),
        _ => match redis {
            Some(reason) => (Standing::Degraded, format!("degraded: redis {reason}")),
            None => (Standing::Healthy, "ready".to_owned()),
        },
    }
}
