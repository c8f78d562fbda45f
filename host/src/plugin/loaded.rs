//! A plugin as one place in the chain wants it: code, configuration, grants and limits put together and tried out.
//!
//! Immutable and shared by all workers. A change of any of its parts makes a new one; what did not change is kept, so that its
//! warm instances live on.

use std::sync::Arc;

use wasmtime::component::InstancePre;

use super::breaker::Breaker;
use super::code::{Code, flat};
use super::error::{BindError, CallError};
use super::instance::{Indices, Instance};
use super::ledger::{Cost, Ledger};
use super::services::Services;
use super::settings::{Entry, Limits};
use super::state::State;
use super::{hosts, kv};
use crate::names::{Hook, Name};

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
    pub(super) pre: InstancePre<State>,
    pub(super) indices: Indices,
    idle: Vec<Hook>,
    pub(super) breaker: Breaker,
    pub(super) ledger: Ledger,
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
        let instantiate = |error: wasmtime::Error| BindError::Instantiate(flat(&error));
        let linker = hosts::link(&services.engine, &code.component, &entry.grants).map_err(instantiate)?;
        let pre = linker.instantiate_pre(&code.component).map_err(instantiate)?;
        let indices = Indices::new(&pre, |hook| code.has(hook)).map_err(instantiate)?;
        let mut loaded = Self {
            name: entry.plugin.clone(),
            number: services.number(&entry.plugin),
            code: Arc::clone(code),
            services: Arc::clone(services),
            limits: Arc::new(entry.limits.clone()),
            kv: services.kv.namespace(&entry.plugin, entry.limits.kv_bytes_max),
            config: entry.config.to_string(),
            entry,
            pre,
            indices,
            idle: Vec::new(),
            breaker: Breaker::default(),
            ledger: Ledger::default(),
        };
        match Instance::new(&loaded) {
            Ok(instance) => {
                loaded.idle.clone_from(&instance.idle);
                instance.destroy();
            }
            Err(CallError::Instantiate(message)) => return Err(BindError::Instantiate(message)),
            Err(error) => return Err(BindError::Init(error)),
        }
        Ok(Arc::new(loaded))
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
    let missing = code.capabilities.iter().find(|(grant, _)| !entry.grants.contains(grant));
    missing.map_or(Ok(()), |(grant, import)| {
        Err(BindError::NotGranted {
            import: import.clone(),
            grant: grant.as_str(),
            path: entry.origin.to_string(),
        })
    })
}

fn check_config(code: &Code, entry: &Entry) -> Result<(), BindError> {
    let Some(schema) = &code.schema else { return Ok(()) };
    let problems = schema.problems(&entry.config, &entry.origin);
    if problems.is_empty() { Ok(()) } else { Err(BindError::Config(problems)) }
}
