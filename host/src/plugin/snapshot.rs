//! Components that begin where `init` ended, for plugins with `"instance": "per_request"`.
//!
//! `init` runs once, in an instance of an instrumented copy of the component; its memory and globals become the initial state of
//! a new component. Numbers that `init` was given (names, sets, keys, series) stay good, since what is behind them is kept beside it.
//! What `init` drew of time and randomness is the same in every instance.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt;
use wasmtime::Store;
use wasmtime::component::types::{ComponentItem, Type};
use wasmtime::component::{Component, Instance as WasmInstance, WasmList};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use super::code::{ContentHash, flat};
use super::compiled;
use super::instance::Instance;
use super::loaded::{Loaded, Made};
use super::state::State;

/// The interface through which an instrumented component shows its inside.
const ACCESS: &str = "wasmtime:wizer/access";

/// Makes what fresh instances of a plugin begin with. The error says why it cannot be done.
pub(super) fn take(loaded: &Loaded) -> Result<Made, String> {
    // The rewriting is not ours and meets components of any kind: a panic there is a reason, not an end.
    catch_unwind(AssertUnwindSafe(|| try_take(loaded)))
        .unwrap_or_else(|_| Err("the component could not be rewritten".into()))
}

fn try_take(loaded: &Loaded) -> Result<Made, String> {
    let text = |error: wasmtime::Error| flat(&error);
    let engine = &loaded.services.engine;
    let wizer = Wizer::new();
    let (context, instrumented) = wizer.instrument_component(&loaded.code.bytes).map_err(text)?;
    let component = compiled::component(engine, ContentHash::of(&instrumented), &instrumented).map_err(text)?;
    let made =
        Made::new(&loaded.services, &component, &loaded.code, &loaded.entry).map_err(|error| error.to_string())?;
    let (mut instance, raw) = Instance::of(loaded, &made).map_err(|error| error.to_string())?;
    if instance.store.data().wasi_handles > 0 || instance.store.data().holds_responses() {
        return Err("`init` holds handles: it must neither print nor make responses".into());
    }
    let mut inside = Inside::look(&mut instance.store, &raw, &component).map_err(text)?;
    // Nothing in it waits: everything that it asks for is at hand.
    let snapshot = wizer.snapshot_component(&context, &mut inside).now_or_never();
    let snapshot = snapshot.ok_or("the snapshot waits")?.map_err(text)?;
    // Not kept on disk: it holds the configuration, secrets and all.
    let component = Component::from_binary(engine, &snapshot).map_err(text)?;
    component.initialize_copy_on_write_image().map_err(text)?;
    let made =
        Made::new(&loaded.services, &component, &loaded.code, &loaded.entry).map_err(|error| error.to_string())?;
    Ok(Made { prepared: Some(std::sync::Arc::clone(&instance.store.data().prepared)), ..made })
}

/// Everything an instrumented instance shows, read in advance.
#[derive(Default)]
struct Inside {
    memories: HashMap<String, Vec<u8>>,
    numbers: HashMap<String, u64>,
}

impl Inside {
    fn look(store: &mut Store<State>, instance: &WasmInstance, component: &Component) -> wasmtime::Result<Self> {
        let mut inside = Self::default();
        let missing = || wasmtime::format_err!("the instrumented component has no {ACCESS}");
        let engine = store.engine().clone();
        let whole = component.component_type();
        let access = whole.get_export(&engine, ACCESS).ok_or_else(missing)?;
        let ComponentItem::ComponentInstance(ty) = access.ty else { return Err(missing()) };
        let index = component.get_export_index(None, ACCESS).ok_or_else(missing)?;
        for (name, item) in ty.exports(&engine) {
            let ComponentItem::ComponentFunc(func) = item.ty else { continue };
            let at = component.get_export_index(Some(&index), name).ok_or_else(missing)?;
            macro_rules! call {
                ($ty:ty) => {
                    instance.get_typed_func::<(), ($ty,)>(&mut *store, &at)?.call(&mut *store, ())?.0
                };
            }
            let number = match func.results().next() {
                Some(Type::List(_)) => {
                    let list = call!(WasmList<u8>);
                    inside.memories.insert(name.to_owned(), list.as_le_slice(&*store).to_vec());
                    continue;
                }
                Some(Type::S32) => u64::from(call!(i32).cast_unsigned()),
                Some(Type::S64) => call!(i64).cast_unsigned(),
                Some(Type::Float32) => u64::from(call!(f32).to_bits()),
                Some(Type::Float64) => call!(f64).to_bits(),
                _ => wasmtime::bail!("{ACCESS}#{name} gives something unknown"),
            };
            inside.numbers.insert(name.to_owned(), number);
        }
        Ok(inside)
    }

    fn number(&self, name: &str) -> u64 {
        self.numbers.get(name).copied().unwrap_or_default()
    }
}

#[allow(clippy::cast_possible_truncation, reason = "each number is as wide as it was when it was read")]
impl ComponentInstanceState for Inside {
    async fn call_func_ret_list_u8(&mut self, _: &str, func: &str, contents: impl FnOnce(&[u8]) + Send) {
        contents(self.memories.get(func).map_or(&[], Vec::as_slice));
    }

    async fn call_func_ret_s32(&mut self, _: &str, func: &str) -> i32 {
        (self.number(func) as u32).cast_signed()
    }

    async fn call_func_ret_s64(&mut self, _: &str, func: &str) -> i64 {
        self.number(func).cast_signed()
    }

    async fn call_func_ret_f32(&mut self, _: &str, func: &str) -> u32 {
        self.number(func) as u32
    }

    async fn call_func_ret_f64(&mut self, _: &str, func: &str) -> u64 {
        self.number(func)
    }
}
