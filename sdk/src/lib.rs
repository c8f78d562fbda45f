//! Write a [Portcullis](https://github.com/portcullis-gateway/portcullis) plugin in Rust.
//!
//! A plugin is a type that implements [`Plugin`]; the attribute [`macro@plugin`] exports the hooks that were written and
//! no others, so that a hook that is absent costs nothing. A complete plugin:
//!
//! ```
//! use portcullis_sdk::prelude::*;
//!
//! /// Greets, and turns away who does not say their name.
//! pub struct Greeter {
//!     name: HeaderName,
//!     set: HeaderSet,
//! }
//!
//! #[portcullis_sdk::config]
//! pub struct Config {
//!     /// What the `x-greeting` header says.
//!     greeting: String,
//! }
//!
//! #[portcullis_sdk::plugin]
//! impl Plugin for Greeter {
//!     type Config = Config;
//!
//!     fn init(config: Config) -> Result<Self> {
//!         let set = HeaderSet::builder().set("x-greeting", config.greeting).prepare()?;
//!         Ok(Self { name: HeaderName::intern("x-name")?, set })
//!     }
//!
//!     fn pre_handler(&self, request: &Request) -> Result<Verdict> {
//!         match request.header(self.name) {
//!             Some(_) => Ok(Verdict::Next),
//!             None => Ok(Response::text(401, "Who are you?").into()),
//!         }
//!     }
//!
//!     fn post_handler(&self, _: &Request, response: &Response) -> Result<Verdict> {
//!         response.apply(self.set);
//!         Ok(Verdict::Next)
//!     }
//! }
//! ```
//!
//! Its crate has `crate-type = ["cdylib"]`, depends on this crate alone, and is built with
//! `cargo build --target wasm32-wasip2 --release`.
//!
//! # What things cost
//!
//! A call into the gateway costs about 100 ns, a string in it or out of it as much again. So prepare in
//! [`init`](Plugin::init) what repeats ([`HeaderName::intern`], [`HeaderSet::builder`], [`crypto::Key::import`], the series in
//! [`metrics`]) and read in a hook only what it decides on. Nothing here calls the gateway but the call you see.
//!
//! # State
//!
//! Hooks take `&self`. The instance lives on one thread and one hook runs at a time, so [`Cell`](std::cell::Cell) and
//! [`RefCell`](std::cell::RefCell) are all that mutable state needs. Every worker has its own instance, and an instance
//! may be replaced at any time: what must be shared or must last belongs in [`kv`].
//!
//! # Errors and panics
//!
//! An `Err` from a hook and a panic both meet the plugin's `on_failure` policy. The difference is that a panic also costs
//! the instance. A panic's message reaches the gateway's log. Nothing that the gateway passes in makes the SDK panic:
//! header values are bytes ([`HeaderValue`]), and reading them as text is fallible.

extern crate self as portcullis_sdk;

#[doc(hidden)]
pub mod raw;

mod error;
#[doc(hidden)]
pub mod export;
mod header;
mod plugin;
mod request;
mod response;

pub mod cache;
pub mod clock;
pub mod crypto;
pub mod duration;
pub mod kv;
pub mod limits;
pub mod list;
pub mod log;
pub mod metrics;
pub mod origin;
pub mod path;
pub mod pattern;
pub mod random;

#[cfg(test)]
mod tests;

pub use portcullis_sdk_macros::{config, plugin};
pub use {schemars, serde, serde_json};

pub use crate::error::{Error, Result};
pub use crate::header::{HeaderName, HeaderSet, HeaderSetBuilder, HeaderValue};
pub use crate::path::Path;
pub use crate::plugin::{
    Admission, AdmitVerdict, Failure, Fault, Hook, KeyVerdict, NoConfig, Plugin, Summary, Verdict,
};
pub use crate::raw::headers::Invalid;
pub use crate::raw::types::{CacheStatus, PluginTiming, Timings};
pub use crate::request::{Request, plugin_name};
pub use crate::response::Response;

/// What most plugins name: `use portcullis_sdk::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Admission, AdmitVerdict, Error, Failure, HeaderName, HeaderSet, HeaderValue, Hook, KeyVerdict, NoConfig,
        Plugin, Request, Response, Result, Summary, Verdict,
    };
    pub use crate::{debug, error, info, trace, warn};
}
