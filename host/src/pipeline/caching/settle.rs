//! What came of asking the handler: it is stored, what is stored is renewed, or used instead.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderValue, Method, StatusCode, header};

use super::status::{self, Came, Forward};
use super::{Fetch, Looked, key, serve, unsafely};
use crate::cache::policy::{self, Policy, Storing};
use crate::cache::{Admission, Lead, Lock, Outcome, Recording, Stale, Stored, Trouble};
use crate::exchange::{CacheStatus, Credentials, Exchange, Failure, Fault, Reason, Response};
use crate::http::Body;
use crate::pipeline::Pipeline;
use crate::pipeline::plan::Route;
use crate::pipeline::walk::Walk;
use crate::plugin::AdmitVerdict;
use crate::time;

impl Pipeline {
    /// Makes of what the handler gave the response, and stores what may be stored.
    pub(in crate::pipeline) fn settle(
        self: &Rc<Self>,
        walk: &mut Walk<'_>,
        route: &Route,
        looked: Looked,
        handled: Result<(), Failure>,
    ) -> Result<(), Failure> {
        let policy = route.cache.as_deref();
        match (looked, policy) {
            (Looked::Ask(fetch), Some(policy)) => self.settle_fetch(walk, policy, *fetch, handled),
            (Looked::Unsafe(sequence), _) => {
                let told = |failure| match policy {
                    Some(_) => status::failed(failure, Forward::Method, Came::default()),
                    None => failure,
                };
                handled.map_err(told)?;
                let undisturbed = self.forget_changed(&walk.exchange, sequence);
                if let Some(policy) = policy {
                    let stored = match undisturbed {
                        Some(sequence) => self.store_what_get_brings(walk, route, policy, sequence)?,
                        None => None,
                    };
                    tell(&mut walk.exchange, Forward::Method, Came { stored, ..Came::default() });
                }
                Ok(())
            }
            (Looked::Around(forward), _) => {
                self.count(walk.route, Outcome::Bypass);
                handled.map_err(|failure| status::failed(failure, forward, Came::default()))?;
                tell(&mut walk.exchange, forward, Came::default());
                Ok(())
            }
            (Looked::Answered | Looked::Unused | Looked::Ask(_), _) => handled,
        }
    }

    fn settle_fetch(
        self: &Rc<Self>,
        walk: &mut Walk<'_>,
        policy: &Policy,
        mut fetch: Fetch,
        handled: Result<(), Failure>,
    ) -> Result<(), Failure> {
        let exchange = &mut *walk.exchange;
        let now = time::now();
        let status = match (&handled, &exchange.response) {
            (Ok(()), Some(response)) => Some(response.status),
            _ => None,
        };
        let trouble = match &handled {
            Err(failure) if gives_no_answer(failure) => Some((Trouble::NoAnswer, failure.reason.as_str())),
            Ok(()) if status.is_some_and(is_error) => Some((Trouble::Answer, "stale_if_error")),
            _ => None,
        };
        // Whoever waits for it may have luck, but need not have it one after the other.
        let fail = |lead: &mut Option<Lead>| lead.take().into_iter().for_each(Lead::failed);
        if handled.is_err() {
            fail(&mut fetch.lead);
        }
        if let (Some((trouble, detail)), Some(basis)) = (trouble, &fetch.basis)
            && basis.replaces_error(now, trouble)
            && let Some(response) = serve::answer(&exchange.request, basis, now)?
        {
            fail(&mut fetch.lead);
            exchange.response = Some(response);
            exchange.cache = CacheStatus::Hit;
            let came = Came { status, detail: Some(detail), collapsed: fetch.collapsed, ..Came::default() };
            tell(exchange, fetch.forward, came);
            self.count(walk.route.filter(|_| fetch.awaited), Outcome::Stale);
            return Ok(());
        }
        let outcome = match (status, &fetch.basis) {
            (Some(StatusCode::NOT_MODIFIED), Some(_)) if !fetch.completing => Outcome::Revalidated,
            _ if exchange.cache == CacheStatus::Bypass => Outcome::Bypass,
            _ => Outcome::Miss,
        };
        self.count(walk.route.filter(|_| fetch.awaited), outcome);
        let came = Came { collapsed: fetch.collapsed, ..Came::default() };
        handled.map_err(|failure| status::failed(failure, fetch.forward, came))?;
        if exchange.request.method == Method::HEAD {
            self.settle_head(walk, policy, &fetch);
            return Ok(());
        }
        match (status, fetch.basis.clone()) {
            (Some(StatusCode::NOT_MODIFIED), Some(basis)) if !fetch.completing => {
                self.renew(walk, policy, fetch, &basis)
            }
            (Some(StatusCode::PARTIAL_CONTENT), Some(basis)) if fetch.completing => {
                self.complete(walk, policy, fetch, &basis)
            }
            _ => {
                self.store(walk, policy, fetch);
                Ok(())
            }
        }
    }

