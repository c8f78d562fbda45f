//! Looking for a stored response, and waiting for one that somebody else fetches.

use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, header};

use super::status::{self, Forward};
use super::{CONDITIONS, Fetch, is_safe, key, serve, take_fields};
use crate::cache::policy::{Asked, Policy, Reuse, reuse};
use crate::cache::{Boarding, Elsewhere, Found, Landing, Lead, Outcome, Stored};
use crate::exchange::{CacheStatus, Failure, Part, Reason, Waits};
use crate::http::Body;
use crate::modes::Mode;
use crate::pipeline::plan::Route;
use crate::pipeline::walk::Walk;
use crate::pipeline::{Pipeline, posture};
use crate::time::{self, Instant};

/// What the cache says to a request.
#[derive(Debug)]
pub(in crate::pipeline) enum Looked {
    /// It has answered; the response is there.
    Answered,
    /// Ask the handler; the cache has nothing to do with it.
    Unused,
    /// Ask the handler, and let nothing of it be stored.
    Around(Forward),
    /// Ask the handler, and let what is stored be forgotten if that succeeds; the last purge before.
    Unsafe(u64),
    /// Ask the handler; its answer may be stored.
    Ask(Box<Fetch>),
}

/// A request while the handler is asked for what the cache wants. Dropped, it is again what the client sent: that is what everybody sees from
/// then on, also where nobody waits for the answer any more.
pub(in crate::pipeline) struct Asking<'w, 'p> {
    /// The exchange.
    pub(in crate::pipeline) walk: &'w mut Walk<'p>,
    /// What the cache has said.
    pub(in crate::pipeline) looked: &'w mut Looked,
}

impl Drop for Asking<'_, '_> {
    fn drop(&mut self) {
        if let Looked::Ask(fetch) = self.looked {
            fetch.give_back(&mut self.walk.exchange.request);
        }
    }
}

/// What is stored, as far as it is good for the request.
enum Candidate {
    /// The exchange has its response.
    Served,
    /// Ask the handler for this reason, and whether this is still right.
    Ask(Forward, Option<Arc<Stored>>),
}

impl Pipeline {
    /// Looks for a stored response.
    pub(in crate::pipeline) async fn look_up(
        self: &Rc<Self>,
        walk: &mut Walk<'_>,
        route: &Route,
        body: &Body,
        mode: Mode,
    ) -> Result<Looked, Failure> {
        let request = &walk.exchange.request;
        if request.upgrade.is_some() || !self.caches {
            return Ok(Looked::Unused);
        }
        if !is_safe(&request.method) {
            return Ok(Looked::Unsafe(self.cache.sequence()));
        }
        let Some(policy) = &route.cache else { return Ok(Looked::Unused) };
        if request.method != Method::GET && request.method != Method::HEAD {
            return Ok(Looked::Around(Forward::Method));
        }
        // The body of a GET means nothing to a cache and may mean something to the upstream (RFC 9110 section 9.3.1).
        if !matches!(body, Body::Empty) {
            return Ok(Looked::Around(Forward::Bypass));
        }
        let key = key::of(route, &walk.exchange);
        let Some(key) = walk.cache_key(key, route.name.as_str().len() + 1)? else {
            walk.exchange.cache = CacheStatus::Bypass;
            return Ok(Looked::Around(Forward::Bypass));
        };
        let headers = &walk.exchange.request.headers;
        if headers.contains_key(header::IF_MATCH) || headers.contains_key(header::IF_UNMODIFIED_SINCE) {
            // Only who has the last word can say whether they hold.
            walk.exchange.cache = CacheStatus::Bypass;
            return Ok(Looked::Around(Forward::Request));
        }
        let mut asked = posture::asked(mode, &self.plan.modes, Asked::read(policy, headers));
        // What no upstream is asked for is served or refused.
        let mode = if mode == Mode::CacheOnly && !route.handler.asks_upstreams() { Mode::ServeStale } else { mode };
        // What may have been purged without our knowing is used only if the upstream says that it is right.
        let now = time::now();
        asked.validate |= self.cache.is_cut_off(now);
        // Before anything is looked at: what is purged from now on must not be stored again.
        let sequence = self.cache.sequence();
        match self.candidate(walk, &key, (&asked, mode), now)? {
            Candidate::Served => {
                walk.exchange.timings.cache = walk.exchange.lap_of(Part::Cache, time::now());
                Ok(Looked::Answered)
            }
            // In a place of its own, so that exchanges that do not wait are not larger for it.
            first @ Candidate::Ask(..) => {
                Box::pin(self.prepare(walk, policy, key, (&asked, mode, now), (first, sequence))).await
            }
        }
    }

