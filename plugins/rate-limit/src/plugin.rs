//! The plugin itself: asks the gateway about the limits that a request falls under, and tells what it said.

use portcullis_sdk::Path;
use portcullis_sdk::limits::{self, Decision, Limit};
use portcullis_sdk::metrics::Counter;
use portcullis_sdk::prelude::*;

use crate::config::{AlgorithmConfig, Config, FieldsConfig};
use crate::fields;
use crate::key::{self, Facts, Part};
use crate::plan::Plan;

/// Where the response finds what the request was told.
const STATE: &str = "rate_limit.state";
/// Where logs find which limits had no room.
const EXCEEDED: &str = "rate_limit.exceeded";

/// One instance.
pub struct RateLimit {
    plan: Plan,
    /// One per limit of the plan: the gateway's, and how often it had no room.
    limits: Vec<(Limit, Counter)>,
    names: Vec<HeaderName>,
    /// What every response carries to a request that fell under all limits.
    policy: Option<HeaderSet>,
    /// What every refusal carries.
    refusal: HeaderSet,
    state: HeaderName,
}

/// A request, asked through the gateway.
struct Asked<'a> {
    request: &'a Request,
    names: &'a [HeaderName],
}

impl Facts for Asked<'_> {
    fn address(&self) -> String {
        self.request.client_address()
    }

    fn path(&self) -> Path {
        self.request.plain_path()
    }

    fn part(&self, part: &Part) -> Option<Vec<u8>> {
        let name = |number: &usize| self.names.get(*number).copied();
        match part {
            Part::Address | Part::Path => None,
            Part::Route => self.request.route().map(String::into_bytes),
            Part::Method => Some(self.request.method().into_bytes()),
            Part::Host => Some(self.request.authority().to_ascii_lowercase().into_bytes()),
            Part::Header(number) => self.request.header(name(number)?).map(|value| value.as_bytes().to_vec()),
            Part::Cookie { header, name: cookie } => {
                let lines = self.request.headers(name(header)?);
                key::cookie(lines.iter().map(HeaderValue::as_bytes), cookie)
            }
            Part::Attribute(name) => self.request.attribute(name).map(String::into_bytes),
            Part::Parameter(name) => self.request.parameter(name).map(String::into_bytes),
        }
    }
}

