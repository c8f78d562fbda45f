//! Why an operator does not get what was asked for, as `application/problem+json` (RFC 9457).
//!
//! The words of `reason` are stable. What is told here may be told to whoever asked; secrets never are.

use std::fmt;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::answer::Answer;
use crate::plugin::schema;

/// Why something is refused.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
    pub(super) detail: String,
    pub(super) problems: Vec<Problem>,
    fields: Vec<(HeaderName, HeaderValue)>,
}

/// One thing that is wrong with what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Where: `$` is the whole body.
    pub(super) path: String,
    /// What is wrong.
    pub(super) what: String,
    /// What to write instead.
    pub(super) remedy: String,
}

impl Problem {
    /// Something that is wrong with a key of the body.
    pub(super) fn new(key: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        let path = if key.is_empty() { "$".to_owned() } else { format!("$.{key}") };
        Self { path, what: what.into(), remedy: remedy.into() }
    }
}

impl From<&schema::Problem> for Problem {
    fn from(problem: &schema::Problem) -> Self {
        Self { path: problem.path.from_root(), what: problem.what.clone(), remedy: problem.remedy.clone() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.what, self.remedy)
    }
}

impl Trouble {
    /// A refusal.
    pub(super) fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        Self { status, reason, detail: detail.into(), problems: Vec::new(), fields: Vec::new() }
    }

    /// The request makes no sense.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// What was named is not there.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// The caller may not.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// The gateway cannot, at the moment.
    pub(super) fn unavailable(reason: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason, detail)
    }

    /// It makes sense, but cannot be done: everything that is wrong at once.
    pub(super) fn unprocessable(problems: Vec<Problem>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "what was sent cannot be taken over").with(problems)
    }

    /// With what is wrong in particular.
    pub(super) fn with(mut self, problems: Vec<Problem>) -> Self {
        self.problems = problems;
        self
    }

    /// With a header field.
    pub(super) fn field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push((name, value));
        self
    }

    /// The answer.
    pub(super) fn into_answer(self) -> Answer {
        let problem =
            |problem: &Problem| json!({ "path": problem.path, "what": problem.what, "remedy": problem.remedy });
        let value = json!({
            "status": self.status.as_u16(),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "reason": self.reason,
            "detail": self.detail,
            "problems": self.problems.iter().map(problem).collect::<Vec<_>>(),
        });
        let mut answer = Answer::bytes("application/problem+json", Bytes::from(format!("{value}\n")));
        answer.status = self.status;
        answer.fields = self.fields;
        if matches!(answer.status, StatusCode::SERVICE_UNAVAILABLE) {
            answer.fields.push((header::RETRY_AFTER, HeaderValue::from_static("1")));
        }
        answer
    }
}

/// The schema of what is said about troubles.
pub(super) fn schema() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["status", "title", "reason", "detail", "problems"],
        "additionalProperties": false,
        "properties": {
            "status": { "type": "integer" },
            "title": text,
            "reason": { "type": "string", "description": "A stable word." },
            "detail": text,
            "problems": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["path", "what", "remedy"],
                    "additionalProperties": false,
                    "properties": { "path": text, "what": text, "remedy": text },
                },
            },
        },
    })
}