    /// Stores what came, where HTTP or a plugin says so, and answers with it.
    fn store(&self, walk: &mut Walk<'_>, policy: &Policy, fetch: Fetch) {
        let Fetch { key, url, forward, lead, lock, sequence, collapsed, no_store, .. } = fetch;
        let admission = if no_store { None } else { self.admission(walk, policy) };
        let exchange = &mut *walk.exchange;
        let Some(response) = exchange.response.take() else { return };
        let (status, now) = (response.status, time::now());
        let place = (&*key, &*url, sequence);
        let (mut response, stored) = self.record(exchange, policy, place, (admission, lock), response);
        match (lead, stored) {
            (Some(lead), Some(_)) => lead.stored(),
            (Some(lead), None) => lead.pass(now + policy.pass_for),
            (None, _) => {}
        }
        response = serve::unless_known(&exchange.request, response);
        exchange.response = Some(response);
        tell(exchange, forward, Came { status: Some(status), stored, collapsed, detail: None });
    }

    /// Stores a response while it goes by, if it is admitted. Gives for how long it is fresh then.
    fn record(
        &self,
        exchange: &Exchange,
        policy: &Policy,
        (key, url, sequence): (&str, &str, u64),
        (admission, lock): (Option<Admission>, Option<Lock>),
        response: Response,
    ) -> (Response, Option<Duration>) {
        let Some(admission) = admission else { return (response, None) };
        let (ttl, request, namespace) = (admission.ttl, &exchange.request.headers, &*policy.namespace);
        let now = time::now();
        let recording = Recording { key, admission, url, namespace, request, sequence, now, lock };
        let (response, stored) = self.cache.record(recording, response);
        (response, stored.then_some(ttl))
    }

    /// What is stored is still right: its fields are renewed, and it is the answer (RFC 9111 section 4.3.4).
    fn renew(&self, walk: &mut Walk<'_>, policy: &Policy, fetch: Fetch, basis: &Arc<Stored>) -> Result<(), Failure> {
        let now = time::now();
        let exchange = &mut *walk.exchange;
        let Some(answer) = exchange.response.take() else { return Ok(()) };
        let body = basis.response(now).body;
        let admission = if basis.is_meant_by(&answer.headers) {
            let headers = basis.updated(&answer.headers, http_date());
            exchange.response = Some(Response { status: basis.status(), headers, body });
            self.admission(walk, policy)
        } else {
            // It speaks of something else. What was asked about is not trusted again.
            self.cache.take_out(&fetch.key, basis);
            exchange.response = Some(basis.response(now));
            None
        };
        let exchange = &mut *walk.exchange;
        let Some(response) = exchange.response.take() else { return Ok(()) };
        let renewed = admission.and_then(|admission| {
            let place = (&*fetch.url, &*policy.namespace, fetch.sequence);
            basis.renewed(admission, &exchange.request.headers, &response.headers, place, now)
        });
        let stored = renewed.map(|renewed| {
            let (ttl, renewed) = (renewed.ttl(now), Arc::new(renewed));
            self.cache.insert(&fetch.key, Arc::clone(&renewed), fetch.lock);
            (ttl, renewed)
        });
        if let Some(lead) = fetch.lead {
            if stored.is_some() { lead.stored() } else { lead.pass(now + policy.pass_for) }
        }
        exchange.response = match &stored {
            Some((_, renewed)) => serve::answer(&exchange.request, renewed, now).map_err(status::unanswered)?,
            None => Some(serve::unless_known(&exchange.request, response)),
        };
        exchange.cache = CacheStatus::Hit;
        let came = Came {
            status: Some(StatusCode::NOT_MODIFIED),
            stored: stored.map(|(ttl, _)| ttl),
            collapsed: fetch.collapsed,
            detail: None,
        };
        tell(exchange, fetch.forward, came);
        Ok(())
    }

