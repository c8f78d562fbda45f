//! `GET /api/v1/audit`.

use serde_json::{Value, json};

use super::answer::Answer;
use super::context::Context;
use super::endpoint::{Endpoint, Need};
use super::settings::Role;
use super::trouble::Trouble;

/// Entries where nobody says how many.
const LIMIT: u64 = 100;
/// Most entries.
const LIMIT_MAX: u64 = 1000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let number = json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT });
    vec![
        Endpoint::get("/api/v1/audit", Role::Read, "Who changed what, and who was refused; newest first")
            .asks("limit", Need::Optional, number, "Most entries.")
            .gives(schema())
            .by(audit),
    ]
}

async fn audit(context: Context) -> Result<Answer, Trouble> {
    let limit = usize::try_from(context.number("limit").unwrap_or(LIMIT)).unwrap_or_default();
    let entries = context.admin.audit.entries(limit).await;
    Ok(Answer::json(&json!({ "entries": entries })))
}

fn schema() -> Value {
    let text = json!({ "type": "string" });
    let maybe = json!({ "type": ["string", "null"] });
    json!({
        "type": "object",
        "required": ["entries"],
        "properties": { "entries": { "type": "array", "items": {
            "type": "object",
            "required": ["id", "at", "actor", "role", "source", "action", "target", "outcome", "detail"],
            "properties": {
                "id": text, "at": { "type": "string", "format": "date-time" }, "actor": text,
                "role": { "enum": ["read", "operate", "admin", null] }, "source": text, "action": text, "target": maybe,
                "outcome": { "enum": ["begun", "done", "refused", "failed"] }, "detail": {},
            },
        } } },
    })
}
