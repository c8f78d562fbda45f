//! One request to an upstream: which endpoints are asked, one after the other, until there is a response or no reason to go on.
//!
//! A request is sent a second time only when the first cannot have been acted upon, or when acting twice does no harm
//! (RFC 9110 section 9.2.2). First every endpoint is asked once; asked again, after a wait, they are only where the
//! configuration says so.

use std::rc::Rc;
use std::time::Duration;

use super::fleet::{Asking, Fleet};
use super::guard::{self, Breaker, Cause, Line, Outcome, Pass, Trigger, Turn};
use super::send::Parcel;
use super::{Sent, Upstream, UpstreamError, Upstreams};
use crate::exchange::{Client, Request};
use crate::http::Body;
use crate::time::{self, Instant};

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
        let admission = upstream.admit(started)?;
        let guards = &upstream.settings.guards;
        upstream.budget.deposit(guards.retries.budget);
        let mut parcel = Parcel::new(client, request, body, (&guards.retries, upstream.settings.wire.protocol));
        let sent = match guards.total_timeout {
            None => upstream.deliver(&mut parcel, started).await,
            Some(timeout) => Box::pin(upstream.deliver_within(&mut parcel, started, timeout)).await,
        };
        if let Some(admission) = admission {
            admission.settle(sent.as_ref().map(|sent| sent.response.status), started);
        }
        sent
    }
}

/// What was tried so far.
#[derive(Default)]
struct Trail {
    /// Endpoints that were asked in this round.
    tried: Vec<usize>,
    /// Whether one of them had all the connections it may have.
    busy: bool,
    /// Rounds before this one.
    rounds: u32,
    /// Tries that count.
    retries: u32,
    /// For how long an endpoint asked to be left alone.
    pause: Duration,
    /// Until when it waits for a connection, once it does.
    pending_until: Option<Instant>,
    /// The last failure.
    failed: Option<UpstreamError>,
}

impl Upstream {
    async fn deliver(&self, parcel: &mut Parcel<'_>, started: Instant) -> Result<Sent, UpstreamError> {
        let mut fleet = self.fleet();
        let asking = Asking { client: parcel.client, request: parcel.request };
        let (mut trail, mut asked_at) = (Trail::default(), started);
        if self.queue.len() > 0 {
            // Nobody overtakes those that wait.
            Box::pin(self.pend(&mut trail)).await?;
            asked_at = time::now();
        }
        loop {
            let Some(index) = fleet.choose(asking, &trail.tried, asked_at) else {
                Box::pin(self.start_over(&fleet, &mut trail)).await?;
                (fleet, asked_at) = (self.fleet(), time::now());
                continue;
            };
            let mut tried = self.try_one(&fleet, index, parcel, asked_at).await;
            let cause = self.cause(&tried);
            if cause != Cause::Final {
                trail.tried.push(index);
            }
            if cause == Cause::Final || !self.goes_on(cause, tried.as_ref().ok(), &fleet, parcel, &mut trail) {
                if let Ok(sent) = &mut tried
                    && let Some(cookie) = fleet.cookie(index, asking)
                {
                    sent.response.headers.append(::http::header::SET_COOKIE, cookie.clone());
                }
                return tried;
            }
            trail.failed = tried.err();
            asked_at = time::now();
        }
    }

    /// The same within a total time.
    async fn deliver_within(
        &self,
        parcel: &mut Parcel<'_>,
        started: Instant,
        timeout: Duration,
    ) -> Result<Sent, UpstreamError> {
        // A timeout that no clock can reach is none.
        let Some(deadline) = started.checked_add(timeout) else { return self.deliver(parcel, started).await };
        match tokio::time::timeout_at(deadline.into(), self.deliver(parcel, started)).await {
            Ok(sent) => sent.map(|mut sent| {
                sent.response.body = guard::within(sent.response.body, deadline, timeout);
                sent
            }),
            Err(_) => {
                let error = UpstreamError::TotalTimeout { timeout };
                if let Some((fleet, index, asked_at)) = parcel.asking.take() {
                    fleet.failed(index, &error, deadline.saturating_duration_since(asked_at), deadline);
                }
                Err(error)
            }
        }
    }

