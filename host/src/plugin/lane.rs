//! One worker's way into one plugin: its warm instance, and every call's accounts.
//!
//! A call is synchronous and happens inside the worker: no lock, no fiber, no other thread. Whatever a plugin does wrong
//! ends here as a [`CallError`]; what that means for the exchange is the plugin's failure policy.

use std::cell::RefCell;
use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::Resource;

use super::contract::exports::portcullis::plugin::{cache_admit, cache_key, on_error, post_response};
use super::contract::portcullis::plugin::types;
use super::error::CallError;
use super::failures::FailedCall;
use super::instance::{Budget, Hooks, Instance, Recycle, guarded};
use super::ledger::Counters;
use super::loaded::Loaded;
use super::settings::InstanceMode;
use super::state::{CURRENT, RequestHandle, ResponseHandle, State, Trial};
use super::verdict::{AdmitVerdict, KeyVerdict, Summary, Verdict};
use crate::exchange::{Call, Exchange, Failure, Fault, Held, Part};
use crate::names::Hook;
use crate::time;

/// The fresh instances of one request, for plugins with `"instance": "per_request"`. One instance serves all hooks of the
/// request.
#[derive(Default)]
pub struct Visit {
    instances: Vec<(Whose, Box<Instance>)>,
    /// A password that is tried for the hook that is being called.
    trial: Trial,
}

/// So often is `pre-handler` called again for a password of which it waits to know whether it is right. It asks for one.
const TRIALS_MAX: usize = 4;

/// Which plugin an instance belongs to: the place of its [`Loaded`], since the same plugin with another configuration is another.
/// The lanes keep that alive as long as the visit lasts.
type Whose = *const Loaded;

impl std::fmt::Debug for Visit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Visit({} instances)", self.instances.len())
    }
}

impl Visit {
    /// Ends the instances of all plugins but those of these lanes: what comes later may come much later, and instances are few.
    pub fn keep_only<'a>(&mut self, lanes: impl Iterator<Item = &'a Lane> + Clone) {
        if self.instances.is_empty() {
            return;
        }
        let stays = |(whose, _): &(Whose, Box<Instance>)| lanes.clone().any(|lane| Arc::as_ptr(&lane.loaded) == *whose);
        let (kept, ended) = self.instances.drain(..).partition(stays);
        self.instances = kept;
        drop(Self { instances: ended, trial: Trial::default() });
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        for (_, instance) in self.instances.drain(..) {
            instance.destroy();
        }
    }
}

/// One worker's way into one plugin.
pub struct Lane {
    loaded: Arc<Loaded>,
    warm: RefCell<Option<Box<Instance>>>,
    counters: Arc<Counters>,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lane({:?})", self.loaded)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(instance) = self.warm.get_mut().take() {
            self.counters.memory(0);
            instance.destroy();
        }
    }
}

impl Lane {
    /// A way in without an instance yet; the first call makes one.
    pub fn new(loaded: Arc<Loaded>) -> Self {
        let counters = loaded.ledger.open();
        Self { loaded, warm: RefCell::new(None), counters }
    }

    /// The plugin.
    pub fn loaded(&self) -> &Arc<Loaded> {
        &self.loaded
    }

    /// Calls `pre-route`.
    pub fn pre_route(&self, exchange: &mut Held, visit: &mut Visit) -> Result<Verdict, CallError> {
        self.call(Hook::PreRoute, exchange, visit, |store, hooks| {
            let Some(hook) = &hooks.pre_route else { return Ok(Ok(Verdict::Next)) };
            Ok(hook.call_pre_route(&mut *store, request())?.map(|verdict| taken(store, verdict)))
        })
    }

    /// Calls `pre-handler`; where it has a password tried, again as soon as that is done. Waits without holding the instance.
    pub async fn pre_handler(&self, exchange: &mut Held, visit: &mut Visit) -> Result<Verdict, CallError> {
        visit.trial = Trial::Idle;
        for _ in 0..TRIALS_MAX {
            let verdict = self.pre_handler_once(exchange, visit);
            match std::mem::take(&mut visit.trial) {
                Trial::Running(pair, told) if verdict.is_ok() => {
                    // Nothing comes from threads that have ended; then it is asked for anew.
                    visit.trial = told.await.map_or(Trial::Idle, |is_right| Trial::Known(pair, is_right));
                }
                _ => return verdict,
            }
        }
        visit.trial = Trial::Impossible;
        self.pre_handler_once(exchange, visit)
    }

    fn pre_handler_once(&self, exchange: &mut Held, visit: &mut Visit) -> Result<Verdict, CallError> {
        self.call(Hook::PreHandler, exchange, visit, |store, hooks| {
            let Some(hook) = &hooks.pre_handler else { return Ok(Ok(Verdict::Next)) };
            Ok(hook.call_pre_handler(&mut *store, request())?.map(|verdict| taken(store, verdict)))
        })
    }

