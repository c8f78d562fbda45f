//! `GET /api/v1/routes` and `POST /api/v1/routes/explain`: which routes there are, and which a request gets, and why.

use std::net::{IpAddr, Ipv4Addr};

use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::configuration::operations;
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::{Problem, Trouble};
use crate::config::{Config, Hidden, Route};
use crate::exchange::Scheme;
use crate::generation::Generation;
use crate::http::{ambiguity, merged_slashes};
use crate::pipeline::{Handler, Proxy, Subject, rewritten};
use crate::router::{Asked, Routed, misses};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/v1/routes", Role::Read, "The routes: what each matches, does, and which plugins it runs")
            .gives(schema())
            .by(list),
        Endpoint::post("/api/v1/routes/explain", Role::Read, "Which route a request gets, and why the others do not")
            .takes(question())
            .gives(explanation())
            .by(explain),
    ]
}

async fn list(context: Context) -> Result<Answer, Trouble> {
    let generation = context.generation()?;
    let hidden = operations(&context)?.hidden();
    let routes = generation.config.routes.iter().map(|route| shown(&generation, route, &hidden));
    let routes: Vec<Value> = routes.collect();
    Ok(Answer::json(&json!({ "routes": routes })))
}

fn shown(generation: &Generation, route: &Route, hidden: &Hidden) -> Value {
    let settings = &route.matches;
    let path = settings.path_regex.as_ref().map_or_else(|| settings.path.to_string(), ToString::to_string);
    let mut conditions = Map::new();
    // Values that are asked for may be secrets, such as what a CDN proves itself with.
    let covered = |test: &dyn std::fmt::Display| Value::from(hidden.cover_whole(&test.to_string()));
    for (name, test) in &settings.conditions.headers {
        conditions.insert(format!("header {name}"), covered(test));
    }
    for (name, test) in &settings.conditions.query {
        conditions.insert(format!("query {name}"), covered(test));
    }
    if let Some(scheme) = settings.conditions.scheme {
        conditions.insert("scheme".to_owned(), scheme.as_str().into());
    }
    if !settings.conditions.clients.is_empty() {
        let clients: Vec<String> = settings.conditions.clients.iter().map(ToString::to_string).collect();
        conditions.insert("client".to_owned(), clients.into());
    }
    json!({
        "route": settings.name.as_str(),
        "match": {
            "priority": settings.priority,
            "host": settings.host.to_string(),
            "path": path,
            "regex": settings.path_regex.is_some(),
            "methods": settings.methods.iter().map(Method::as_str).collect::<Vec<_>>(),
            "conditions": conditions,
        },
        "handler": handler(&generation.config, &route.handler),
        "cache": route.cache.is_some(),
        "chain": chain(generation, route),
    })
}

fn handler(config: &Config, handler: &Handler) -> Value {
    let name = |index: usize| config.upstreams.get(index).map_or("?", |upstream| upstream.name.as_str());
    let (kind, upstreams, does) = match handler {
        Handler::Proxy(proxy) => {
            let upstreams: Vec<&str> = proxy.shares.iter().map(|share| name(share.upstream)).collect();
            let weights: Vec<String> =
                proxy.shares.iter().map(|share| format!("{} ({})", name(share.upstream), share.weight)).collect();
            ("proxy", upstreams, if weights.len() > 1 { weights.join(", ") } else { String::new() })
        }
        Handler::Files(files) => ("files", Vec::new(), files.root.display().to_string()),
        Handler::Respond { status, .. } => ("respond", Vec::new(), status.as_u16().to_string()),
        Handler::Redirect { status, .. } => ("redirect", Vec::new(), status.as_u16().to_string()),
    };
    json!({ "kind": kind, "upstreams": upstreams, "detail": does })
}

