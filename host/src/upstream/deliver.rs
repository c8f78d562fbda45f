//! One request to an upstream: which endpoints are asked, one after the other, until there is a response or no reason to go on.
//!
//! A request is sent a second time only when the first cannot have been acted upon, or when acting twice does no harm
//! (RFC 9110 section 9.2.2).

use super::fleet::{Asking, Fleet};
use super::send::Parcel;
use super::{Sent, Upstream, UpstreamError, Upstreams};
use crate::exchange::{Client, Request};
use crate::http::Body;
use crate::time::{self, Instant};

/// How often a request is sent to another endpoint because one broke off. More would multiply the load of an upstream that is
/// failing already.
const REPEATS_MAX: usize = 2;

impl Upstreams {
    /// Sends a request and waits for the response head. `upstream` is a position in the settings, `client` is who sends it.
    ///
    /// The request's fields are those without hop-by-hop ones; `Host` and the framing are written from `authority` and
    /// `body`. Where an endpoint cannot be reached the next is asked.
    pub async fn send(
        &self,
        upstream: usize,
        client: &Client,
        request: &Request,
        body: Body,
    ) -> Result<Sent, UpstreamError> {
        let started = time::now();
        let upstream = self.list.get(upstream).ok_or(UpstreamError::NoEndpoint)?;
        upstream.deliver(&mut Parcel::new(client, request, body), started).await
    }
}

impl Upstream {
    async fn deliver(&self, parcel: &mut Parcel<'_>, started: Instant) -> Result<Sent, UpstreamError> {
        let fleet = self.fleet();
        let asking = Asking { client: parcel.client, request: parcel.request };
        let (mut tried, mut repeats, mut asked_at) = (Vec::new(), 0, started);
        let mut failed = UpstreamError::NoEndpoint;
        while let Some(index) = fleet.choose(asking, &tried, asked_at) {
            match self.try_one(&fleet, index, parcel, asked_at).await {
                Err(error) if error.is_unsent() => failed = error,
                // It broke off before it said anything. Another endpoint may answer what may be asked twice.
                Err(error @ UpstreamError::Protocol { .. }) if parcel.repeatable && repeats < REPEATS_MAX => {
                    repeats += 1;
                    failed = error;
                }
                Ok(mut sent) => {
                    if let Some(cookie) = fleet.cookie(index, asking) {
                        sent.response.headers.append(::http::header::SET_COOKIE, cookie.clone());
                    }
                    return Ok(sent);
                }
                Err(error) => return Err(error),
            }
            tried.push(index);
            asked_at = time::now();
        }
        Err(failed)
    }

    /// Asks one endpoint and remembers how it did.
    async fn try_one(
        &self,
        fleet: &Fleet,
        index: usize,
        parcel: &mut Parcel<'_>,
        now: Instant,
    ) -> Result<Sent, UpstreamError> {
        let Some(member) = fleet.members().get(index) else { return Err(UpstreamError::NoEndpoint) };
        member.standing.tally.requests.increment();
        let asked = self.ask(&member.standing.pool, parcel, now).await;
        match &asked {
            Ok(sent) => fleet.answered(index, sent.response.status, sent.took, now + sent.took),
            Err(error) => {
                let failed_at = time::now();
                fleet.failed(index, error, failed_at.saturating_duration_since(now), failed_at);
            }
        }
        asked
    }
}