    /// Asks one endpoint and remembers how it did.
    async fn try_one(
        &self,
        fleet: &Rc<Fleet>,
        index: usize,
        parcel: &mut Parcel<'_>,
        now: Instant,
    ) -> Result<Sent, UpstreamError> {
        let Some(member) = fleet.members().get(index) else { return Err(UpstreamError::NoEndpoint) };
        member.standing.tally.requests.increment();
        if self.settings.guards.total_timeout.is_some() {
            parcel.asking = Some((Rc::clone(fleet), index, now));
        }
        let mut asked = self.ask(&member.standing.pool, parcel, now).await;
        let before = parcel.tries;
        parcel.tries += 1;
        match &mut asked {
            Ok(sent) => {
                sent.retries = before;
                self.reckoning.times.record(sent.took);
                fleet.answered(index, sent.response.status, sent.took, now + sent.took);
            }
            Err(error) => {
                let failed_at = time::now();
                fleet.failed(index, error, failed_at.saturating_duration_since(now), failed_at);
            }
        }
        parcel.asking = None;
        asked
    }

    fn cause(&self, tried: &Result<Sent, UpstreamError>) -> Cause {
        match tried {
            Ok(sent) if self.settings.guards.retries.heed(sent.response.status) => {
                Cause::Sent(Trigger::Status(sent.response.status))
            }
            Ok(_) => Cause::Final,
            Err(UpstreamError::Connect { .. } | UpstreamError::Tls { .. } | UpstreamError::ConnectTimeout { .. }) => {
                Cause::Connect
            }
            Err(UpstreamError::Unprocessed { .. }) => Cause::Connect,
            Err(UpstreamError::Overload { .. }) => Cause::Busy,
            Err(UpstreamError::Protocol { .. } | UpstreamError::Mute { .. }) => Cause::Sent(Trigger::Reset),
            Err(UpstreamError::ResponseTimeout { .. }) => Cause::Sent(Trigger::Timeout),
            Err(_) => Cause::Final,
        }
    }

    /// Whether the request is sent once more, or for the first time, elsewhere. If so, the parcel is whole again.
    fn goes_on(
        &self,
        cause: Cause,
        response: Option<&Sent>,
        fleet: &Fleet,
        parcel: &mut Parcel<'_>,
        trail: &mut Trail,
    ) -> bool {
        let retries = &self.settings.guards.retries;
        let trigger = match cause {
            Cause::Connect => return retries.on.contains(&Trigger::Connect),
            Cause::Busy => {
                trail.busy = true;
                return true;
            }
            Cause::Final => return false,
            Cause::Sent(trigger) => trigger,
        };
        let pause = response.and_then(|sent| guard::retry_after(&sent.response.headers)).unwrap_or_default();
        let again = retries.backoff.is_some() && pause <= retries.backoff_max;
        if trail.retries >= retries.max
            || !retries.on.contains(&trigger)
            || !(again || fleet.has_other(&trail.tried))
            || !parcel.rewind()
        {
            return false;
        }
        if !self.budget.withdraw(retries.budget, time::now()) {
            self.reckoning.retries_refused.increment();
            return false;
        }
        self.reckoning.retries.increment();
        trail.retries += 1;
        trail.pause = trail.pause.max(pause);
        true
    }

    /// All endpoints have been asked. Waits until asking them again makes sense; otherwise gives the last failure.
    async fn start_over(&self, fleet: &Fleet, trail: &mut Trail) -> Result<(), UpstreamError> {
        let retries = &self.settings.guards.retries;
        if trail.busy && self.settings.guards.pending.max > 0 {
            self.pend(trail).await?;
        } else {
            // What was sent has been counted; what could not be sent counts from here on.
            let unsent = trail.failed.as_ref().is_some_and(UpstreamError::is_unsent);
            let Some(base) = retries.backoff.filter(|_| !trail.tried.is_empty()) else { return Err(trail.failure()) };
            let busy = matches!(trail.failed, Some(UpstreamError::Overload { .. }));
            if busy || (unsent && trail.retries >= retries.max) {
                return Err(trail.failure());
            }
            trail.retries += u32::from(unsent);
            trail.rounds += 1;
            let wait = guard::backoff(base, retries.backoff_max, trail.rounds, fleet.dice());
            tokio::time::sleep(wait.max(trail.pause)).await;
        }
        trail.tried.clear();
        (trail.busy, trail.pause) = (false, Duration::ZERO);
        Ok(())
    }

