//! One instance of a plugin: its store, the hooks it exports, and the way into them.
//!
//! Every call goes through [`guarded`]: fuel and deadline set before, whatever went wrong turned into a [`CallError`]
//! after. An instance that trapped is never called again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::Instance as WasmInstance;
use wasmtime::{Store, Trap, UpdateDeadline};

use super::code::flat;
use super::contract::exports::portcullis::plugin as hooks;
use super::engine::ticks;
use super::error::CallError;
use super::loaded::{Loaded, Made};
use super::settings::Limits;
use super::state::{HostBytesExceeded, MemoryExceeded, NotGranted, State};
use crate::names::{Grant, Hook};
use crate::time::{self, Instant};

/// What one call may spend of what wasmtime meters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    fuel: u64,
    ticks: u64,
    timeout: Duration,
}

impl Budget {
    /// For a hook.
    pub(super) fn call(limits: &Limits) -> Self {
        Self { fuel: limits.fuel, ticks: ticks(limits.timeout), timeout: limits.timeout }
    }

    /// For `init` and `describe`.
    pub(super) fn init(limits: &Limits) -> Self {
        let timeout = limits.timeout.saturating_mul(limits.init_factor);
        Self { fuel: limits.fuel.saturating_mul(limits.init_factor.into()), ticks: ticks(timeout), timeout }
    }
}

/// Runs Wasm within a budget.
pub(super) fn guarded<R>(
    store: &mut Store<State>,
    budget: Budget,
    call: impl FnOnce(&mut Store<State>) -> wasmtime::Result<R>,
) -> Result<R, CallError> {
    if store.set_fuel(budget.fuel).is_err() {
        return Err(CallError::Panic);
    }
    store.set_epoch_deadline(budget.ticks);
    store.data_mut().refill();
    // A panic in wasmtime or in our host functions must cost this call and not the worker. The store is dropped after
    // it, so that nothing half-changed is ever looked at.
    match catch_unwind(AssertUnwindSafe(|| call(store))) {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => Err(classify(&error, budget)),
        Err(_) => Err(CallError::Panic),
    }
}

fn classify(error: &wasmtime::Error, budget: Budget) -> CallError {
    if let Some(memory) = error.downcast_ref::<MemoryExceeded>() {
        return CallError::Memory(memory.0);
    }
    if let Some(bytes) = error.downcast_ref::<HostBytesExceeded>() {
        return CallError::HostBytes(bytes.0);
    }
    if let Some(NotGranted { import, grant }) = error.downcast_ref() {
        return CallError::NotGranted { import: import.clone(), grant: *grant };
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return CallError::NoRoom;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => CallError::Fuel(budget.fuel),
        Some(Trap::Interrupt) => CallError::Timeout(budget.timeout),
        // Not the error's Debug form: that would be our own backtrace, and looking up its symbols takes longer than the call.
        Some(_) | None => CallError::Trap(flat(error)),
    }
}

/// The hooks of one instance, ready to be called.
#[derive(Default)]
pub(super) struct Hooks {
    init: Option<hooks::init::Guest>,
    pub(super) pre_route: Option<hooks::pre_route::Guest>,
    pub(super) pre_handler: Option<hooks::pre_handler::Guest>,
    pub(super) cache_key: Option<hooks::cache_key::Guest>,
    pub(super) cache_admit: Option<hooks::cache_admit::Guest>,
    pub(super) post_handler: Option<hooks::post_handler::Guest>,
    pub(super) post_response: Option<hooks::post_response::Guest>,
    pub(super) on_error: Option<hooks::on_error::Guest>,
    destroy: Option<hooks::destroy::Guest>,
}

/// The hooks of a component, found once; an instance only loads them.
#[derive(Default)]
pub(super) struct Indices {
    init: Option<hooks::init::GuestIndices>,
    pre_route: Option<hooks::pre_route::GuestIndices>,
    pre_handler: Option<hooks::pre_handler::GuestIndices>,
    cache_key: Option<hooks::cache_key::GuestIndices>,
    cache_admit: Option<hooks::cache_admit::GuestIndices>,
    post_handler: Option<hooks::post_handler::GuestIndices>,
    post_response: Option<hooks::post_response::GuestIndices>,
    on_error: Option<hooks::on_error::GuestIndices>,
    destroy: Option<hooks::destroy::GuestIndices>,
}

/// Fills a struct with one field per hook from the hooks that are there.
macro_rules! each_hook {
    ($has:expr, $into:ident { $($field:ident: $hook:ident => $make:expr),* $(,)? }) => {
        $into { $($field: if $has(Hook::$hook) { Some($make?) } else { None }),* }
    };
}

impl Indices {
    pub(super) fn new(
        pre: &wasmtime::component::InstancePre<State>,
        has: impl Fn(Hook) -> bool,
    ) -> wasmtime::Result<Self> {
        Ok(each_hook!(has, Self {
            init: Init => hooks::init::GuestIndices::new(pre),
            pre_route: PreRoute => hooks::pre_route::GuestIndices::new(pre),
            pre_handler: PreHandler => hooks::pre_handler::GuestIndices::new(pre),
            cache_key: CacheKey => hooks::cache_key::GuestIndices::new(pre),
            cache_admit: CacheAdmit => hooks::cache_admit::GuestIndices::new(pre),
            post_handler: PostHandler => hooks::post_handler::GuestIndices::new(pre),
            post_response: PostResponse => hooks::post_response::GuestIndices::new(pre),
            on_error: OnError => hooks::on_error::GuestIndices::new(pre),
            destroy: Destroy => hooks::destroy::GuestIndices::new(pre),
        }))
    }

