//! The WASI that a language's runtime insists on, with nothing behind it: no environment, no arguments, no files, no
//! network. Standard output and error become log lines; clocks are there when `clock` is granted; randomness is real.
//!
//! Ours and not `wasmtime-wasi`, whose synchronous streams block on the tokio runtime that the call already runs in.

use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{ComponentType, Linker, LinkerInstance, Lower, Resource, ResourceType};
use wasmtime::{Engine, StoreContextMut};

use crate::names::Grant;
use crate::plugin::crypto;
use crate::plugin::state::{NotGranted, State};
use crate::time;

/// What the runtimes of languages import and gets an empty world. Sockets and HTTP are not among it: a component that
/// imports them wants to reach out, and is refused when it is loaded.
const INERT: [&str; 5] = ["wasi:cli/", "wasi:io/", "wasi:clocks/", "wasi:random/", "wasi:filesystem/"];

/// Most random bytes of one call.
const RANDOM_BYTES_MAX: u64 = 4096;

/// Room that a stream says it has.
const STREAM_BYTES: u64 = 4096;

/// Every resource of this WASI: there is nothing behind any of them. One type for all, so that a resource that one interface uses of another
/// is the same in both.
type Nothing = ();

#[derive(ComponentType, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    #[allow(dead_code, reason = "part of the WASI type")]
    LastOperationFailed(Resource<Nothing>),
    #[component(name = "closed")]
    #[allow(dead_code, reason = "part of the WASI type")]
    Closed,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

type Context<'a> = StoreContextMut<'a, State>;
type Output<T> = wasmtime::Result<(Result<T, StreamError>,)>;

/// Whether an import of this name gets an empty world.
pub(in crate::plugin) fn is_inert(import: &str) -> bool {
    INERT.iter().any(|prefix| import.starts_with(prefix))
}

