//! `limits`: rate limits and bans.
//!
//! Border: who counts is the [`Limiter`](crate::plugin::Limiter) that was handed in; here is what can be said without it (numbers that make
//! no sense, budgets).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::contract::limits::{Algorithm, Decision, Host, Settings, Wanted};
use crate::http::is_nobody;
use crate::plugin::rates::{self, RateAlgorithm, RateDecision, RateSettings};
use crate::plugin::state::{PREPARED_MAX, State};
use crate::time;

/// Larger limits are meant to be none, and their bookkeeping would be.
const REQUESTS_MAX: u64 = 1_000_000_000;
/// Longest window, in milliseconds: 31 days. What is longer is a quota and has to survive a restart.
const WINDOW_MS_MAX: u64 = 31 * 24 * 60 * 60 * 1000;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Most uses asked for in one call.
const WANTED_MAX: usize = 64;
/// What a use costs of the call's byte budget beside its key: somebody may be remembered for it.
const PRICE: usize = 64;
/// Longest ban, in milliseconds: a year.
const BAN_MS_MAX: u64 = 365 * 24 * 60 * 60 * 1000;

fn check(settings: &Settings) -> Result<(), String> {
    let within = |what: &str, number: u64, max: u64| match number {
        1.. if number <= max => Ok(()),
        _ => Err(format!("{what} is {number}; it must be 1 to {max}")),
    };
    within("the name's length", settings.name.len() as u64, NAME_BYTES_MAX as u64)?;
    within("requests", settings.requests, REQUESTS_MAX)?;
    within("window-ms", settings.window_ms, WINDOW_MS_MAX)?;
    match settings.algorithm {
        Algorithm::SlidingWindow => Ok(()),
        Algorithm::TokenBucket => within("burst", settings.burst, REQUESTS_MAX),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    // Rounded up: who comes back that late has not come too early.
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn decision(decision: RateDecision) -> Decision {
    Decision {
        allowed: decision.allowed,
        limit: decision.limit,
        remaining: decision.remaining,
        reset_ms: milliseconds(decision.reset),
        retry_after_ms: milliseconds(decision.retry_after),
    }
}

impl Host for State {
    fn define(&mut self, settings: Settings) -> wasmtime::Result<Result<u32, String>> {
        if let Err(why) = check(&settings) {
            return Ok(Err(why));
        }
        if self.prepared.limits.len() >= PREPARED_MAX {
            return Ok(Err(format!("more than {PREPARED_MAX} limits")));
        }
        let algorithm = match settings.algorithm {
            Algorithm::SlidingWindow => RateAlgorithm::SlidingWindow,
            Algorithm::TokenBucket => RateAlgorithm::TokenBucket,
        };
        let limit = self.services.limiter().define(
            &self.plugin,
            &RateSettings {
                name: &settings.name,
                algorithm,
                requests: settings.requests,
                window: Duration::from_millis(settings.window_ms),
                burst: settings.burst,
            },
        );
        let all = &mut Arc::make_mut(&mut self.prepared).limits;
        all.push(limit);
        Ok(Ok(u32::try_from(all.len() - 1)?))
    }

    fn take(&mut self, wanted: Vec<Wanted>) -> wasmtime::Result<Vec<Decision>> {
        if wanted.len() > WANTED_MAX {
            wasmtime::bail!("asked for more than {WANTED_MAX} uses at once");
        }
        self.spend(wanted.iter().map(|wanted| wanted.key.len() + PRICE).sum())?;
        let mut asked = Vec::with_capacity(wanted.len());
        for wanted in &wanted {
            let Some(limit) = self.prepared.limits.get(wanted.limit as usize) else {
                wasmtime::bail!("there is no limit {}", wanted.limit);
            };
            asked.push(rates::Wanted { limit: &**limit, key: &wanted.key, cost: u64::from(wanted.cost) });
        }
        // Trying a configuration must not use up anything.
        let now = time::now();
        let decisions = match &self.exchange {
            Some(exchange) => {
                let decisions = rates::take_all(&asked, now);
                rates::tell_refused(&asked, &decisions, exchange.client.address.ip(), now);
                decisions
            }
            None => asked.iter().map(|asked| asked.limit.look(asked.key, 0, now)).collect(),
        };
        Ok(decisions.into_iter().map(decision).collect())
    }

    fn offence(&mut self) -> wasmtime::Result<()> {
        if let Some(exchange) = self.exchange.as_ref().filter(|exchange| !is_nobody(exchange.client.address)) {
            self.services.limiter().offence(exchange.client.address.ip(), time::now());
        }
        Ok(())
    }

    fn ban(&mut self, address: String, duration_ms: u64, reason: String) -> wasmtime::Result<Result<(), String>> {
        self.spend(address.len() + reason.len() + PRICE)?;
        if self.exchange.is_none() {
            return Ok(Err("nobody can be banned in `init` and `destroy`".to_owned()));
        }
        let Ok(address) = address.parse::<IpAddr>() else {
            return Ok(Err("this is not an IP address".to_owned()));
        };
        let duration = Duration::from_millis(duration_ms.min(BAN_MS_MAX));
        Ok(self.services.limiter().ban(address, duration, &reason, time::now()))
    }
}
