//! The path of a request: one function, one line per step.
//!
//! A [`Pipeline`] is one worker's view of one generation: the shared [`Plan`], the worker's own lanes into the plugins and its own
//! connections. It decides the order of things and nothing else; every step lives in a room of its own.

mod settings;

mod plan;

mod admit;
mod caching;
mod challenge;
mod courtesy;
mod edits;
mod encode;
mod files;
mod handler;
mod mirror;
mod posture;
mod protect;
mod rescue;
mod rewrite;
mod split;
mod vigil;
mod walk;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::cache::{Cache, Outcomes};
use crate::exchange::{Client, Exchange, Failure, Held, Reason, Response};
use crate::files::Files;
use crate::http::{Body, BodyEnd, BodyOutcome, RequestIds, merged_slashes};
use crate::modes::{self, Mode};
use crate::names::Hook;
use crate::plugin::{Lane, Summary, Visit};
use crate::router::{Asked, Routed};
use crate::shutdown::Draining;
use crate::telemetry::{End, Recorder};
use crate::time;
use crate::traffic::concurrency::Concurrency;
use crate::traffic::{Gate, give_back};
use crate::upstream::Upstreams;

use admit::Admitted;
use caching::{Asking, Looked};
pub use edits::{Edits, FieldPart, FieldText};
pub use encode::Compression;
use mirror::Copies;
pub use plan::{Chain, Plan, Route};
pub use rewrite::{Subject, rewritten};
pub use settings::{Handler, Mirror, Proxy, RedirectPart, RedirectTarget, Rewrite, Share, SplitBy};
use split::Dealer;
use vigil::Vigil;
use walk::{Flow, Walk};

/// One worker's way to answer requests in one generation.
pub struct Pipeline {
    plan: Arc<Plan>,
    /// One per plugin of the plan, with the same indices.
    lanes: Vec<Rc<Lane>>,
    /// One per route of the plan that answers with files, with the same indices.
    files: Vec<Option<Files>>,
    upstreams: Rc<Upstreams>,
    cache: Arc<Cache>,
    gate: Rc<Gate>,
    ids: Rc<RequestIds>,
    recorder: Rc<Recorder>,
    draining: Draining,
    dealer: Dealer,
    copies: Copies,
    /// Whether any route caches.
    caches: bool,
    /// Whether any route limits the heads of requests.
    measures_heads: bool,
    /// How requests fare at the cache, by route; none where it does not cache.
    outcomes: Vec<Option<Arc<Outcomes>>>,
    /// How many requests may be under way, by route; none where any number may.
    concurrency: Vec<Option<Rc<Concurrency>>>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pipeline({} routes, {} plugins)", self.plan.routes.len(), self.lanes.len())
    }
}

impl Pipeline {
    /// A worker's pipeline for a plan, keeping the lanes of `before` into plugins that are still the same.
    pub fn new(
        plan: Arc<Plan>,
        before: Option<&Self>,
        upstreams: Rc<Upstreams>,
        cache: Arc<Cache>,
        gate: Rc<Gate>,
        (ids, recorder, draining): (Rc<RequestIds>, Rc<Recorder>, Draining),
    ) -> Self {
        let known = before.map_or(&[][..], |before| &before.lanes);
        let lane = |plugin| {
            let same = known.iter().find(|lane| Arc::ptr_eq(lane.loaded(), plugin));
            same.map_or_else(|| Rc::new(Lane::new(Arc::clone(plugin))), Rc::clone)
        };
        let lanes = plan.plugins.iter().map(lane).collect();
        let copies = before.map(|before| before.copies.clone()).unwrap_or_default();
        let files = files::of(&plan);
        let caches = plan.routes.iter().any(|route| route.cache.is_some());
        let measures_heads = protect::measures_heads(&plan);
        let outcomes = caching::outcomes(&plan, before, &cache);
        let concurrency = protect::concurrency(&plan, before);
        let dealer = Dealer::default();
        Self {
            plan,
            lanes,
            files,
            upstreams,
            cache,
            gate,
            ids,
            recorder,
            draining,
            dealer,
            copies,
            caches,
            measures_heads,
            outcomes,
            concurrency,
        }
    }

