//! What browsers ask for beside the API: the pages, `POST /login` and `POST /logout`.
//!
//! Without a session there is the login page and what it needs, and nothing else.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::access::origin::{self, Site};
use super::access::{self, Unknown};
use super::answer::{Answer, JSON};
use super::audit::Act;
use super::dashboard::{self, Audience, File};
use super::target::{self, Plus};
use super::trouble::Trouble;
use super::{Admin, body};
use crate::exchange::Client;
use crate::http::Body;
use crate::time;

/// Longest form or JSON with a token.
const LOGIN_BYTES_MAX: u64 = 16 * 1024;
/// Longest time for it to arrive.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The media type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

/// Whether a path is a page's and not the API's.
pub(super) fn is_page(path: &str) -> bool {
    matches!(path, "/" | "/login" | "/logout") || path.starts_with("/assets/")
}

/// Answers a request for a page.
pub(super) async fn answer(
    admin: &Rc<Admin>,
    client: &Arc<Client>,
    head: &Parts,
    content: Body,
) -> Result<Answer, Trouble> {
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    match head.uri.path() {
        "/login" if head.method == Method::POST => login(admin, client, head, content).await,
        "/logout" if head.method == Method::POST => logout(admin, client, head).await,
        "/login" if reads => Ok(shown(dashboard::LOGIN)),
        "/login" => Err(not_allowed("GET, HEAD, POST")),
        "/logout" => Err(not_allowed("POST")),
        _ if !reads => Err(not_allowed("GET, HEAD")),
        path => {
            let file = dashboard::file(path);
            if let Some(file) = file.filter(|file| file.audience == Audience::Anybody) {
                return Ok(kept(file, head));
            }
            match admin.who(client, &head.headers).await {
                Ok(_) => file.map(|file| kept(file, head)).ok_or_else(|| Trouble::not_found("there is no such page")),
                // The page itself says how to go on; for everything else the API's words do.
                Err(_) if path == "/" => Ok(shown(dashboard::LOGIN).status(StatusCode::UNAUTHORIZED)),
                Err(trouble) => Err(trouble),
            }
        }
    }
}

/// A file that a browser keeps, and asks whether there is another: pages then cost one short answer per script.
fn kept(file: File, head: &Parts) -> Answer {
    let tag = file.tag();
    let field = head.headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let same = |known: &str| known.trim().trim_start_matches("W/").trim_matches('"') == tag;
    let answer = match field.flat_map(|value| value.split(',')).any(same) {
        true => Answer::bytes(file.media, "").status(StatusCode::NOT_MODIFIED),
        false => shown(file),
    };
    answer.etag(&tag).field(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))
}

fn shown(file: File) -> Answer {
    Answer::bytes(file.media, file.content)
}

pub(super) fn not_allowed(methods: &str) -> Trouble {
    let detail = format!("only by {methods}");
    let trouble = Trouble::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
    match HeaderValue::try_from(methods) {
        Ok(methods) => trouble.field(header::ALLOW, methods),
        Err(_) => trouble,
    }
}

/// Begins a session: `token` in a form gives a redirect to the dashboard, in JSON `{"name", "role"}`.
async fn login(admin: &Rc<Admin>, client: &Arc<Client>, head: &Parts, content: Body) -> Result<Answer, Trouble> {
    check_site(head)?;
    let form = body::is_media(&head.headers, FORM);
    if !form && !body::is_media(&head.headers, JSON) {
        let detail = format!("send the token as {JSON} or {FORM}");
        return Err(Trouble::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    let bytes = body::collect(content, LOGIN_BYTES_MAX, LOGIN_TIMEOUT).await?;
    let token = if form { in_form(&bytes) } else { in_json(&body::parse(&bytes)?) };
    let token = token.ok_or_else(|| Trouble::bad_request("there is no token; send {\"token\": \"...\"}"))?;
    match admin.doorkeeper.sign_in(&admin.access(), client, token.trim().as_bytes(), time::now()) {
        Ok((caller, cookie)) => {
            let act = Act::of(&caller, "POST /login".to_owned(), None);
            let begun = admin.audit.begin(act).await;
            // Looking does no harm where nothing can be written down.
            if let Ok(begun) = begun {
                admin.audit.end(begun, super::audit::Outcome::Done, &Value::Null).await;
            }
            let answer = match form {
                true => Answer::text("")
                    .status(StatusCode::SEE_OTHER)
                    .field(header::LOCATION, HeaderValue::from_static("/")),
                false => Answer::json(&json!({ "name": caller.name, "role": caller.role.as_str() })),
            };
            let cookie = HeaderValue::try_from(cookie).map_err(|_| Trouble::unavailable("internal", "no cookie"))?;
            Ok(answer.field(header::SET_COOKIE, cookie))
        }
        Err(unknown) => {
            let trouble = admin.turned_away(client, unknown, "POST /login").await;
            match unknown {
                Unknown::Wrong(_) if form => Ok(shown(dashboard::LOGIN_AGAIN).status(StatusCode::UNAUTHORIZED)),
                _ => Err(trouble),
            }
        }
    }
}

async fn logout(admin: &Rc<Admin>, client: &Arc<Client>, head: &Parts) -> Result<Answer, Trouble> {
    check_site(head)?;
    let caller = admin.who(client, &head.headers).await?;
    tracing::debug!(caller = caller.name, source = access::source(client), "signed out");
    let cookie = admin.doorkeeper.sign_out(client, &head.headers);
    let answer = Answer::text("").status(StatusCode::SEE_OTHER).field(header::LOCATION, HeaderValue::from_static("/"));
    let cookie = HeaderValue::try_from(cookie).map_err(|_| Trouble::unavailable("internal", "no cookie"))?;
    Ok(answer.field(header::SET_COOKIE, cookie))
}

fn check_site(head: &Parts) -> Result<(), Trouble> {
    match origin::site(&head.headers, origin::authority(&head.uri, &head.headers)) {
        Site::Foreign => Err(foreign()),
        Site::Ours | Site::Unsaid => Ok(()),
    }
}

/// What a page of another site is told.
pub(super) fn foreign() -> Trouble {
    Trouble::new(
        StatusCode::FORBIDDEN,
        "cross_site",
        "a page of another site asks for this; ask from the dashboard or a program",
    )
}

fn in_form(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let value = text.split('&').find_map(|pair| pair.strip_prefix("token="))?;
    target::decoded(value, Plus::Space)
}

fn in_json(value: &Value) -> Option<String> {
    value.get("token")?.as_str().map(str::to_owned)
}