    /// Waits for a connection.
    async fn pend(&self, trail: &mut Trail) -> Result<(), UpstreamError> {
        let pending = self.settings.guards.pending;
        let line = if trail.pending_until.is_some() { Line::Front } else { Line::Back };
        let refuse = |error| {
            self.reckoning.pending_refused.increment();
            Err(error)
        };
        if line == Line::Back && self.queue.len() >= pending.max {
            return refuse(UpstreamError::QueueFull { max: pending.max });
        }
        let until = *trail.pending_until.get_or_insert_with(|| time::now() + pending.timeout);
        let wait = self.queue.wait(line, &self.reckoning.pending);
        match tokio::time::timeout_at(until.into(), wait).await {
            Ok(()) => Ok(()),
            Err(_) => refuse(UpstreamError::QueueTimeout { timeout: pending.timeout }),
        }
    }

    /// Lets a request pass the breaker, where there is one.
    pub(super) fn admit(&self, now: Instant) -> Result<Option<Admission<'_>>, UpstreamError> {
        let Some(breaker) = &self.breaker else { return Ok(None) };
        let admitted = breaker.admit(now);
        self.reckoning.breaker.set(breaker.level());
        match admitted {
            Ok(pass) => Ok(Some(Admission { upstream: self, breaker, pass: Some(pass) })),
            Err(retry_after) => {
                self.reckoning.breaker_refused.increment();
                Err(UpstreamError::Open { retry_after })
            }
        }
    }
}

impl Trail {
    fn failure(&mut self) -> UpstreamError {
        self.failed.take().unwrap_or(UpstreamError::NoEndpoint)
    }
}

/// A request that the breaker let pass. Dropped, it says nothing about the upstream.
pub(super) struct Admission<'u> {
    upstream: &'u Upstream,
    breaker: &'u Breaker,
    pass: Option<Pass>,
}

impl Admission<'_> {
    /// Tells the breaker how the request went that began at `started`.
    pub(super) fn settle(mut self, sent: Result<::http::StatusCode, &UpstreamError>, started: Instant) {
        let now = time::now();
        let outcome = match sent {
            Ok(status) if status.is_server_error() => Outcome::Failed,
            Ok(_) => Outcome::Answered(now.saturating_duration_since(started)),
            Err(error) if error.is_endpoints() => Outcome::Failed,
            Err(_) => Outcome::Nothing,
        };
        self.tell(outcome, now);
    }

    fn tell(&mut self, outcome: Outcome, now: Instant) {
        let Some(pass) = self.pass.take() else { return };
        let (settings, reckoning) = (&self.upstream.settings, &self.upstream.reckoning);
        match self.breaker.settle(pass, outcome, now) {
            Some(Turn::Opened(percent)) => {
                reckoning.breaker_opened.increment();
                let duration_ms = u64::try_from(self.breaker.settings().open.as_millis()).unwrap_or(u64::MAX);
                match percent {
                    Some(percent) => {
                        tracing::warn!(upstream = %settings.name, duration_ms, percent, "breaker opens");
                    }
                    None => {
                        tracing::warn!(upstream = %settings.name, duration_ms, "breaker opens again: a probe failed")
                    }
                }
            }
            Some(Turn::Closed) => tracing::info!(upstream = %settings.name, "breaker closes"),
            None => {}
        }
        reckoning.breaker.set(self.breaker.level());
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.pass.is_some() {
            self.tell(Outcome::Nothing, time::now());
        }
    }
}
