//! A plugin as one place in the chain wants it: code, configuration, grants and limits put together and tried out.
//!
//! Immutable and shared by all workers. A change of any of its parts makes a new one; what did not change is kept, so that its
//! warm instances live on.

use std::sync::Arc;

use wasmtime::component::{Component, InstancePre};

use super::breaker::Breaker;
use super::code::{Code, flat};
use super::error::{BindError, CallError};
use super::instance::{Indices, Instance};
use super::ledger::{Cost, Ledger};
use super::services::Services;
use super::settings::{Entry, InstanceMode, Limits};
use super::state::{Prepared, State};
use super::{hosts, kv, snapshot};
use crate::names::{Grant, Hook, Name};

/// What instances are made of.
pub(super) struct Made {
    pub(super) pre: InstancePre<State>,
    pub(super) indices: Indices,
    /// What `init` had prepared where instances begin after it.
    pub(super) prepared: Option<Arc<Prepared>>,
}

impl Made {
    /// Links a component: the file's, or another that was made of it.
    pub(super) fn new(
        services: &Services,
        component: &Component,
        code: &Code,
        entry: &Entry,
    ) -> Result<Self, BindError> {
        let instantiate = |error: wasmtime::Error| BindError::Instantiate(flat(&error));
        let linker = hosts::link(&services.engine, component, &entry.grants, &|grant| code.does_without(grant));
        let linker = linker.map_err(instantiate)?;
        let pre = linker.instantiate_pre(component).map_err(instantiate)?;
        let indices = Indices::new(&pre, |hook| code.has(hook)).map_err(instantiate)?;
        Ok(Self { pre, indices, prepared: None })
    }
}

/// A plugin in the chain.
pub struct Loaded {
    /// Its name in the chain.
    pub name: Name,
    /// The number by which timings name it.
    pub number: u32,
    /// Its file.
    pub code: Arc<Code>,
    /// What the operator decided about it.
    pub entry: Entry,
    pub(super) services: Arc<Services>,
    pub(super) limits: Arc<Limits>,
    pub(super) kv: Arc<kv::Namespace>,
    pub(super) config: String,
    pub(super) made: Made,
    idle: Vec<Hook>,
    pub(super) breaker: Breaker,
    pub(super) ledger: Arc<Ledger>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Loaded({} from {:?})", self.name, self.code)
    }
}

impl Loaded {
    /// Puts code and entry together: checks grants and configuration, links, and tries an instance with `init`.
    pub fn new(services: &Arc<Services>, code: &Arc<Code>, entry: Entry) -> Result<Arc<Self>, BindError> {
        check_grants(code, &entry)?;
        check_config(code, &entry)?;
        let made = Made::new(services, &code.component, code, &entry)?;
        let mut loaded = Self {
            name: entry.plugin.clone(),
            number: services.number(&entry.plugin),
            code: Arc::clone(code),
            services: Arc::clone(services),
            limits: Arc::new(entry.limits.clone()),
            kv: services.kv.namespace(&entry.plugin, entry.limits.kv_bytes_max),
            config: entry.config.to_string(),
            entry,
            made,
            idle: Vec::new(),
            breaker: Breaker::default(),
            ledger: Arc::default(),
        };
        loaded.idle = loaded.trial()?;
        if loaded.entry.instance == InstanceMode::PerRequest && code.has(Hook::Init) {
            loaded.start_from_a_snapshot();
        }
        services.ledgers.keep(&loaded.name, loaded.entry.variant(), &loaded.ledger);
        Ok(Arc::new(loaded))
    }

    /// Makes an instance to see whether it works with this configuration, and gives the hooks that it has no use for.
    fn trial(&self) -> Result<Vec<Hook>, BindError> {
        match Instance::new(self) {
            Ok(instance) => {
                let idle = instance.idle.clone();
                instance.destroy();
                Ok(idle)
            }
            Err(CallError::Instantiate(message)) => Err(BindError::Instantiate(message)),
            Err(CallError::NotGranted { import, grant }) => Err(not_granted(import, grant, &self.entry)),
            Err(error) => Err(BindError::Init(error)),
        }
    }

    /// Lets fresh instances begin where `init` ended. Where that does not work, every instance runs `init` itself.
    fn start_from_a_snapshot(&mut self) {
        match snapshot::take(self) {
            Ok(made) => self.made = made,
            Err(why) => {
                tracing::warn!(plugin = %self.name, "every request runs `init`: no snapshot could be taken: {why}")
            }
        }
    }

    /// Whether this is what code and entry would make.
    pub fn is(&self, code: &Code, entry: &Entry) -> bool {
        self.code.hash == code.hash && self.entry.asks_the_same(entry)
    }

    /// Whether it has a hook and a use for it with this configuration.
    pub fn wants(&self, hook: Hook) -> bool {
        self.code.has(hook) && !self.idle.contains(&hook)
    }

    /// What it cost so far.
    pub fn cost(&self) -> Cost {
        self.ledger.cost()
    }

    /// How much longer it is quarantined.
    pub fn quarantined(&self) -> Option<std::time::Duration> {
        self.breaker.open_for(self.services.monotonic_ns())
    }
}

fn check_grants(code: &Code, entry: &Entry) -> Result<(), BindError> {
    let needed = |grant: &Grant| !entry.grants.contains(grant) && !code.does_without(*grant);
    let missing = code.capabilities.iter().find(|(grant, _)| needed(grant));
    missing.map_or(Ok(()), |(grant, import)| Err(not_granted(import.clone(), *grant, entry)))
}

fn not_granted(import: String, grant: Grant, entry: &Entry) -> BindError {
    BindError::NotGranted { import, grant: grant.as_str(), path: entry.origin.to_string() }
}

fn check_config(code: &Code, entry: &Entry) -> Result<(), BindError> {
    let Some(schema) = &code.schema else { return Ok(()) };
    let problems = schema.problems(&entry.config, &entry.origin);
    if problems.is_empty() { Ok(()) } else { Err(BindError::Config(problems)) }
}
