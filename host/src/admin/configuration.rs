//! `/api/v1/configuration`: look at it, try another one, take it over, go back.
//!
//! What is done is done by the gateway's [`Operations`]; here it is asked for and answered. Documents have no secrets in them.

use http::{StatusCode, header};
use serde_json::{Value, json};

use super::answer::Answer;
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::{Problem, Trouble};
use crate::gateway::Operations;
use crate::gateway::operate::{Applied, Change, Entry, REDACTED, Refusal, Survival, Ticket};
use crate::time;

const PATH: &str = "/api/v1/configuration";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let id = json!({ "type": "object", "required": ["id"], "additionalProperties": false, "properties": { "id": { "type": "string", "minLength": 1, "maxLength": 128 } } });
    vec![
        Endpoint::get(PATH, Role::Read, "The configuration as written, without its secrets")
            .gives(shown_schema())
            .tagged()
            .by(show),
        changing(Endpoint::put(
            PATH,
            Role::Admin,
            "Replace the configuration; a value shown as redacted stays what it was",
        ))
        .takes_document(document_schema())
        .by(apply),
        Endpoint::post("/api/v1/configuration/validate", Role::Admin, "Say what is wrong with a configuration")
            .takes_document(document_schema())
            .gives(validity_schema())
            .by(validate),
        Endpoint::post("/api/v1/configuration/diff", Role::Admin, "Say what a configuration would change")
            .takes_document(document_schema())
            .gives(diff_schema())
            .by(diff),
        Endpoint::get("/api/v1/configuration/history", Role::Read, "The configurations that are kept; newest first")
            .gives(history_schema())
            .by(history),
        Endpoint::get("/api/v1/configuration/history/{id}", Role::Read, "A configuration that is kept")
            .gives(entry_schema())
            .by(history_entry),
        changing(Endpoint::post(
            "/api/v1/configuration/rollback",
            Role::Admin,
            "Go back to a configuration that is kept",
        ))
        .takes(id)
        .refuses(StatusCode::NOT_FOUND)
        .by(rollback),
    ]
}

/// An endpoint that changes the configuration, with what all of them give and refuse with.
pub(super) fn changing(endpoint: Endpoint) -> Endpoint {
    let endpoint = endpoint.gives(applied_schema()).tagged();
    let statuses = [StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY, StatusCode::INSUFFICIENT_STORAGE];
    statuses.into_iter().fold(endpoint, Endpoint::refuses)
}

/// What changes the gateway.
pub(super) fn operations(context: &Context) -> Result<Operations, Trouble> {
    let operations = context.status().operations.clone();
    operations.ok_or_else(|| Trouble::unavailable("starting", "the gateway is not ready yet"))
}

/// Who asks for a change, and under which condition.
pub(super) fn ticket(context: &Context, action: impl Into<String>) -> Ticket {
    let tags = context.headers.get_all(header::IF_MATCH).iter();
    // What is no text is no entity tag of ours, and matches nothing.
    let tags: Vec<&str> = tags.map(|value| value.to_str().unwrap_or_default()).collect();
    let if_match = (!tags.is_empty()).then(|| tags.join(", "));
    Ticket { actor: context.caller.name.clone(), action: action.into(), if_match }
}

/// What a change is answered with.
pub(super) fn applied(applied: &Applied) -> Answer {
    let changes: Vec<Value> = applied.changes.iter().map(change).collect();
    let mut value = json!({
        "generation": applied.generation,
        "etag": applied.etag,
        "survives_restart": applied.survival == Survival::Survives,
        "changes": changes,
        "restart_needed": applied.restart_needed,
    });
    let lost = match &applied.survival {
        Survival::Survives => None,
        Survival::Lost(why) => Some(format!("it is gone after a restart: {why}")),
    };
    let notes: Vec<String> = lost.into_iter().chain(applied.notes.iter().cloned()).collect();
    if let Some(object) = value.as_object_mut() {
        if !notes.is_empty() {
            object.insert("note".to_owned(), json!(notes.join("; ")));
        }
        if let Some((hash, version)) = &applied.file {
            object.insert("hash".to_owned(), json!(hash));
            object.insert("version".to_owned(), json!(version));
        }
    }
    let audited = value.clone();
    Answer::json(&value).etag(&applied.etag).audited(audited)
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::NotCurrent { .. } => StatusCode::PRECONDITION_FAILED,
            Refusal::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Edited { .. } | Refusal::Overridden { .. } | Refusal::ReadOnly(_) => StatusCode::CONFLICT,
            Refusal::Unknown(_) => StatusCode::NOT_FOUND,
            Refusal::Storage(_) => StatusCode::INSUFFICIENT_STORAGE,
            Refusal::Busy | Refusal::Draining => StatusCode::SERVICE_UNAVAILABLE,
        };
        let trouble = Self::new(status, refusal.reason(), refusal.to_string());
        match refusal {
            Refusal::Invalid(problems) => trouble.with(problems.into_iter().map(problem).collect()),
            _ => trouble,
        }
    }
}

fn problem(problem: crate::gateway::operate::Problem) -> Problem {
    Problem { path: problem.path, what: problem.what, remedy: problem.remedy }
}

async fn show(context: Context) -> Result<Answer, Trouble> {
    let shown = operations(&context)?.document();
    let (writable, note) = match shown.survival {
        Survival::Survives => (true, None),
        Survival::Lost(why) => (false, Some(why)),
    };
    let value = json!({
        "document": shown.document,
        "etag": shown.etag,
        "file": shown.file.display().to_string(),
        "writable": writable,
        "note": note,
    });
    Ok(Answer::json(&value).etag(&shown.etag))
}