/// The plugins that run on a route, in order, unlisted ones included.
fn chain(generation: &Generation, route: &Route) -> Vec<String> {
    let crate::config::RouteUnlisted::Except(except) = &route.unlisted;
    let running = |name: &crate::names::Name| generation.roster.plugins().any(|(known, _, _)| known == name);
    let listed = route.chain.iter().map(|entry| &entry.plugin).filter(|name| running(name));
    let unlisted = generation.roster.unlisted().map(|loaded| &loaded.name).filter(|name| !except.contains(name));
    listed.chain(unlisted).map(|name| name.as_str().to_owned()).collect()
}

/// A request to explain.
struct Request {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    client: IpAddr,
    scheme: Scheme,
}

impl Request {
    fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let method = text("method").unwrap_or("GET").parse::<Method>().ok();
        if method.is_none() {
            problems.push(Problem::new("method", "is no method", "write one such as \"GET\""));
        }
        let uri = text("url").and_then(|url| url.parse::<Uri>().ok()).filter(|uri| uri.authority().is_some());
        let scheme = match uri.as_ref().and_then(Uri::scheme_str) {
            Some("http") => Some(Scheme::Http),
            Some("https") => Some(Scheme::Https),
            _ => None,
        };
        if scheme.is_none() {
            problems.push(Problem::new(
                "url",
                "is no URL with scheme and host",
                "write one such as \"http://localhost/path\"",
            ));
        }
        let client = text("client").map_or(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), |text| text.parse().ok());
        if client.is_none() {
            problems.push(Problem::new("client", "is no IP address", "write one such as \"192.0.2.1\""));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in value.get("headers").and_then(Value::as_object).into_iter().flatten() {
            let field =
                HeaderName::try_from(name).ok().zip(value.as_str().and_then(|text| HeaderValue::try_from(text).ok()));
            match field {
                Some((name, value)) => {
                    headers.try_append(name, value).ok();
                }
                None => problems.push(Problem::new("headers", "has what is no field", "write {\"x-version\": \"2\"}")),
            }
        }
        match (method, uri, scheme, client) {
            (Some(method), Some(uri), Some(scheme), Some(client)) if problems.is_empty() => {
                Ok(Self { method, uri, headers, client, scheme })
            }
            _ => Err(problems),
        }
    }
}

/// Why a request is refused whatever routes there are; none: it is not.
fn refusal(request: &Request, host: &str, path: &str) -> Option<&'static str> {
    if request.method == Method::CONNECT {
        return Some("CONNECT is not for gateways");
    }
    if host.contains('@') {
        return Some("userinfo in the target");
    }
    ambiguity(path)
}

async fn explain(context: Context) -> Result<Answer, Trouble> {
    let (generation, hidden) = (context.generation()?, operations(&context)?.hidden());
    let request =
        Request::read(&context.json).map_err(|problems| Trouble::bad_request("this is no request").with(problems))?;
    let target = request.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let (host, path) = (request.uri.authority().map_or("", |host| host.as_str()), merged_slashes(target.path()));
    let asked = Asked {
        host,
        path: &path,
        query: target.query(),
        method: &request.method,
        headers: &request.headers,
        scheme: request.scheme,
        client: request.client,
    };
    if let Some(why) = refusal(&request, host, target.path()) {
        return Ok(Answer::json(&json!({
            "outcome": "refused", "route": null, "why": format!("{why}: answered with 400 before any route is looked for"),
            "parameters": {}, "chain": [], "handler": null, "upstream_target": null, "others": [],
        })));
    }
    let routes = &generation.config.routes;
    let (outcome, winner, parameters) = match generation.plan.router.find(&asked) {
        Routed::Found { route, parameters } => (json!("found"), Some(route), parameters),
        Routed::NotFound => (json!("not_found"), None, Vec::new()),
        Routed::MethodNotAllowed { .. } => (json!("method_not_allowed"), None, Vec::new()),
    };
    let won = winner.and_then(|index| routes.get(index));
    let subject = Subject { target: &target, authority: host, parameters: &parameters };
    let upstream_target = won.and_then(|route| match &route.handler {
        Handler::Proxy(Proxy { rewrite: Some(rewrite), .. }) => {
            rewritten(rewrite, &subject).ok().map(|to| to.to_string())
        }
        Handler::Proxy(_) => Some(target.to_string()),
        _ => None,
    });
    let mut others: Vec<(usize, Value)> = Vec::new();
    for (_, route) in routes.iter().enumerate().filter(|(index, _)| Some(*index) != winner) {
        let misses: Vec<String> = misses(&route.matches, &asked).iter().map(ToString::to_string).collect();
        let why = if misses.is_empty() { "matches too, but comes later".to_owned() } else { misses.join("; ") };
        others
            .push((misses.len(), json!({ "route": route.matches.name.as_str(), "why_not": hidden.cover_whole(&why) })));
    }
    // Those that came closest first.
    others.sort_by_key(|(misses, _)| *misses);
    let named: Map<String, Value> =
        parameters.iter().map(|(name, value)| (name.to_string(), Value::from(value.as_str()))).collect();
    Ok(Answer::json(&json!({
        "outcome": outcome,
        "route": won.map(|route| route.matches.name.as_str()),
        "why": won.map(|route| hidden.cover_whole(&route.matches.to_string()).into_owned()),
        "parameters": named,
        "chain": won.map(|route| chain(&generation, route)).unwrap_or_default(),
        "handler": won.map(|route| handler(&generation.config, &route.handler)),
        "upstream_target": upstream_target,
        "others": others.into_iter().map(|(_, other)| other).collect::<Vec<_>>(),
    })))
}