    /// Calls `cache-key`.
    pub fn cache_key(&self, exchange: &mut Held, visit: &mut Visit) -> Result<KeyVerdict, CallError> {
        self.call(Hook::CacheKey, exchange, visit, |store, hooks| {
            let Some(hook) = &hooks.cache_key else { return Ok(Ok(KeyVerdict::Next)) };
            Ok(hook.call_cache_key(store, request())?.map(|verdict| match verdict {
                cache_key::KeyVerdict::Next => KeyVerdict::Next,
                cache_key::KeyVerdict::Extend(part) => KeyVerdict::Extend(part),
                cache_key::KeyVerdict::Replace(key) => KeyVerdict::Replace(key),
                cache_key::KeyVerdict::Bypass => KeyVerdict::Bypass,
            }))
        })
    }

    /// Calls `cache-admit`.
    pub fn cache_admit(&self, exchange: &mut Held, visit: &mut Visit) -> Result<AdmitVerdict, CallError> {
        self.call(Hook::CacheAdmit, exchange, visit, |store, hooks| {
            let Some(hook) = &hooks.cache_admit else { return Ok(Ok(AdmitVerdict::Next)) };
            Ok(hook.call_cache_admit(store, request(), response())?.map(|verdict| match verdict {
                cache_admit::AdmitVerdict::Next => AdmitVerdict::Next,
                cache_admit::AdmitVerdict::NoStore => AdmitVerdict::NoStore,
                cache_admit::AdmitVerdict::Store(admission) => AdmitVerdict::Store(admission.into()),
            }))
        })
    }

    /// Calls `post-handler`. The exchange must have a response.
    pub fn post_handler(&self, exchange: &mut Held, visit: &mut Visit) -> Result<Verdict, CallError> {
        self.call(Hook::PostHandler, exchange, visit, |store, hooks| {
            let Some(hook) = &hooks.post_handler else { return Ok(Ok(Verdict::Next)) };
            Ok(hook.call_post_handler(&mut *store, request(), response())?.map(|verdict| taken(store, verdict)))
        })
    }

    /// Calls `post-response`. The exchange must have a response.
    pub fn post_response(&self, exchange: &mut Held, visit: &mut Visit, summary: Summary) -> Result<(), CallError> {
        self.call(Hook::PostResponse, exchange, visit, |store, hooks| {
            let Some(hook) = &hooks.post_response else { return Ok(Ok(())) };
            let summary = post_response::Summary {
                body_bytes: summary.body_bytes,
                duration: u64::try_from(summary.duration.as_nanos()).unwrap_or(u64::MAX),
                complete: summary.complete,
            };
            hook.call_post_response(store, request(), response(), summary)
        })
    }

    /// Calls `on-error`.
    pub fn on_error(&self, exchange: &mut Held, visit: &mut Visit, failure: &Failure) -> Result<Verdict, CallError> {
        self.call(Hook::OnError, exchange, visit, |store, hooks| {
            let Some(hook) = &hooks.on_error else { return Ok(Ok(Verdict::Next)) };
            let error = on_error::Error {
                fault: match failure.reason.fault() {
                    Fault::Downstream => on_error::Fault::Downstream,
                    Fault::Upstream => on_error::Fault::Upstream,
                    Fault::Plugin => on_error::Fault::Plugin,
                    Fault::Internal => on_error::Fault::Internal,
                },
                status: failure.reason.status().as_u16(),
                reason: failure.reason.as_str().to_owned(),
                detail: failure.detail.to_string(),
            };
            Ok(hook.call_on_error(&mut *store, request(), &error)?.map(|verdict| taken(store, verdict)))
        })
    }

