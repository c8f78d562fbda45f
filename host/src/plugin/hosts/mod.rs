//! The host's side of the contract: what a plugin's imports do.
//!
//! What a plugin asks wrongly is a value of the WIT error type; what it must not do is a trap. Bytes that the host keeps (fields, bodies,
//! attributes, `kv`) are counted against the call's budget, what is prepared against the instance's; what is only looked at is bounded per call by
//! wasmtime.

mod cache;
mod capabilities;
mod crypto;
mod headers;
mod limits;
mod metrics;
mod request;
mod response;
mod wasi;

pub(super) use wasi::is_inert;

use std::collections::BTreeSet;

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker};

use super::contract::portcullis::plugin as contract;
use super::state::State;
use crate::names::Grant;

/// A linker with what every plugin gets and what was granted; nothing else is there. What the plugin `does_without` traps where it was not granted.
pub(super) fn link(
    engine: &Engine,
    component: &Component,
    grants: &BTreeSet<Grant>,
    does_without: &dyn Fn(Grant) -> bool,
) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    contract::headers::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    contract::types::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    for grant in grants {
        match grant {
            Grant::Log => contract::log::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?,
            Grant::Metrics => contract::metrics::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?,
            Grant::Kv => contract::kv::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?,
            Grant::Crypto => contract::crypto::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?,
            Grant::Clock => contract::clock::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?,
            Grant::Cache => contract::cache::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?,
            Grant::Limits => contract::limits::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?,
        }
    }
    // The WASI that a language's runtime insists on: first everything traps, then what has an answer gets it.
    linker.allow_shadowing(true);
    for (name, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(ty) = item.ty else { continue };
        if wasi::is_inert(name) {
            wasi::trap(&mut linker, engine, (name, &ty), None)?;
            wasi::define(&mut linker, name, &|grant| grants.contains(&grant))?;
        }
        let capability = super::names::parse(name).and_then(|import| Grant::from_name(import.interface));
        if let Some(grant) = capability
            && !grants.contains(&grant)
            && does_without(grant)
        {
            wasi::trap(&mut linker, engine, (name, &ty), Some(grant))?;
        }
    }
    Ok(linker)
}

/// A linker in which the capabilities are there but trap, for a look at a component that nothing was granted to.
pub(super) fn link_for_a_look(engine: &Engine, component: &Component) -> wasmtime::Result<Linker<State>> {
    link(engine, component, &BTreeSet::new(), &|_| true)
}