fn schema() -> Value {
    let (text, texts) = (json!({ "type": "string" }), json!({ "type": "array", "items": { "type": "string" } }));
    json!({
        "type": "object",
        "required": ["routes"],
        "properties": { "routes": { "type": "array", "items": {
            "type": "object",
            "required": ["route", "match", "handler", "cache", "chain"],
            "properties": {
                "route": text, "cache": { "type": "boolean" }, "chain": texts,
                "match": {
                    "type": "object", "required": ["priority", "host", "path", "regex", "methods", "conditions"],
                    "properties": {
                        "priority": { "type": "integer" }, "host": text, "path": text, "regex": { "type": "boolean" },
                        "methods": texts, "conditions": { "type": "object" },
                    },
                },
                "handler": handler_schema(),
            },
        } } },
    })
}

fn handler_schema() -> Value {
    json!({
        "type": ["object", "null"],
        "required": ["kind", "upstreams", "detail"],
        "properties": {
            "kind": { "enum": ["proxy", "files", "respond", "redirect"] },
            "upstreams": { "type": "array", "items": { "type": "string" } }, "detail": { "type": "string" },
        },
    })
}

fn question() -> Value {
    json!({
        "type": "object",
        "required": ["url"],
        "additionalProperties": false,
        "examples": [{ "method": "GET", "url": "http://localhost/" }],
        "properties": {
            "method": { "type": "string", "pattern": "^[A-Z]{1,32}$" },
            "url": { "type": "string", "minLength": 1, "maxLength": 8192 },
            "headers": {
                "type": "object", "maxProperties": 64, "propertyNames": { "pattern": "^[a-zA-Z0-9-]{1,64}$" },
                "additionalProperties": { "type": "string", "pattern": "^[ -~]{0,1024}$" },
            },
            "client": { "type": "string", "examples": ["192.0.2.1"] },
        },
    })
}

fn explanation() -> Value {
    let (text, maybe) = (json!({ "type": "string" }), json!({ "type": ["string", "null"] }));
    json!({
        "type": "object",
        "required": ["outcome", "route", "why", "parameters", "chain", "handler", "upstream_target", "others"],
        "properties": {
            "outcome": { "enum": ["found", "not_found", "method_not_allowed", "refused"] }, "route": maybe, "why": maybe,
            "parameters": { "type": "object", "additionalProperties": text }, "chain": { "type": "array", "items": text },
            "handler": handler_schema(), "upstream_target": maybe,
            "others": { "type": "array", "items": {
                "type": "object", "required": ["route", "why_not"], "properties": { "route": text, "why_not": text },
            } },
        },
    })
}
