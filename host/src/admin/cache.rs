//! What operators ask of the cache and do to it: how much is stored, what is stored for a URL, and purging.
//!
//! Whatever takes a while runs on a thread of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Answer;
use super::context::Context;
use super::endpoint::{Endpoint, Need};
use super::purge;
use super::settings::Role;
use super::trouble::{Problem, Trouble};
use crate::cache::{Confirmed, Listed};
use crate::http::canonical_url;
use crate::purger::{Purger, Receipt};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let text = |example: &str| json!({ "type": "string", "minLength": 1, "maxLength": 2048, "example": example });
    vec![
        Endpoint::get("/api/v1/cache", Role::Read, "How much is stored, and what requests found")
            .gives(overview_schema())
            .by(overview),
        Endpoint::get("/api/v1/cache/lookup", Role::Read, "What is stored for a URL")
            .asks("url", Need::Required, text("http://example.com/"), "The URL, with scheme and host.")
            .asks("route", Need::Optional, text("shop"), "Only what this route has stored.")
            .gives(lookup_schema())
            .by(lookup),
        Endpoint::post("/api/v1/cache/purge", Role::Operate, "Purge what meets all of these conditions")
            .takes(purge_schema())
            .gives(receipt_schema())
            .by(purge),
    ]
}

impl Context {
    fn purger(&self) -> Result<Arc<Purger>, Trouble> {
        let purger = self.status().purger.clone();
        purger.ok_or_else(|| Trouble::unavailable("starting", "the cache is not ready yet"))
    }
}

async fn overview(context: Context) -> Result<Answer, Trouble> {
    let purger = context.purger()?;
    let cache = Arc::clone(purger.cache());
    let counted = tokio::task::spawn_blocking(move || cache.counted_size()).await;
    let cache = purger.cache();
    let ((entries, bytes), (memory_bytes_max, object_bytes_max)) =
        (counted.unwrap_or_else(|_| cache.size()), cache.limits());
    let routes = cache.tally().requests().into_iter().map(|(route, sums)| {
        let sums: serde_json::Map<_, _> =
            sums.into_iter().map(|(outcome, count)| (outcome.as_str().to_owned(), count.into())).collect();
        (route.as_str().to_owned(), Value::Object(sums))
    });
    Ok(Answer::json(&json!({
        "entries": entries,
        "bytes": bytes,
        "memory_bytes_max": memory_bytes_max,
        "object_bytes_max": object_bytes_max,
        "last_purge": cache.sequence(),
        "requests": routes.collect::<serde_json::Map<_, _>>(),
    })))
}

async fn lookup(context: Context) -> Result<Answer, Trouble> {
    let purger = context.purger()?;
    let url = match canonical_url(context.query("url").unwrap_or_default()) {
        Ok(url) => url,
        Err(error) => {
            let problem = Problem {
                path: "?url".to_owned(),
                what: error.to_string(),
                remedy: "write http://host/path".to_owned(),
            };
            return Err(Trouble::bad_request("the URL is none").with(vec![problem]));
        }
    };
    let route = context.query("route").map(str::to_owned);
    let (cache, wanted) = (Arc::clone(purger.cache()), url.clone());
    let listed = tokio::task::spawn_blocking(move || cache.list(&wanted, route.as_deref())).await;
    let listed = listed.unwrap_or_default();
    Ok(Answer::json(&json!({ "url": url, "stored": listed.iter().map(stored).collect::<Vec<_>>() })))
}

async fn purge(context: Context) -> Result<Answer, Trouble> {
    let (purger, generation) = (context.purger()?, context.generation()?);
    let routes = &generation.config.routes;
    let namespaces: BTreeSet<&str> =
        routes.iter().filter_map(|route| route.cache.as_ref()).map(|policy| &*policy.namespace).collect();
    let (purge, counting) = purge::read(&context.json, &namespaces)
        .map_err(|problems| Trouble::bad_request("nothing is purged").with(problems))?;
    match purger.purge(purge, counting).await {
        Ok(receipt) => Ok(Answer::json(&told(&receipt))),
        Err(refused) => {
            let text = refused.to_string();
            let (key, what) = text.split_once(": ").unwrap_or(("", &text));
            let problem = Problem::new(key, what, "write it as the cache knows it, with scheme and host");
            Err(Trouble::bad_request("nothing is purged").with(vec![problem]))
        }
    }
}