    /// Prepares to ask the handler; waits where somebody asks for the same, and serves what comes of that.
    async fn prepare(
        self: &Rc<Self>,
        walk: &mut Walk<'_>,
        policy: &Policy,
        key: String,
        (asked, mode, started): (&Asked, Mode, Instant),
        (mut candidate, mut sequence): (Candidate, u64),
    ) -> Result<Looked, Failure> {
        walk.exchange.waits = Waits::Cache;
        let mut collapsed = false;
        let (mut lock, mut looked_elsewhere) = (None, false);
        let (forward, basis, lead) = loop {
            let (forward, basis) = match candidate {
                Candidate::Served => {
                    walk.exchange.timings.cache = walk.exchange.lap_of(Part::Cache, time::now());
                    return Ok(Looked::Answered);
                }
                Candidate::Ask(forward, basis) => (forward, basis),
            };
            if mode == Mode::CacheOnly {
                return Err(status::unanswered(self.plan.only_stored()));
            }
            if asked.only_if_cached {
                let failure = Failure::new(Reason::NotCached, "nothing is stored that could be used");
                return Err(status::unanswered(failure));
            }
            let request = &walk.exchange.request;
            let alone = request.method != Method::GET
                || request.headers.contains_key(header::RANGE)
                || asked.validate
                || asked.no_store;
            let now = time::now();
            let waited = now.saturating_duration_since(started);
            if alone || collapsed && waited >= policy.wait_max {
                break (forward, basis, None);
            }
            match self.cache.board(&key, now) {
                Boarding::Lead(lead) if looked_elsewhere => break (forward, basis, Some(lead)),
                Boarding::Lead(lead) => {
                    looked_elsewhere = true;
                    let request = &walk.exchange.request;
                    let longest = policy.wait_max.saturating_sub(waited);
                    match self.cache.look_elsewhere(&key, &request.headers, longest).await {
                        Elsewhere::Found => lead.stored(),
                        Elsewhere::Nothing(right) => {
                            lock = right;
                            break (forward, basis, Some(lead));
                        }
                    }
                }
                Boarding::Alone => break (forward, basis, None),
                Boarding::Wait(wait) => {
                    collapsed = true;
                    // Where who fetched has left, one of those who wait does it then.
                    if wait.landed(policy.wait_max.saturating_sub(waited)).await == Landing::Empty {
                        break (forward, basis, None);
                    }
                }
            }
            sequence = self.cache.sequence();
            candidate = self.candidate(walk, &key, (asked, mode), time::now())?;
        };
        let validates = asked.validate || forward == Forward::Request;
        walk.exchange.cache = if validates { CacheStatus::Bypass } else { CacheStatus::Miss };
        walk.exchange.timings.cache = walk.exchange.lap_of(Part::Cache, time::now());
        let no_store = asked.no_store;
        let fetch = Fetch::new(key, key::url(&walk.exchange), forward, sequence);
        let fetch = Fetch { basis, lead, lock, collapsed, no_store, awaited: true, ..fetch };
        Ok(Looked::Ask(Box::new(fetch.prepared(&mut walk.exchange.request))))
    }

