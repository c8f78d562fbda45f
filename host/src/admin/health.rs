//! Is it alive, is it ready, has it started: a line of text each, for whoever asks without credentials.
//!
//! Strangers ask by any name, so they learn which of our parts is not well, and never why or where: that is `/api/v1/health`.

use http::{HeaderValue, Method, StatusCode, header};

use super::Status;
use super::answer::Answer;
use crate::condition::{self, Part};
use crate::modes::Word;
use crate::time;

/// Whether a path is answered here.
pub(super) fn is_ours(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/startupz")
}

/// The answer to a question after its health. `?verbose` lists the parts.
pub(super) fn answer(method: &Method, path: &str, query: Option<&str>, status: &Status) -> Answer {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let answer = Answer::text("only by GET\n").status(StatusCode::METHOD_NOT_ALLOWED);
        return answer.field(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    let unavailable = |text: &'static str| Answer::text(text).status(StatusCode::SERVICE_UNAVAILABLE);
    match path {
        // 200 while this process answers and no worker is stuck.
        "/livez" if status.monitor.as_ref().is_none_or(|monitor| monitor.is_alive(time::now())) => {
            Answer::text("alive\n")
        }
        "/livez" => unavailable("stuck: a worker does nothing\n"),
        // 200 once a generation has served.
        "/startupz" if status.adopted > 0 => Answer::text("started\n"),
        "/startupz" => unavailable("starting\n"),
        _ => readiness(query.is_some_and(|query| query.split('&').any(|part| part == "verbose")), status),
    }
}

/// 200 when clients should be sent here.
fn readiness(verbose: bool, status: &Status) -> Answer {
    let Some((whole, word)) = examined(status) else {
        return Answer::text("starting\n").status(StatusCode::SERVICE_UNAVAILABLE);
    };
    let mut text = word.as_str().to_owned();
    let ailing = whole.ailing();
    if matches!(word, Word::Degraded | Word::Unhealthy) && !ailing.is_empty() {
        text.push_str(": ");
        text.push_str(&ailing.join(", "));
    }
    text.push('\n');
    if verbose {
        text.push_str(&whole.lines());
    }
    let answer = Answer::text(text);
    if word.is_ready() { answer } else { answer.status(StatusCode::SERVICE_UNAVAILABLE) }
}

/// The tree and its word, once there is somebody who knows.
pub(super) fn examined(status: &Status) -> Option<(Part, Word)> {
    status.monitor.as_ref().map(|monitor| monitor.examine(status))
}

/// How it is, in a word of the API.
pub(super) fn standing(status: &Status) -> condition::Status {
    examined(status).map_or(condition::Status::Unhealthy, |(whole, _)| whole.status)
}