fn stored(listed: &Listed) -> Value {
    json!({
        "route": listed.route,
        "key": listed.key,
        "status": listed.status,
        "age_seconds": listed.age.as_secs(),
        "ttl_seconds": listed.ttl.as_secs(),
        "fresh": !listed.ttl.is_zero(),
        "content": listed.content,
        "body_bytes": listed.body_bytes,
        "memory_bytes": listed.memory_bytes,
        "namespace": listed.namespace,
        "tags": listed.tags,
        "vary": listed.vary.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

/// What was purged; only what was said stands in it.
fn told(receipt: &Receipt) -> Value {
    let selection = &receipt.selection;
    let field = selection.field.as_ref();
    let purged = [
        ("url", selection.url.as_deref().map(Value::from)),
        ("key", selection.key.as_deref().map(Value::from)),
        ("tags", (!receipt.tags.is_empty()).then(|| Value::from(receipt.tags.clone()))),
        ("pattern", selection.pattern.as_deref().map(Value::from)),
        ("namespace", selection.namespace.as_deref().map(Value::from)),
        ("status", selection.status.map(Value::from)),
        ("header", field.map(|(name, contains)| json!({ "name": name, "contains": contains }))),
        ("older_than_seconds", selection.age_min.map(Value::from)),
        ("larger_than_bytes", selection.bytes_min.map(|least| Value::from(least.saturating_sub(1)))),
        ("all", (receipt.sort == crate::cache::Sort::All).then_some(Value::Bool(true))),
    ];
    let purged = purged.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let mut value = json!({
        "number": receipt.number,
        "mode": receipt.mode.as_str(),
        "purged": purged.collect::<serde_json::Map<_, _>>(),
        "instances": match receipt.confirmed {
            Confirmed::All => "confirmed",
            Confirmed::Pending => "pending",
            Confirmed::Later => "later",
        },
        "cdn": receipt.told.as_str(),
        "survives_restart": true,
    });
    if let (Some(hit), Some(object)) = (receipt.hit, value.as_object_mut()) {
        object.insert("count".to_owned(), hit.into());
    }
    value
}

fn overview_schema() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    json!({
        "type": "object",
        "required": ["entries", "bytes", "memory_bytes_max", "object_bytes_max", "last_purge", "requests"],
        "properties": {
            "entries": count, "bytes": count, "memory_bytes_max": count, "object_bytes_max": count, "last_purge": count,
            "requests": { "type": "object", "additionalProperties": { "type": "object", "additionalProperties": count } },
        },
    })
}

fn lookup_schema() -> Value {
    let (text, count) = (json!({ "type": "string" }), json!({ "type": "integer", "minimum": 0 }));
    json!({
        "type": "object",
        "required": ["url", "stored"],
        "properties": {
            "url": text,
            "stored": { "type": "array", "items": {
                "type": "object",
                "required": [
                    "route", "key", "status", "age_seconds", "ttl_seconds", "fresh", "content", "body_bytes", "memory_bytes",
                    "namespace", "tags", "vary",
                ],
                "properties": {
                    "route": text, "key": text, "status": count, "age_seconds": count, "ttl_seconds": count,
                    "fresh": { "type": "boolean" }, "content": text, "body_bytes": count, "memory_bytes": count,
                    "namespace": text, "tags": { "type": "array", "items": text }, "vary": { "type": "object" },
                },
            } },
        },
    })
}

fn purge_schema() -> Value {
    let text = json!({ "type": "string", "minLength": 1, "maxLength": 8192 });
    let (number, switch) = (json!({ "type": "integer", "minimum": 0 }), json!({ "type": "boolean" }));
    json!({
        "type": "object",
        "additionalProperties": false,
        "examples": [{ "tag": "news" }, { "all": true }],
        "properties": {
            "url": text, "key": text, "tag": text,
            "tags": { "type": "array", "items": text, "minItems": 1, "maxItems": 1000 },
            "pattern": text, "namespace": text, "status": { "type": "integer", "minimum": 100, "maximum": 599 },
            "header": {
                "type": "object", "required": ["name"], "additionalProperties": false,
                "properties": { "name": { "type": "string", "pattern": "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$" }, "contains": { "type": "string" } },
            },
            "older_than_seconds": number, "larger_than_bytes": number, "all": switch, "soft": switch, "count": switch,
        },
    })
}

fn receipt_schema() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    json!({
        "type": "object",
        "required": ["number", "mode", "purged", "instances", "cdn", "survives_restart"],
        "properties": {
            "number": count, "mode": { "enum": ["hard", "soft"] }, "purged": { "type": "object" },
            "instances": { "enum": ["confirmed", "pending", "later"] }, "cdn": { "type": "string" }, "count": count,
            "survives_restart": { "const": true },
        },
    })
}
