//! `GET /api/v1/openapi.json`: the table of endpoints as an OpenAPI 3.1 document.
//!
//! Everything in it is read from the table that requests are dispatched by; nothing is written here a second time.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::context::Context;
use super::endpoint::{Endpoint, Need, Takes};
use super::router::PART_LENGTH_MAX;
use super::settings::Role;
use super::trouble::{self, Trouble};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let schema = json!({ "type": "object", "required": ["openapi", "info", "paths", "components"] });
    vec![Endpoint::get("/api/v1/openapi.json", Role::Read, "This document").gives(schema).by(openapi)]
}

async fn openapi(context: Context) -> Result<Answer, Trouble> {
    Ok(Answer::json(&document(context.admin.router.endpoints().iter().map(AsRef::as_ref))))
}

/// The document.
pub(super) fn document<'e>(endpoints: impl Iterator<Item = &'e Endpoint>) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in endpoints {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        if let Some(object) = path.as_object_mut() {
            object.insert(endpoint.method.as_str().to_ascii_lowercase(), operation(endpoint));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Portcullis admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Each operation says in `x-role` what it needs: read < operate < admin.",
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "schemas": { "Problem": trouble::schema() },
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": "portcullis_session", "description": "Over TLS: `__Host-portcullis_session`." },
            },
        },
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut operation = json!({
        "operationId": identifier(endpoint),
        "summary": endpoint.summary,
        "tags": [tag(endpoint.path)],
        "x-role": endpoint.role.as_str(),
        "parameters": parameters(endpoint),
        "responses": responses(endpoint),
    });
    if let (Some(body), Some(object)) = (body(endpoint), operation.as_object_mut()) {
        object.insert("requestBody".to_owned(), body);
    }
    operation
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let in_path = endpoint.parameters().map(
        |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1, "maxLength": PART_LENGTH_MAX } }),
    );
    let in_query = endpoint.query.iter().map(|parameter| {
        json!({
            "name": parameter.name,
            "in": "query",
            "required": parameter.need == Need::Required,
            "description": parameter.summary,
            "schema": parameter.value,
        })
    });
    let matches = (endpoint.gives.tagged && endpoint.changes()).then(|| {
        json!({
            "name": "If-Match",
            "in": "header",
            "required": false,
            "description": "The entity tag of what is changed; with another the answer is 412.",
            "schema": { "type": "string" },
        })
    });
    in_path.chain(in_query).chain(matches).collect()
}

fn body(endpoint: &Endpoint) -> Option<Value> {
    let content = match &endpoint.takes {
        Takes::Nothing => return None,
        Takes::Json { source, .. } => json!({ "application/json": { "schema": source } }),
        Takes::Bytes(media) => json!({ *media: { "schema": { "type": "string", "contentMediaType": media } } }),
    };
    Some(json!({ "required": true, "content": content }))
}

fn responses(endpoint: &Endpoint) -> Value {
    let gives = &endpoint.gives;
    let mut well = json!({ "description": gives.status.canonical_reason().unwrap_or("Done") });
    if let Some(object) = well.as_object_mut() {
        if let Some(schema) = &gives.schema {
            // A media type's parameters are no part of its name here.
            let media = gives.media.split(';').next().unwrap_or_default();
            object.insert("content".to_owned(), json!({ media: { "schema": schema } }));
        }
        if gives.tagged {
            object.insert("headers".to_owned(), json!({ "ETag": { "schema": { "type": "string" } } }));
        }
    }
    let refusal = |status: StatusCode| {
        let description = status.canonical_reason().unwrap_or("Refused");
        json!({
            "description": description,
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        })
    };
    let mut responses = Map::new();
    responses.insert(gives.status.as_str().to_owned(), well);
    for status in refusals(endpoint) {
        responses.insert(status.as_str().to_owned(), refusal(status));
    }
    Value::Object(responses)
}

/// The statuses that an endpoint refuses with.
fn refusals(endpoint: &Endpoint) -> BTreeSet<StatusCode> {
    // 400: a query or a path that makes no sense; 421: asked by a name that is not ours; 429: too many wrong tokens; 503: starting.
    let mut statuses = BTreeSet::from([
        StatusCode::BAD_REQUEST,
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::MISDIRECTED_REQUEST,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ]);
    if endpoint.parameters().next().is_some() {
        statuses.extend([StatusCode::NOT_FOUND, StatusCode::URI_TOO_LONG]);
    }
    if !endpoint.query.is_empty() {
        statuses.insert(StatusCode::URI_TOO_LONG);
    }
    if !matches!(endpoint.takes, Takes::Nothing) {
        statuses.extend([
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ]);
    }
    statuses.extend(&endpoint.refuses);
    statuses
}

/// A name in which only letters and digits stand: `getPluginsPluginTraps`.
fn identifier(endpoint: &Endpoint) -> String {
    let path = endpoint.path.trim_start_matches("/api/v1");
    let words = path.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut name = match endpoint.method {
        Method::GET => "get",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        _ => "delete",
    }
    .to_owned();
    for word in words {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

/// The first part of a path, which things that belong together share.
fn tag(path: &str) -> &str {
    let path = path.trim_start_matches("/api/v1/").trim_start_matches('/');
    path.split(['/', '.']).next().unwrap_or_default()
}