    /// Answers one request.
    pub async fn handle(self: &Rc<Self>, client: &Arc<Client>, request: http::Request<Body>) -> http::Response<Body> {
        // Before anything of ours can be in the way: a CA has asked us to show this.
        if let Some(response) = challenge::answer(&request) {
            return response;
        }
        // In every mode and under any load: who asks for health must hear of it.
        if let Some(response) = self.plan.health.as_ref().and_then(|public| posture::health(public, client, &request)) {
            return response;
        }
        // Here, because the memory of a worker goes back to the system only through the worker.
        if self.gate.wants_room() {
            self.cache.shrink();
            give_back();
        }
        let Admitted { exchange, body, refused } = self.admit(client, request);
        // Asked after admission, so that who is turned away has an id and a line in the log like anybody else.
        if let Err(unwelcome) = self.gate.receive(exchange.client.address, exchange.started) {
            return self.turn_away(client, exchange, &unwelcome);
        }
        let (lanes, chain) = (&self.lanes[..], &self.plan.gateway);
        let mut walk = Walk { exchange, visit: Visit::default(), lanes, chain, route: None, failed: Vec::new() };
        let answered = match (refused, self.gate.enter()) {
            (Some(failure), _) => Err(failure),
            (None, Err(refusal)) => Err(Failure::new(Reason::Overload, refusal.to_string())),
            (None, Ok(_pass)) => {
                // The only step that waits, so that here the client may go away.
                let vigil = Vigil::over(self, &mut walk);
                let answered = self.answer(vigil.walk, body).await;
                match vigil.ends(answered) {
                    Some(answered) => answered,
                    None => return vigil::nobody(),
                }
            }
        };
        if let Err(failure) = answered {
            walk.rescue(&failure);
        }
        walk.post_handler();
        if let Some(route) = walk.route.and_then(|route| self.plan.routes.get(route)) {
            route.response_edits.edit_response(&mut walk.exchange);
            if let Some(compression) = &route.compression {
                encode::encode(compression, &mut walk.exchange);
            }
        }
        self.watch(&walk.exchange);
        self.finish(walk)
    }

    /// Answers what could not be read as a request. No plugin sees it: there is nothing it could rely on.
    pub fn refuse(&self, client: &Arc<Client>, failure: &Failure) -> http::Response<Body> {
        let response = self.answer_alone(Held::new(self.blank(client)), failure);
        self.gate.saw(client.address, response.status(), time::now());
        response
    }

