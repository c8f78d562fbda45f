//! The plugin runtime: the only room that knows wasmtime.
//!
//! A file becomes [`Code`] (checked, compiled, described), code and a chain entry become [`Loaded`] (linked, configured,
//! tried), and every worker reaches it through a [`Lane`] (a warm instance, budgets, accounts). What a plugin may touch is what its
//! linker holds; what it may spend is its [`Limits`].

mod settings;

mod code;
mod compiled;
mod contract;
mod engine;
mod names;
mod signature;

mod hosts;
mod purges;
mod rates;
mod services;
mod state;

mod breaker;
mod failures;
mod instance;
mod lane;
mod ledger;
mod loaded;
mod snapshot;

mod error;
mod folder;
mod relations;
mod roster;
mod verdict;
mod watch;

pub mod crypto;
pub mod kv;
pub mod metrics;
pub mod schema;

pub use code::{Code, ContentHash, Description, Relation};
pub use engine::MEMORY_BYTES_CEILING;
pub use error::{BindError, CallError, LoadError};
pub use failures::FailedCall;
pub use folder::{File, Folder};
pub use lane::{Lane, Visit};
pub use ledger::{Cost, HookCost};
pub use loaded::Loaded;
pub use names::CONTRACT;
pub use purges::{PurgeMode, PurgeTarget, Purges};
pub use rates::{Limiter, RateAlgorithm, RateDecision, RateLimit, RateSettings};
pub use roster::{Change, Problem, Refused, Roster, Wanted};
pub use services::Services;
pub use settings::{Entry, FailurePolicy, InstanceMode, Limits, Scope, Settings, Unlisted};
pub use verdict::{Admission, AdmitVerdict, KeyVerdict, Summary, Verdict};
pub use watch::{Watch, Watched};