/// Makes every function of an imported interface trap when called: since the plugin was not granted it, or since plugins have no such thing.
pub(super) fn trap(
    linker: &mut Linker<State>,
    engine: &Engine,
    (import, ty): (&str, &ComponentInstance),
    missing: Option<Grant>,
) -> wasmtime::Result<()> {
    let mut instance = linker.instance(import)?;
    for (name, item) in ty.exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(_) => {
                let import = import.to_owned();
                let called = format!("{import}#{name}");
                instance.func_new(name, move |_, _, _, _| match missing {
                    Some(grant) => Err(NotGranted { import: import.clone(), grant }.into()),
                    None => Err(wasmtime::format_err!("called {called}, which is not there for plugins")),
                })?;
            }
            ComponentItem::Resource(_) => {
                instance.resource(name, ResourceType::host::<Nothing>(), |_, _| Ok(()))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Defines of one WASI interface what has an answer, under exactly the name, version included, by which the component imports it.
pub(super) fn define(
    linker: &mut Linker<State>,
    import: &str,
    granted: &dyn Fn(Grant) -> bool,
) -> wasmtime::Result<()> {
    let interface = import.split('@').next().unwrap_or(import);
    let mut instance = linker.instance(import)?;
    match interface {
        "wasi:cli/environment" => {
            instance.func_wrap("get-environment", |_: Context<'_>, ()| Ok((Vec::<(String, String)>::new(),)))?;
            instance.func_wrap("get-arguments", |_: Context<'_>, ()| Ok((Vec::<String>::new(),)))?;
            instance.func_wrap("initial-cwd", |_: Context<'_>, ()| Ok((None::<String>,)))
        }
        "wasi:cli/exit" => instance
            .func_wrap("exit", |_: Context<'_>, (_,): (Result<(), ()>,)| -> wasmtime::Result<()> {
                wasmtime::bail!("called exit")
            }),
        "wasi:cli/stdout" => instance.func_wrap("get-stdout", output_stream),
        "wasi:cli/stderr" => instance.func_wrap("get-stderr", output_stream),
        "wasi:io/streams" => streams(&mut instance),
        "wasi:io/poll" => poll(&mut instance),
        "wasi:clocks/monotonic-clock" if granted(Grant::Clock) => {
            instance.func_wrap("resolution", |_: Context<'_>, ()| Ok((1_u64,)))?;
            instance.func_wrap("now", |cx: Context<'_>, ()| Ok((cx.data().services.monotonic_ns(),)))
        }
        "wasi:clocks/wall-clock" if granted(Grant::Clock) => {
            instance.func_wrap("resolution", |_: Context<'_>, ()| Ok((Datetime { seconds: 0, nanoseconds: 1 },)))?;
            instance.func_wrap("now", |_: Context<'_>, ()| {
                let now = time::unix();
                Ok((Datetime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() },))
            })
        }
        "wasi:random/random" => {
            instance.func_wrap("get-random-bytes", random_bytes)?;
            instance.func_wrap("get-random-u64", |_: Context<'_>, ()| Ok((random_u64()?,)))
        }
        "wasi:random/insecure" => {
            instance.func_wrap("get-insecure-random-bytes", random_bytes)?;
            instance.func_wrap("get-insecure-random-u64", |_: Context<'_>, ()| Ok((random_u64()?,)))
        }
        "wasi:random/insecure-seed" => {
            instance.func_wrap("insecure-seed", |_: Context<'_>, ()| Ok(((random_u64()?, random_u64()?),)))
        }
        "wasi:filesystem/preopens" => {
            instance.func_wrap("get-directories", |_: Context<'_>, ()| Ok((Vec::<(Resource<Nothing>, String)>::new(),)))
        }
        _ => Ok(()),
    }
}

fn output_stream(mut cx: Context<'_>, (): ()) -> wasmtime::Result<(Resource<Nothing>,)> {
    cx.data_mut().wasi_handles += 1;
    Ok((Resource::new_own(0),))
}

fn random_u64() -> wasmtime::Result<u64> {
    let bytes = crypto::random(8).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_le_bytes).ok_or_else(|| wasmtime::format_err!("the system gives no randomness"))
}

fn random_bytes(_: Context<'_>, (length,): (u64,)) -> wasmtime::Result<(Vec<u8>,)> {
    if length > RANDOM_BYTES_MAX {
        wasmtime::bail!("asked for {length} random bytes at once; {RANDOM_BYTES_MAX} are allowed");
    }
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < length {
        let left = length - bytes.len() as u64;
        let piece = u32::try_from(left.min(crypto::RANDOM_BYTES_MAX as u64))?;
        bytes.extend(crypto::random(piece).ok_or_else(|| wasmtime::format_err!("the system gives no randomness"))?);
    }
    Ok((bytes,))
}

fn write(mut cx: Context<'_>, (_, bytes): (Resource<Nothing>, Vec<u8>)) -> Output<()> {
    cx.data_mut().print(&bytes);
    Ok((Ok(()),))
}

/// Only output streams can be waited for, and those always have room.
fn poll(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap("[method]pollable.block", |_: Context<'_>, (_,): (Resource<Nothing>,)| Ok(()))?;
    instance.func_wrap("[method]pollable.ready", |_: Context<'_>, (_,): (Resource<Nothing>,)| Ok((true,)))?;
    instance.func_wrap("poll", |_: Context<'_>, (all,): (Vec<Resource<Nothing>>,)| {
        let count = u32::try_from(all.len())?;
        Ok(((0..count).collect::<Vec<u32>>(),))
    })
}

fn streams(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    let flush = |_: Context<'_>, (_,): (Resource<Nothing>,)| -> Output<()> { Ok((Ok(()),)) };
    instance.func_wrap("[method]output-stream.write", write)?;
    instance.func_wrap("[method]output-stream.blocking-write-and-flush", write)?;
    instance.func_wrap("[method]output-stream.subscribe", |_: Context<'_>, (_,): (Resource<Nothing>,)| {
        Ok((Resource::<Nothing>::new_own(0),))
    })?;
    instance.func_wrap("[method]output-stream.flush", flush)?;
    instance.func_wrap("[method]output-stream.blocking-flush", flush)?;
    instance
        .func_wrap("[method]output-stream.check-write", |_: Context<'_>, (_,): (Resource<Nothing>,)| -> Output<u64> {
            Ok((Ok(STREAM_BYTES),))
        })
}