    /// The rest of what is stored has come: both together are the answer (RFC 9111 section 3.4).
    fn complete(&self, walk: &mut Walk<'_>, policy: &Policy, fetch: Fetch, basis: &Arc<Stored>) -> Result<(), Failure> {
        let exchange = &mut *walk.exchange;
        let Some(rest) = exchange.response.take() else { return Ok(()) };
        let (Some((_, bytes, size)), true) = (basis.part(), serve::is_rest_of(basis, &rest.headers)) else {
            // Of another version, or another part: nothing that the client asked for.
            self.cache.take_out(&fetch.key, basis);
            return Err(Failure::new(Reason::UpstreamProtocol, "another part than the one that was asked for"));
        };
        let mut headers = basis.updated(&rest.headers, http_date());
        headers.remove(header::CONTENT_RANGE);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
        let body = Body::in_order(vec![Body::from(bytes.clone()), rest.body]);
        exchange.response = Some(Response { status: StatusCode::OK, headers, body });
        self.store(walk, policy, fetch);
        Ok(())
    }

    /// An answer to HEAD tells of what is stored whether it is still right (RFC 9111 section 4.3.5).
    fn settle_head(&self, walk: &mut Walk<'_>, policy: &Policy, fetch: &Fetch) {
        let Some(response) = walk.exchange.response.take() else { return };
        let came = Came { status: Some(response.status), collapsed: fetch.collapsed, ..Came::default() };
        if let (Some(basis), StatusCode::OK) = (&fetch.basis, response.status)
            && basis.whole().is_some()
        {
            let now = time::now();
            let headers = basis.updated(&response.headers, http_date());
            let place = (&*fetch.url, &*policy.namespace, fetch.sequence);
            let admission = match basis.is_same_version(&response.headers) {
                true => {
                    // What is stored is what plugins have a say in, and what it is purged by.
                    let renewed = Response { status: basis.status(), headers: headers.clone(), body: Body::Empty };
                    walk.exchange.response = Some(renewed);
                    self.admission(walk, policy)
                }
                false => None,
            };
            let request = &walk.exchange.request.headers;
            match admission.and_then(|one| basis.renewed(one, request, &headers, place, now)) {
                Some(renewed) => self.cache.insert(&fetch.key, Arc::new(renewed), None),
                None => self.cache.take_out(&fetch.key, basis),
            }
        }
        walk.exchange.response = Some(response);
        tell(&mut walk.exchange, fetch.forward, came);
    }

    /// Stores an answer to POST that is what GET would bring. Gives for how long it is fresh.
    fn store_what_get_brings(
        &self,
        walk: &mut Walk<'_>,
        route: &Route,
        policy: &Policy,
        sequence: u64,
    ) -> Result<Option<Duration>, Failure> {
        if !unsafely::is_what_get_brings(&walk.exchange) {
            return Ok(None);
        }
        let (key, url) = (key::of(route, &walk.exchange), key::url(&walk.exchange));
        let Some(key) = walk.cache_key(key, route.name.as_str().len() + 1)? else { return Ok(None) };
        // Plugins have their say, and purges find it, as if it had come to GET.
        let admission = self.admission(walk, policy).filter(|admission| !admission.ttl.is_zero());
        let exchange = &mut *walk.exchange;
        let Some(response) = exchange.response.take() else { return Ok(None) };
        let (response, stored) = self.record(exchange, policy, (&key, &url, sequence), (admission, None), response);
        exchange.response = Some(response);
        Ok(stored)
    }

