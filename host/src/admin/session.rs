//! `GET /api/v1/session`: who asks, and what they may, so that a page can say what it is no use to try.

use serde_json::json;

use super::answer::Answer;
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::Trouble;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let schema = json!({
        "type": "object",
        "required": ["actor", "role"],
        "properties": { "actor": { "type": "string" }, "role": { "enum": ["read", "operate", "admin"] } },
    });
    vec![Endpoint::get("/api/v1/session", Role::Read, "Who asks, and what they may").gives(schema).by(session)]
}

async fn session(context: Context) -> Result<Answer, Trouble> {
    let caller = &context.caller;
    Ok(Answer::json(&json!({ "actor": caller.name, "role": caller.role.as_str() })))
}