    /// Serves what is stored, if it may be.
    fn candidate(
        self: &Rc<Self>,
        walk: &mut Walk<'_>,
        key: &str,
        (asked, mode): (&Asked, Mode),
        now: Instant,
    ) -> Result<Candidate, Failure> {
        let exchange = &mut *walk.exchange;
        let stored = match self.cache.find(key, &exchange.request.headers, now) {
            Found::Stored(stored) => stored,
            Found::OtherVariants => return Ok(Candidate::Ask(Forward::VaryMiss, None)),
            Found::Nothing => return Ok(Candidate::Ask(Forward::UriMiss, None)),
        };
        if asked.no_store {
            return Ok(Candidate::Ask(Forward::Request, None));
        }
        let facts = stored.facts(now);
        let reused = reuse(&facts, asked);
        if reused == Reuse::Validated {
            let wanted = asked.validate || !facts.ttl.is_zero() && !facts.validate;
            let forward = if wanted { Forward::Request } else { Forward::Stale };
            return Ok(Candidate::Ask(forward, Some(stored)));
        }
        let answer = serve::answer(&exchange.request, &stored, now);
        let Some(mut response) = answer.map_err(status::unanswered)? else {
            return Ok(Candidate::Ask(Forward::Partial, Some(stored)));
        };
        let outcome = match reused {
            Reuse::Fresh => {
                status::hit(&mut response.headers, facts.ttl);
                Outcome::Hit
            }
            _ => {
                let detail = matches!(mode, Mode::ServeStale | Mode::CacheOnly).then_some(mode.as_str());
                status::stale_hit(&mut response.headers, facts.staleness, detail);
                Outcome::Stale
            }
        };
        exchange.response = Some(response);
        exchange.cache = CacheStatus::Hit;
        self.count(walk.route, outcome);
        // Whoever is served something stale by the mode does not wait, but the next ones are to have something newer.
        let renews = reused == Reuse::Stale && mode == Mode::ServeStale;
        if (reused == Reuse::WhileRevalidating || renews || stored.wants_refresh(now)) && mode != Mode::CacheOnly {
            self.refresh(walk, key, stored);
        }
        Ok(Candidate::Served)
    }

    /// Who is to fetch something in the background, unless somebody does already.
    pub(super) fn lead_alone(&self, key: &str) -> Option<Lead> {
        match self.cache.board(key, time::now()) {
            Boarding::Lead(lead) => Some(lead),
            Boarding::Wait(_) | Boarding::Alone => None,
        }
    }
}

impl Fetch {
    /// A fetch that nobody asked for but the cache.
    pub(super) fn in_background((key, url): (&str, &str), basis: Arc<Stored>, lead: Lead, sequence: u64) -> Self {
        let fetch = Self::new(key.to_owned(), url.to_owned(), Forward::Stale, sequence);
        Self { basis: Some(basis), lead: Some(lead), ..fetch }
    }

    fn new(key: String, url: String, forward: Forward, sequence: u64) -> Self {
        Self {
            key,
            url,
            forward,
            sequence,
            basis: None,
            withheld: HeaderMap::new(),
            lead: None,
            lock: None,
            collapsed: false,
            completing: false,
            no_store: false,
            awaited: false,
        }
    }

    /// Makes of the request that is sent the client's again.
    fn give_back(&mut self, request: &mut crate::exchange::Request) {
        let changed = !self.withheld.is_empty() || self.basis.is_some();
        if changed && request.method == Method::GET {
            for name in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::RANGE, header::IF_RANGE] {
                request.headers.remove(name);
            }
            request.headers.extend(std::mem::take(&mut self.withheld));
        }
    }

    /// Makes of the client's request the one that is sent: it asks for what can be stored, and whether what is stored is still right.
    pub(super) fn prepared(mut self, request: &mut crate::exchange::Request) -> Self {
        let headers = &mut request.headers;
        let asks_part = headers.contains_key(header::RANGE);
        // What is not stored anyway is asked for as the client did.
        if self.no_store || request.method == Method::GET && self.lead.is_none() && self.basis.is_none() {
            return self;
        }
        match &self.basis {
            Some(basis) if basis.part().is_some() => {
                if let Some((range, tag)) =
                    serve::rest_of(basis).filter(|_| !asks_part && request.method == Method::GET)
                {
                    self.withheld = take_fields(headers, &CONDITIONS);
                    headers.insert(header::RANGE, range);
                    headers.insert(header::IF_RANGE, tag);
                    self.completing = true;
                } else {
                    self.basis = None;
                }
            }
            // What is still growing is fetched anew.
            Some(basis) if basis.whole().is_none() => self.basis = None,
            Some(basis) if request.method == Method::GET => {
                let all = [CONDITIONS.as_slice(), &[header::RANGE, header::IF_RANGE]].concat();
                self.withheld = take_fields(headers, &all);
                let mut copy = |from: &header::HeaderName, to: &header::HeaderName| {
                    let value: Option<HeaderValue> = basis.headers().get(from).cloned();
                    headers.extend(value.map(|value| (to.clone(), value)));
                };
                copy(&header::ETAG, &header::IF_NONE_MATCH);
                copy(&header::LAST_MODIFIED, &header::IF_MODIFIED_SINCE);
            }
            Some(_) => {}
            None if !asks_part && request.method == Method::GET => self.withheld = take_fields(headers, &CONDITIONS),
            None => {}
        }
        self
    }
}