    /// The steps from an admitted request to a response in the exchange.
    async fn answer<'p>(self: &'p Rc<Self>, walk: &mut Walk<'p>, body: Body) -> Result<(), Failure> {
        // Once, so that the whole exchange goes by one mode.
        let mode = modes::switch().mode();
        self.plan.admit_in(mode, &walk.exchange)?;
        // What has nothing to do with any route comes first.
        if let Some(response) = courtesy::answer(&walk.exchange)? {
            walk.exchange.response = Some(response);
            return Ok(());
        }
        // Gateway-wide plugins may rewrite the request before it is decided which route it is, or answer.
        if walk.pre_route()? == Flow::Answered {
            return Ok(());
        }
        // From here on the route's own plugins run, with the route's own configuration.
        let route = self.route(walk)?;
        walk.chain = &route.chain;
        // Before any plugin of the route works for who may not come to it.
        protect::admit(route, &walk.exchange)?;
        // Authentication lives here: nothing behind this line is reached by those who may not pass.
        if walk.pre_handler().await? == Flow::Answered {
            return Ok(());
        }
        // What plugins have found out can be told to the upstream, and what caches distinguish is what it will see.
        route.request_edits.edit_request(&mut walk.exchange);
        // A fresh stored response is the handler's answer; plugins on the way out see it like any other.
        let mut looked = self.look_up(walk, route, &body, mode).await?;
        if matches!(looked, Looked::Answered) {
            return Ok(());
        }
        if mode == Mode::CacheOnly && route.handler.asks_upstreams() {
            return Err(self.plan.only_stored());
        }
        let asking = Asking { walk, looked: &mut looked };
        let handled = self.handle_with(asking.walk, route, body).await;
        drop(asking);
        // What the handler gave is stored before any plugin dresses it for this client; where it failed, what is stored may do.
        self.settle(walk, route, looked, handled)
    }

    /// Finds the route.
    fn route<'p>(&'p self, walk: &mut Walk<'p>) -> Result<&'p Route, Failure> {
        let exchange = &mut *walk.exchange;
        let request = &exchange.request;
        let path = merged_slashes(request.target.path());
        let asked = Asked {
            host: &request.authority,
            path: &path,
            query: request.target.query(),
            method: &request.method,
            headers: &request.headers,
            scheme: exchange.client.scheme,
            client: exchange.client.address.ip(),
        };
        let found = match self.plan.router.find(&asked) {
            Routed::Found { route, parameters } => {
                walk.route = Some(route);
                self.plan.routes.get(route).map(|route| (route, parameters))
            }
            Routed::NotFound => None,
            Routed::MethodNotAllowed { allow } => {
                let detail = format!("{} is not among {allow}", request.method);
                let failure = Failure::new(Reason::MethodNotAllowed, detail);
                // The names of methods always are a field value.
                return Err(match HeaderValue::try_from(allow) {
                    Ok(allow) => failure.with(header::ALLOW, allow),
                    Err(_) => failure,
                });
            }
        };
        let Some((route, parameters)) = found else {
            return Err(Failure::new(Reason::NoRoute, "no route matches host and path"));
        };
        exchange.parameters = parameters;
        exchange.route = Some(route.name.clone());
        exchange.timings.routing = exchange.lap(time::now());
        self.recorder.spans().routed(exchange);
        Ok(route)
    }

    /// Hands the response to the connection, and the exchange to the `post-response` hooks when the last byte has gone.
    fn finish(self: &Rc<Self>, walk: Walk<'_>) -> http::Response<Body> {
        let Walk { mut exchange, mut visit, chain, route, failed, .. } = walk;
        let later = !chain.callers(Hook::PostResponse).is_empty();
        let Response { status, headers, mut body } = exchange
            .response
            .take()
            .unwrap_or_else(|| rescue::response(&Failure::new(Reason::Internal, "no step gave a response"), &exchange));
        if !later {
            self.keep(&mut exchange, status, &headers);
            let mut response = http::Response::new(self.recorded(exchange, route, status, body));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            return response;
        }
        // Only here, where a plugin looks at it later, is the head copied.
        exchange.response = Some(Response { status, headers: headers.clone(), body: Body::Empty });
        self.keep_callers(&mut visit, chain);
        let pipeline = Rc::clone(self);
        let head = time::now().saturating_duration_since(exchange.started);
        body = body.observed(move |ended| {
            let end = end(&exchange, route, status, head, ended);
            pipeline.account(Over { exchange, visit, route, failed }, end);
        });
        let mut response = http::Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    /// Of the instances of a visit only those stay that `post-response` is called in.
    fn keep_callers(&self, visit: &mut Visit, chain: &Chain) {
        visit.keep_only(chain.callers(Hook::PostResponse).iter().filter_map(|index| Some(&**self.lanes.get(*index)?)));
    }

    /// Records how an exchange ended, and has its `post-response` hooks called.
    fn account(self: Rc<Self>, over: Over, end: End) {
        let Over { mut exchange, visit, route, failed } = over;
        self.recorder.ended(&exchange, &end);
        let summary = Summary { body_bytes: end.body_bytes, duration: end.duration, complete: end.complete };
        // On a task of its own, so that the connection's work is not held up.
        tokio::task::spawn_local(async move {
            // What lies between the last step and now was sending, and no plugin's time.
            exchange.lap(time::now());
            // What has been told already.
            exchange.trace.iter_mut().for_each(|trace| trace.forget_steps());
            let (lanes, chain) = (&self.lanes[..], self.chain(route));
            let mut walk = Walk { exchange, visit, lanes, chain, route, failed };
            walk.post_response(summary);
            self.recorder.spans().went_on(&walk.exchange, &end);
        });
    }

    /// Keeps of a head what is recorded at the end, if anything is.
    fn keep(&self, exchange: &mut Exchange, status: StatusCode, headers: &HeaderMap) {
        if let Some(headers) = self.recorder.kept(headers) {
            exchange.response = Some(Response { status, headers, body: Body::Empty });
        }
    }

    /// The body of a response, at the end of which it is recorded how the exchange ended.
    fn recorded(&self, exchange: Held, route: Option<usize>, status: StatusCode, body: Body) -> Body {
        let recorder = Rc::clone(&self.recorder);
        let head = time::now().saturating_duration_since(exchange.started);
        body.observed(move |ended| recorder.ended(&exchange, &end(&exchange, route, status, head, ended)))
    }
}

/// An exchange that has ended, for the hooks that are called behind it.
struct Over {
    exchange: Held,
    visit: Visit,
    route: Option<usize>,
    failed: Vec<u32>,
}

/// How an exchange ended whose response has been handed on.
fn end(exchange: &Exchange, route: Option<usize>, status: StatusCode, head: Duration, ended: BodyEnd) -> End {
    let duration = time::now().saturating_duration_since(exchange.started);
    // The body of an answer to HEAD is never asked for (RFC 9110 section 9.3.2).
    let complete = ended.outcome == BodyOutcome::Complete || exchange.request.method == Method::HEAD;
    End { route, status, body_bytes: ended.bytes, head: Some(head), duration, complete }
}