    /// One call with everything around it: quarantine, instance, exchange lent and taken back, accounts, recycling.
    fn call<R>(
        &self,
        hook: Hook,
        exchange: &mut Held,
        visit: &mut Visit,
        call: impl FnOnce(&mut Store<State>, &Hooks) -> wasmtime::Result<Result<R, String>>,
    ) -> Result<R, CallError> {
        let Loaded { services, breaker, limits, number, .. } = &*self.loaded;
        if let Some(left) = breaker.open_for_if_open(|| services.monotonic_ns()) {
            return Err(CallError::Quarantined(left));
        }
        let mut instance = match self.instance(visit) {
            Ok(instance) => instance,
            Err(error) => {
                let part = Part::Plugin { number: *number, hook, fuel: 0, call: Call::Failed };
                self.counters.record(hook, exchange.lap_of(part, time::now()), 0, Some(&error));
                return Err(self.failed(hook, exchange, error));
            }
        };
        let Instance { store, hooks, .. } = &mut *instance;
        store.data_mut().exchange = exchange.lend();
        store.data_mut().trial = std::mem::take(&mut visit.trial);
        let result = guarded(store, Budget::call(limits), |store| call(store, hooks));
        // The host functions only ever borrow the exchange, so that it is there whatever the call did.
        exchange.take_back(store.data_mut().exchange.take());
        visit.trial = std::mem::take(&mut store.data_mut().trial);
        let result = result.and_then(|returned| returned.map_err(CallError::Returned));
        let lines = store.data().bytes.log_dropped;
        if lines > 0 {
            tracing::warn!(plugin = %self.loaded.name, %hook, lines, "log lines over limits.log_bytes_max were dropped");
        }

        let fuel = limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0));
        let now = time::now();
        let call = if result.is_ok() { Call::Well } else { Call::Failed };
        let took = exchange.lap_of(Part::Plugin { number: *number, hook, fuel, call }, now);
        exchange.timings.add_plugin(*number, took);
        self.counters.record(hook, took, fuel, result.as_ref().err());
        match &result {
            Err(error) if error.poisons() => {
                self.counters.recycled();
                self.counters.memory(0);
            }
            _ => self.put_back(instance, visit, now),
        }
        match result {
            Ok(value) => {
                breaker.succeeded(hook);
                Ok(value)
            }
            Err(error) => Err(self.failed(hook, exchange, error)),
        }
    }

    /// The instance for this call: the warm one, this request's own, or a new one.
    fn instance(&self, visit: &mut Visit) -> Result<Box<Instance>, CallError> {
        let kept = match self.loaded.entry.instance {
            InstanceMode::Reuse => self.warm.borrow_mut().take(),
            InstanceMode::PerRequest => {
                let found = visit.instances.iter().position(|(whose, _)| *whose == Arc::as_ptr(&self.loaded));
                found.map(|index| visit.instances.swap_remove(index).1)
            }
        };
        let made = |error| match error {
            // It had worked in the trial; that it does not now is a failure like a trap.
            CallError::Returned(message) => CallError::Instantiate(format!("`init` returned an error: {message}")),
            error => error,
        };
        kept.map_or_else(|| Instance::new(&self.loaded).map(Box::new).map_err(made), Ok)
    }

    /// Keeps the instance for the next call, or ends it when it is due.
    fn put_back(&self, mut instance: Box<Instance>, visit: &mut Visit, now: time::Instant) {
        if self.loaded.entry.instance == InstanceMode::PerRequest {
            visit.instances.push((Arc::as_ptr(&self.loaded), instance));
            return;
        }
        match instance.used(&self.loaded.limits, now) {
            Recycle::NotYet => {
                self.counters.memory(instance.memory_bytes());
                *self.warm.borrow_mut() = Some(instance);
            }
            Recycle::Due => {
                self.counters.recycled();
                self.counters.memory(0);
                instance.destroy();
            }
        }
    }

    /// Logs a failure and counts it against the plugin.
    fn failed(&self, hook: Hook, exchange: &Exchange, error: CallError) -> CallError {
        let Loaded { name, services, breaker, limits, .. } = &*self.loaded;
        let request_id = exchange.id.to_str().unwrap_or_default();
        tracing::error!(plugin = %name, %hook, request_id, kind = error.kind(), "plugin call failed: {error}");
        services.note_failure(
            name,
            FailedCall {
                at: time::unix(),
                hook,
                route: exchange.route.clone(),
                request_id: request_id.to_owned(),
                kind: error.kind(),
                what: error.to_string(),
            },
        );
        if error.counts()
            && let Some(quarantine) = breaker.failed(hook, limits, services.monotonic_ns())
        {
            let milliseconds = u64::try_from(quarantine.as_millis()).unwrap_or(u64::MAX);
            tracing::error!(plugin = %name, milliseconds, "plugin quarantined: it failed {} times in a row", limits.quarantine_failures);
        }
        error
    }
}

fn request() -> Resource<RequestHandle> {
    Resource::new_borrow(CURRENT)
}

fn response() -> Resource<ResponseHandle> {
    Resource::new_borrow(CURRENT)
}

/// Turns the guest's verdict into ours, taking the response that it made out of the instance.
fn taken(store: &mut Store<State>, verdict: types::Verdict) -> Verdict {
    match verdict {
        types::Verdict::Next => Verdict::Next,
        types::Verdict::Respond(handle) => match store.data_mut().take_response(handle.rep()) {
            Some(response) => Verdict::Respond(Box::new(response)),
            None => Verdict::Next,
        },
    }
}