    /// What HTTP and the plugins say about storing the response.
    fn admission(&self, walk: &mut Walk<'_>, policy: &Policy) -> Option<Admission> {
        let verdict = walk.cache_admit();
        let exchange = &*walk.exchange;
        let response = exchange.response.as_ref()?;
        let by_http = by_http(exchange, policy, response);
        match verdict {
            AdmitVerdict::NoStore => None,
            // A plugin that could not see the credentials cannot have meant to share what they brought.
            AdmitVerdict::Store(_) if hides_credentials(exchange) && by_http.is_none() => None,
            AdmitVerdict::Store(told) => {
                let mut tags = named_tags(response);
                tags.extend(told.tags.into_iter().map(String::into_boxed_str));
                let forbidden = by_http.as_ref().is_some_and(|admission| admission.stale.forbidden);
                let withheld = by_http.map(|admission| admission.withheld).unwrap_or_default();
                let (while_revalidate, if_error) = (told.stale_while_revalidate, told.stale_if_error);
                let forbidden = forbidden && while_revalidate.is_zero() && if_error.is_zero();
                let unreachable = if forbidden { Duration::ZERO } else { policy.stale_if_unreachable };
                let stale = Stale { while_revalidate, if_error, if_unreachable: if_error.max(unreachable), forbidden };
                let refresh_ahead = told.refresh_ahead;
                Some(Admission { ttl: told.ttl, stale, refresh_ahead, withheld, tags, ..Admission::default() })
            }
            AdmitVerdict::Next => by_http.map(|admission| Admission { tags: named_tags(response), ..admission }),
        }
    }
}

/// The names that the upstream gave a response: `Surrogate-Key`, divided by blanks, and `Cache-Tag`, divided by commas.
fn named_tags(response: &Response) -> Vec<Box<str>> {
    let of = |name: &str| -> Vec<&str> {
        response.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    };
    let (keys, tags) = (of("surrogate-key"), of("cache-tag"));
    let keys = keys.iter().flat_map(|line| line.split_ascii_whitespace());
    let tags = tags.iter().flat_map(|line| line.split(',')).map(str::trim).filter(|tag| !tag.is_empty());
    keys.chain(tags).take(TAGS_MAX).map(Into::into).collect()
}

/// Most tags of one response.
const TAGS_MAX: usize = 256;

fn tell(exchange: &mut Exchange, forward: Forward, came: Came) {
    if let Some(response) = &mut exchange.response {
        status::forwarded(&mut response.headers, forward, came);
    }
}

/// Whether the upstream gave no answer that anything could be made of.
fn gives_no_answer(failure: &Failure) -> bool {
    failure.reason.fault() == Fault::Upstream
}

/// Statuses that stand for an error of the upstream (RFC 5861 section 4).
fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

fn http_date() -> HeaderValue {
    let text = httpdate::fmt_http_date(UNIX_EPOCH + time::unix());
    // A date always is a field value.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// Whether the client sent `Authorization` and a plugin has removed it, so that the upstream and later plugins do not see it.
fn hides_credentials(exchange: &Exchange) -> bool {
    exchange.credentials == Credentials::Sent && !exchange.request.headers.contains_key(header::AUTHORIZATION)
}

/// What HTTP says about storing a response. Credentials count even where a plugin has removed them (RFC 9111 section 3.5).
fn by_http(exchange: &Exchange, policy: &Policy, response: &Response) -> Option<Admission> {
    let mut headers = Cow::Borrowed(&exchange.request.headers);
    if hides_credentials(exchange) {
        headers.to_mut().insert(header::AUTHORIZATION, HeaderValue::from_static("removed"));
    }
    let storing = Storing {
        method: &Method::GET,
        request: &headers,
        status: response.status,
        response: &response.headers,
        now: time::unix(),
        took: exchange.timings.upstream,
    };
    policy::admission(policy, &storing).ok()
}