#[portcullis_sdk::plugin(grants = ["limits", "metrics", "log"])]
impl Plugin for RateLimit {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        let plan = Plan::new(&config)?;
        let mut all = Vec::new();
        for limit in &plan.limits {
            let window = std::time::Duration::from_millis(limit.window_ms);
            let defined = match limit.algorithm {
                AlgorithmConfig::SlidingWindow => Limit::sliding_window(&limit.name, limit.requests, window)?,
                AlgorithmConfig::TokenBucket => Limit::token_bucket(&limit.name, limit.requests, window, limit.burst)?,
            };
            let series = match limit.on_exceed {
                crate::config::OnExceed::Deny => "limited_total",
                crate::config::OnExceed::Log => "exceeded_total",
            };
            let counter = Counter::new(series, &[("limit", &limit.name)])
                .map_err(|error| format!("limit `{}`: no series for it: {error}", limit.name))?;
            all.push((defined, counter));
        }
        let names = plan.names.iter().map(|name| HeaderName::intern(name)).collect::<Result<_>>()?;
        let policy = match plan.headers.contains(&FieldsConfig::Draft) {
            true => Some(HeaderSet::builder().set("ratelimit-policy", plan.policy.as_str()).prepare()?),
            false => None,
        };
        let refusal = HeaderSet::builder()
            .set("content-type", "application/problem+json")
            .set("cache-control", "no-store")
            .prepare()?;
        Ok(Self { plan, limits: all, names, policy, refusal, state: HeaderName::intern("ratelimit")? })
    }

    fn idle_hooks(&self) -> Vec<Hook> {
        if self.plan.headers.is_empty() { vec![Hook::PostHandler] } else { Vec::new() }
    }

    fn pre_handler(&self, request: &Request) -> Result<Verdict> {
        let [deny, log] = self.plan.asked(&Asked { request, names: &self.names });
        let decisions = self.take(&deny);
        let noted = self.take(&log);
        let told = decisions.iter().chain(&noted).map(|(number, decision)| (self.name(*number), decision));
        if !decisions.is_empty() || !noted.is_empty() {
            request.set_attribute(STATE, &fields::state(told)).map_err(|_| TOO_MANY)?;
        }
        let exceeded: Vec<_> = decisions.iter().chain(&noted).filter(|(_, decision)| !decision.allowed).collect();
        if exceeded.is_empty() {
            return Ok(Verdict::Next);
        }
        let names: Vec<_> = exceeded.iter().map(|(number, _)| self.name(*number)).collect();
        request.set_attribute(EXCEEDED, &names.join(",")).map_err(|_| TOO_MANY)?;
        for (number, _) in &exceeded {
            if let Some((_, counter)) = self.limits.get(*number) {
                counter.increment();
            }
        }
        for (number, _) in noted.iter().filter(|(_, decision)| !decision.allowed) {
            warn!(limit = self.name(*number), client = request.client_address(); "a request exceeds a limit");
        }
        Ok(self.verdict(&decisions))
    }

    fn post_handler(&self, request: &Request, response: &Response) -> Result<Verdict> {
        let Some(state) = request.attribute(STATE) else { return Ok(Verdict::Next) };
        if let Some(policy) = self.policy {
            match fields::applying(&self.plan.policy, &state) {
                None => response.apply(policy),
                Some(some) => response.set_header_named("ratelimit-policy", &some)?,
            }
            response.set_header(self.state, &state)?;
        }
        let quota = |name: &str| {
            let known = self.plan.limits.iter().find(|limit| limit.name == name);
            known.map(crate::plan::Planned::quota)
        };
        for (fields, prefix) in [(FieldsConfig::Legacy, "ratelimit"), (FieldsConfig::X, "x-ratelimit")] {
            if self.plan.headers.contains(&fields)
                && let Some(least) = fields::least(&state, quota)
            {
                response.set_header_named(&format!("{prefix}-limit"), least.limit.to_string())?;
                response.set_header_named(&format!("{prefix}-remaining"), least.remaining.to_string())?;
                response.set_header_named(&format!("{prefix}-reset"), least.reset.to_string())?;
            }
        }
        Ok(Verdict::Next)
    }
}

impl RateLimit {
    /// Asks for all of these uses together.
    fn take(&self, asked: &[(usize, Vec<u8>)]) -> Vec<(usize, Decision)> {
        if asked.is_empty() {
            return Vec::new();
        }
        let known = asked.iter().filter_map(|(number, key)| {
            let (limit, _) = self.limits.get(*number)?;
            let cost = self.plan.limits.get(*number)?.cost;
            Some(limit.wanting(key, cost))
        });
        asked.iter().map(|(number, _)| *number).zip(limits::take_all(known.collect())).collect()
    }

    fn name(&self, number: usize) -> &str {
        self.plan.limits.get(number).map_or("", |limit| &limit.name)
    }

    /// Refuses where a limit has no room; of several the one that takes longest is told.
    fn verdict(&self, decisions: &[(usize, Decision)]) -> Verdict {
        let refused = decisions.iter().filter(|(_, decision)| !decision.allowed);
        let Some((number, decision)) = refused.clone().max_by_key(|(_, decision)| decision.retry_after_ms) else {
            return Verdict::Next;
        };
        if refused.clone().any(|(number, _)| self.plan.limits.get(*number).is_some_and(|limit| limit.offence)) {
            limits::offence();
        }
        let retry_after = fields::seconds(decision.retry_after_ms).max(1);
        Response::new(self.plan.status)
            .with(self.refusal)
            .with_header("retry-after", retry_after.to_string())
            .with_body(fields::body(self.plan.status, self.name(*number), retry_after))
            .into()
    }
}

/// The gateway's limits for attributes are far beyond what this plugin leaves; other plugins have used them up.
const TOO_MANY: &str = "the exchange has too many attributes";