async fn apply(mut context: Context) -> Result<Answer, Trouble> {
    let document = document(&mut context);
    let done = operations(&context)?.apply(ticket(&context, "configuration applied"), document).await?;
    Ok(applied(&done))
}

async fn validate(mut context: Context) -> Result<Answer, Trouble> {
    let document = document(&mut context);
    let problems = match operations(&context)?.validate(document).await {
        Ok(()) => Vec::new(),
        Err(Refusal::Invalid(problems)) => problems,
        Err(other @ Refusal::Overridden { .. }) => vec![crate::gateway::operate::Problem {
            path: "$".to_owned(),
            what: other.to_string(),
            remedy: "edit the overlay".to_owned(),
        }],
        Err(other) => return Err(other.into()),
    };
    let told: Vec<Value> =
        problems.iter().map(|p| json!({ "path": p.path, "what": p.what, "remedy": p.remedy })).collect();
    Ok(Answer::json(&json!({ "valid": told.is_empty(), "problems": told })))
}

async fn diff(mut context: Context) -> Result<Answer, Trouble> {
    let document = document(&mut context);
    let difference = operations(&context)?.diff(document).await?;
    let changes: Vec<Value> = difference.changes.iter().map(change).collect();
    Ok(Answer::json(&json!({ "changes": changes, "restart_needed": difference.restart_needed })))
}

async fn history(context: Context) -> Result<Answer, Trouble> {
    let entries = operations(&context)?.history().await?;
    Ok(Answer::json(&json!({ "versions": entries.iter().map(entry).collect::<Vec<_>>() })))
}

async fn history_entry(context: Context) -> Result<Answer, Trouble> {
    let (found, document) = operations(&context)?.history_entry(context.parameter("id")).await?;
    let mut value = entry(&found);
    if let Some(object) = value.as_object_mut() {
        object.insert("document".to_owned(), document);
    }
    Ok(Answer::json(&value))
}

async fn rollback(context: Context) -> Result<Answer, Trouble> {
    let id = context.json.get("id").and_then(Value::as_str).unwrap_or_default();
    let ticket = ticket(&context, format!("rolled back to {id}"));
    Ok(applied(&operations(&context)?.rollback(ticket, id).await?))
}

/// The document in the body.
fn document(context: &mut Context) -> Value {
    context.json.get_mut("document").map(Value::take).unwrap_or_default()
}

fn change(change: &Change) -> Value {
    json!({ "path": change.path, "before": change.before, "after": change.after })
}

fn entry(entry: &Entry) -> Value {
    json!({
        "id": entry.id,
        "at": time::rfc3339(entry.at),
        "by": entry.by,
        "action": entry.action,
        "etag": entry.etag,
        "current": entry.current,
    })
}

fn document_schema() -> Value {
    let description =
        format!("The main configuration file's document. {REDACTED:?} stands for the secret that was shown so.");
    json!({
        "type": "object",
        "required": ["document"],
        "additionalProperties": false,
        "properties": { "document": { "type": "object", "description": description } },
    })
}

fn shown_schema() -> Value {
    json!({
        "type": "object",
        "required": ["document", "etag", "file", "writable", "note"],
        "properties": {
            "document": { "type": "object" }, "etag": { "type": "string" }, "file": { "type": "string" },
            "writable": { "type": "boolean" }, "note": { "type": ["string", "null"] },
        },
    })
}

fn changes_schema() -> Value {
    json!({ "type": "array", "items": {
        "type": "object",
        "required": ["path", "before", "after"],
        "properties": { "path": { "type": "string" }, "before": {}, "after": {} },
    } })
}

fn applied_schema() -> Value {
    json!({
        "type": "object",
        "required": ["generation", "etag", "survives_restart", "changes", "restart_needed"],
        "properties": {
            "generation": { "type": "integer" }, "etag": { "type": "string" }, "survives_restart": { "type": "boolean" },
            "note": { "type": "string" }, "changes": changes_schema(), "hash": { "type": "string" },
            "version": { "type": "string" }, "restart_needed": { "type": "array", "items": { "type": "string" } },
        },
    })
}

fn validity_schema() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "required": ["valid", "problems"],
        "properties": { "valid": { "type": "boolean" }, "problems": { "type": "array", "items": {
            "type": "object",
            "required": ["path", "what", "remedy"],
            "properties": { "path": text, "what": text, "remedy": text },
        } } },
    })
}

fn diff_schema() -> Value {
    json!({
        "type": "object",
        "required": ["changes", "restart_needed"],
        "properties": { "changes": changes_schema(), "restart_needed": { "type": "array", "items": { "type": "string" } } },
    })
}

fn one_schema(more: &[&str]) -> Value {
    let text = json!({ "type": "string" });
    let names = ["id", "at", "by", "action", "etag", "current"];
    json!({
        "type": "object",
        "required": names.iter().chain(more).collect::<Vec<_>>(),
        "properties": {
            "id": text, "at": { "type": "string", "format": "date-time" }, "by": text, "action": text, "etag": text,
            "current": { "type": "boolean" }, "document": { "type": "object" },
        },
    })
}

fn history_schema() -> Value {
    json!({
        "type": "object",
        "required": ["versions"],
        "properties": { "versions": { "type": "array", "items": one_schema(&[]) } },
    })
}

fn entry_schema() -> Value {
    one_schema(&["document"])
}
