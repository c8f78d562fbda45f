//! From a request to its answer: health, pages, who asks, what for, whether they may, and then the endpoint.
//!
//! The order keeps what a stranger learns small: credentials come before the question whether there is such a path.

use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::access::origin::{self, Site};
use super::access::{self, By, Caller, Unknown};
use super::answer::Answer;
use super::audit::{Act, Outcome, redacted};
use super::context::Context;
use super::endpoint::Endpoint;
use super::router::Found;
use super::trouble::Trouble;
use super::{Admin, UPLOAD_PATIENCE, body, health, pages, target};
use crate::exchange::{Client, Failure, Reason};
use crate::http::Body;
use crate::listener::Handle;
use crate::time;

/// What pages may do: load what lies here, and nothing that stands in them.
const HTML_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                           connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// What is no page does nothing.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Where requests of operators arrive.
pub(super) struct Desk(pub(super) Rc<Admin>);

impl Handle for Desk {
    async fn handle(&self, client: &Arc<Client>, request: http::Request<Body>) -> http::Response<Body> {
        let (head, content) = request.into_parts();
        let answer = self.0.respond(client, &head, content).await;
        secured(answer.unwrap_or_else(Trouble::into_answer))
    }

    fn refuse(&self, _: &Arc<Client>, failure: &Failure) -> http::Response<Body> {
        // What is no request is the client's fault, whatever the pipeline would say.
        let status = match failure.reason {
            Reason::Internal => StatusCode::BAD_REQUEST,
            reason if reason.status().is_server_error() => StatusCode::BAD_REQUEST,
            reason => reason.status(),
        };
        secured(Trouble::new(status, failure.reason.as_str(), "this is no request").into_answer())
    }
}