    fn load(&self, store: &mut Store<State>, instance: &WasmInstance) -> wasmtime::Result<Hooks> {
        macro_rules! load {
            ($($field:ident),*) => {
                Hooks { $($field: self.$field.as_ref().map(|indices| indices.load(&mut *store, instance)).transpose()?),* }
            };
        }
        Ok(load!(init, pre_route, pre_handler, cache_key, cache_admit, post_handler, post_response, on_error, destroy))
    }
}

/// A living instance.
pub(super) struct Instance {
    pub(super) store: Store<State>,
    pub(super) hooks: Hooks,
    /// The hooks that the configuration has no use for.
    pub(super) idle: Vec<Hook>,
    calls: u64,
    born: Instant,
    /// Bytes of memory that it had after `init`.
    born_bytes: usize,
}

impl Instance {
    /// Makes an instance and lets it `init`.
    pub(super) fn new(loaded: &Loaded) -> Result<Self, CallError> {
        Self::of(loaded, &loaded.made).map(|(instance, _)| instance)
    }

    /// The same of another component than the plugin's own, with what wasmtime calls the instance.
    pub(super) fn of(loaded: &Loaded, made: &Made) -> Result<(Self, WasmInstance), CallError> {
        let limits = &loaded.limits;
        let kv = Arc::clone(&loaded.kv);
        let state = State::new(loaded.name.clone(), Arc::clone(&loaded.services), kv, Arc::clone(limits));
        let prints = loaded.entry.grants.contains(&Grant::Log);
        let mut store = Store::new(&loaded.services.engine, state);
        store.data_mut().prints = prints;
        store.limiter(|state| &mut state.memory);
        store.epoch_deadline_callback(|mut store| match store.data_mut().patience.more() {
            Some(owed) => Ok(UpdateDeadline::Continue(ticks(owed))),
            None => Err(Trap::Interrupt.into()),
        });
        store.set_hostcall_fuel(limits.host_bytes_max.saturating_add(HOSTCALL_SLACK));
        store.set_max_component_handles(HANDLES_MAX);
        let budget = Budget::init(limits);
        let instantiated = guarded(&mut store, budget, |store| {
            let instance = made.pre.instantiate(&mut *store)?;
            Ok((made.indices.load(store, &instance)?, instance))
        });
        let (hooks, raw) = instantiated.map_err(|error| match error {
            CallError::Trap(message) => CallError::Instantiate(message),
            error => error,
        })?;
        let mut idle = Vec::new();
        if let Some(prepared) = &made.prepared {
            // The component is a snapshot of an instance that has done this.
            store.data_mut().prepared = Arc::clone(prepared);
        } else if let Some(init) = &hooks.init {
            let returned = guarded(&mut store, budget, |store| init.call_init(store, &loaded.config))?;
            idle = returned.map_err(CallError::Returned)?.into_iter().map(hook).collect();
        }
        let born_bytes = store.data().memory.bytes;
        Ok((Self { store, hooks, idle, calls: 0, born: time::now(), born_bytes }, raw))
    }

    /// Counts a call and tells whether the instance is due for recycling.
    pub(super) fn used(&mut self, limits: &Limits, now: Instant) -> Recycle {
        self.calls += 1;
        let bytes = self.store.data().memory.bytes;
        // One that is born large would otherwise be recycled after every call.
        let grown = bytes > self.born_bytes && bytes >= limits.recycle_memory_bytes;
        let due = self.calls >= limits.recycle_calls
            || grown
            || now.saturating_duration_since(self.born) >= limits.recycle_age;
        if due { Recycle::Due } else { Recycle::NotYet }
    }

    /// Bytes of its linear memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().memory.bytes
    }

    /// Ends the instance in good order.
    pub(super) fn destroy(mut self) {
        // On a worker, between requests: no more than a hook may take.
        let budget = Budget::call(&self.store.data().limits);
        if let Some(destroy) = &self.hooks.destroy
            && let Err(error) = guarded(&mut self.store, budget, |store| destroy.call_destroy(store))
        {
            tracing::warn!(plugin = %self.store.data().plugin, %error, "`destroy` failed");
        }
    }
}

const fn hook(hook: hooks::init::Hook) -> Hook {
    match hook {
        hooks::init::Hook::PreRoute => Hook::PreRoute,
        hooks::init::Hook::PreHandler => Hook::PreHandler,
        hooks::init::Hook::CacheKey => Hook::CacheKey,
        hooks::init::Hook::CacheAdmit => Hook::CacheAdmit,
        hooks::init::Hook::PostHandler => Hook::PostHandler,
        hooks::init::Hook::PostResponse => Hook::PostResponse,
        hooks::init::Hook::OnError => Hook::OnError,
    }
}

/// Whether an instance has lived long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recycle {
    NotYet,
    Due,
}

/// Live resource handles of one instance. A call has two of ours and a few of WASI.
const HANDLES_MAX: usize = 1000;

/// Room for names and list headers beside the payload bytes that the call's own budget counts.
const HOSTCALL_SLACK: usize = 64 * 1024;