fn secured(answer: Answer) -> http::Response<Body> {
    let policy = if answer.media.starts_with("text/html") { HTML_POLICY } else { POLICY };
    let mut response = answer.into_response();
    let headers = response.headers_mut();
    let fields: [(HeaderName, &'static str); 6] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fields {
        // What may be kept says so itself.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

impl Admin {
    async fn respond(self: &Rc<Self>, client: &Arc<Client>, head: &Parts, content: Body) -> Result<Answer, Trouble> {
        let path = head.uri.path();
        if health::is_ours(path) {
            let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            return Ok(health::answer(&head.method, path, head.uri.query(), &status));
        }
        let authority = origin::authority(&head.uri, &head.headers);
        if !origin::is_ours(client, authority, &self.access().hosts) {
            let detail = "this address goes by no such name; ask it as localhost, or add the name to admin.hosts";
            return Err(Trouble::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", detail));
        }
        if pages::is_page(path) {
            return pages::answer(self, client, head, content).await;
        }
        let caller = match self.doorkeeper.who(&self.access(), client, &head.headers, time::now()) {
            Ok(caller) => caller,
            Err(unknown) => return Err(self.turned_away(client, unknown, &self.action(head)).await),
        };
        match self.router.find(&head.method, path)? {
            Found::Endpoint(endpoint, parameters) => self.admit(endpoint, parameters, caller, head, content).await,
            Found::Nothing => {
                Err(Trouble::not_found("there is no such path; GET /api/v1/openapi.json tells which there are"))
            }
            Found::Methods(allow) if head.method == Method::OPTIONS => {
                let allow = HeaderValue::try_from(allow).unwrap_or(HeaderValue::from_static("OPTIONS"));
                Ok(Answer::text("").status(StatusCode::NO_CONTENT).field(header::ALLOW, allow))
            }
            Found::Methods(allow) => Err(pages::not_allowed(&allow)),
        }
    }

    /// Who asks, for pages.
    pub(super) async fn who(
        self: &Rc<Self>,
        client: &Arc<Client>,
        headers: &http::HeaderMap,
    ) -> Result<Caller, Trouble> {
        match self.doorkeeper.who(&self.access(), client, headers, time::now()) {
            Ok(caller) => Ok(caller),
            Err(unknown) => Err(self.turned_away(client, unknown, "GET a page").await),
        }
    }

    /// What somebody unknown is told, after waiting as long as they deserve.
    pub(super) async fn turned_away(&self, client: &Client, unknown: Unknown, action: &str) -> Trouble {
        let unauthorized = |detail| {
            let trouble = Trouble::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
            trouble.field(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"portcullis\""))
        };
        let (trouble, why) = match unknown {
            Unknown::Anonymous => {
                (unauthorized("this needs credentials; send `Authorization: Bearer TOKEN`"), "no credentials")
            }
            Unknown::Wrong(delay) => {
                tracing::warn!(source = access::source(client), action, "a token that is not known");
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                (unauthorized("this token is not known here"), "a token that is not known")
            }
            Unknown::Later(left) => {
                let seconds = left.as_secs().max(1);
                let detail = format!("too many tokens that are not known; try again in {seconds} s");
                let trouble = Trouble::new(StatusCode::TOO_MANY_REQUESTS, "too_many_failures", detail);
                (trouble.field(header::RETRY_AFTER, HeaderValue::from(seconds)), "too many tokens that are not known")
            }
        };
        // Looking without credentials is nothing to write down; trying to change something, or to get in, is.
        if unknown != Unknown::Anonymous || !action.starts_with("GET") {
            let act = Act {
                actor: "(unknown)".to_owned(),
                role: None,
                source: access::source(client),
                action: action.to_owned(),
                target: None,
            };
            self.audit.refused(act, &json!({ "status": trouble.status.as_u16(), "why": why })).await;
        }
        trouble
    }

    /// What a request is for, as the audit log calls it: paths that are not there have no name.
    fn action(&self, head: &Parts) -> String {
        match self.router.find(&head.method, head.uri.path()) {
            Ok(Found::Endpoint(endpoint, _)) => format!("{} {}", endpoint.method, endpoint.path),
            _ => "GET (unknown)".to_owned(),
        }
    }

    /// Lets an endpoint answer, if the caller may ask it.
    async fn admit(
        self: &Rc<Self>,
        endpoint: Rc<Endpoint>,
        parameters: Vec<(&'static str, String)>,
        caller: Caller,
        head: &Parts,
        content: Body,
    ) -> Result<Answer, Trouble> {
        let target: Vec<&str> = parameters.iter().map(|(_, value)| value.as_str()).collect();
        let target = (!target.is_empty()).then(|| target.join(" ").chars().take(256).collect());
        let act = Act::of(&caller, format!("{} {}", endpoint.method, endpoint.path), target);
        let prepared = self.prepare(&endpoint, parameters, caller, head, content).await;
        let context = match prepared {
            Ok(context) if !endpoint.changes() => return run(endpoint, context).await,
            Ok(context) => context,
            Err(trouble) => {
                if endpoint.changes() {
                    self.audit.refused(act, &of(&trouble)).await;
                }
                return Err(trouble);
            }
        };
        let begun = self.audit.begin(act).await?;
        // From here on it is done and written down, whether or not anybody waits for the answer.
        let (admin, sent) = (Rc::clone(self), redacted(&context.json));
        let task = tokio::task::spawn_local(async move {
            let result = run(endpoint, context).await;
            let (outcome, detail) = match &result {
                Ok(answer) => (Outcome::Done, answer.audited.clone().unwrap_or(sent)),
                Err(trouble) if trouble.status == StatusCode::INTERNAL_SERVER_ERROR => (Outcome::Failed, of(trouble)),
                Err(trouble) => (Outcome::Refused, of(trouble)),
            };
            admin.audit.end(begun, outcome, &detail).await;
            result
        });
        task.await.unwrap_or_else(|_| Err(internal()))
    }

    /// Everything that is looked at before an endpoint is asked.
    async fn prepare(
        self: &Rc<Self>,
        endpoint: &Endpoint,
        parameters: Vec<(&'static str, String)>,
        caller: Caller,
        head: &Parts,
        content: Body,
    ) -> Result<Context, Trouble> {
        if caller.role < endpoint.role {
            let (has, wants) = (caller.role.as_str(), endpoint.role.as_str());
            return Err(Trouble::forbidden(format!("this needs the role {wants}; {:?} has {has}", caller.name)));
        }
        // A browser shows whom it asks on behalf of; only there something is sent along that the asking page does not know.
        if endpoint.method != Method::GET {
            match origin::site(&head.headers, origin::authority(&head.uri, &head.headers)) {
                Site::Foreign => return Err(pages::foreign()),
                Site::Unsaid if caller.by == By::Session => return Err(pages::foreign()),
                Site::Unsaid | Site::Ours => {}
            }
        }
        let query = target::query(head.uri.query(), &endpoint.query)?;
        let turn = match &endpoint.takes {
            takes if takes.is_large(&content) => {
                let turn = tokio::time::timeout(UPLOAD_PATIENCE, Arc::clone(&self.uploads).acquire_owned()).await;
                let busy = || Trouble::unavailable("busy", "other uploads are under way; try again");
                Some(turn.map_err(|_| busy())?.map_err(|_| busy())?)
            }
            _ => None,
        };
        let (body, json) = body::read(endpoint, &head.headers, content).await?;
        let (admin, headers) = (Rc::clone(self), head.headers.clone());
        Ok(Context { admin, caller, parameters, query, headers, body, json, _turn: turn })
    }
}

/// Longest time that an endpoint may take: what takes longer is stuck.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(300);

/// Asks the endpoint. One that panics or is stuck is a mistake of ours, and costs nobody else an answer.
async fn run(endpoint: Rc<Endpoint>, context: Context) -> Result<Answer, Trouble> {
    let name = format!("{endpoint:?}");
    let task = tokio::task::spawn_local(async move { endpoint.call(context).await });
    match tokio::time::timeout(HANDLER_TIMEOUT, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => {
            tracing::error!(endpoint = name, %error, "an endpoint failed");
            Err(internal())
        }
        Err(_) => {
            tracing::error!(endpoint = name, "an endpoint does not come to an end");
            Err(internal())
        }
    }
}

fn internal() -> Trouble {
    Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "this is a mistake in the gateway; the log says more")
}

/// What the audit log says of a refusal.
fn of(trouble: &Trouble) -> Value {
    let problems: Vec<String> = trouble.problems.iter().take(10).map(|problem| problem.path.clone()).collect();
    json!({ "status": trouble.status.as_u16(), "reason": trouble.reason, "at": problems })
}
