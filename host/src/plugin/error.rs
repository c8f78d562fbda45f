//! What can go wrong with a plugin, by the moment of its life: loading its file, putting it into the chain, calling it.

use std::fmt;
use std::time::Duration;

use super::schema;
use crate::names::{Grant, Hook};

/// Why a file does not become a plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the file: {0}")]
    Read(#[from] std::io::Error),
    /// The file is larger than any plugin.
    #[error("the file has {bytes} bytes; {bytes_max} are allowed")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The file is empty or ends in the middle of its header: still being written, or cut off.
    #[error("the file holds only {0} bytes; it is incomplete. Copy it again (write beside it and rename)")]
    Incomplete(usize),
    /// Not Wasm at all.
    #[error("not WebAssembly: it does not begin with `\\0asm`. Build it with `cargo build --target wasm32-wasip2`")]
    NotWasm,
    /// A core module.
    #[error(
        "a core WebAssembly module, not a component. Build it with `cargo build --target wasm32-wasip2`, or wrap it \
         with `wasm-tools component new`"
    )]
    CoreModule,
    /// Machine code that someone compiled before.
    #[error("a precompiled artefact. Precompiled code is never taken from the plugin folder; put the `.wasm` there")]
    Precompiled,
    /// Damaged or uses features that are off.
    #[error("not a valid component: {0}")]
    Invalid(String),
    /// Built for another version of the contract.
    #[error(
        "built for `{name}`; this gateway speaks portcullis:plugin@{}. Rebuild it with the SDK of this version",
        super::names::CONTRACT
    )]
    ContractVersion {
        /// The import or export.
        name: String,
    },
    /// An import or export with the contract's package name that the contract does not have.
    #[error("`{name}` is not part of portcullis:plugin@{}", super::names::CONTRACT)]
    UnknownInterface {
        /// The import or export.
        name: String,
    },
    /// An import that nobody offers.
    #[error("imports `{name}`, which the gateway does not offer to plugins")]
    UnknownImport {
        /// The import.
        name: String,
    },
    /// A hook whose function is missing or has another type.
    #[error("`{name}` has the wrong type\n  it has:  {found}\n  expected: {expected}")]
    WrongType {
        /// The exported interface.
        name: String,
        /// What the component has.
        found: String,
        /// What the contract says.
        expected: &'static str,
    },
    /// Exports nothing that would ever be called with a request.
    #[error("exports no hook that is called for a request; export one of {}", exchange_hooks())]
    NoHooks,
    /// A trial instance could not be made.
    #[error("cannot be instantiated: {0}")]
    Instantiate(String),
    /// `describe` failed or its answer makes no sense.
    #[error("`describe` {0}")]
    Describe(String),
}

fn exchange_hooks() -> String {
    let with_exchange = |hook: &Hook| !matches!(hook, Hook::Describe | Hook::Init | Hook::Destroy);
    Hook::ALL.into_iter().filter(with_exchange).map(Hook::as_str).collect::<Vec<_>>().join(", ")
}

fn lines(problems: &[schema::Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Why a plugin does not take its place in the chain.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Imports a capability that it was not granted.
    #[error("imports `{import}` but is not granted `{grant}`; {}, or remove the plugin", remedy(.path, grant))]
    NotGranted {
        /// The import.
        import: String,
        /// The grant it needs.
        grant: &'static str,
        /// Where its configuration is written, as in [`Entry::origin`](super::Entry::origin).
        path: String,
    },
    /// Its schema refuses the configuration.
    #[error("{}", lines(.0))]
    Config(Vec<schema::Problem>),
    /// The trial instance could not be made.
    #[error("cannot be instantiated: {0}")]
    Instantiate(String),
    /// `init` of the trial instance failed.
    #[error("`init` {0}")]
    Init(CallError),
}

/// What to write where, so that a plugin gets a grant: only the chain gives grants, whatever a route changes.
fn remedy(path: &str, grant: &str) -> String {
    match path.strip_suffix(".config") {
        Some(entry) if entry.starts_with("plugins.chain[") => format!("add \"{grant}\" to {entry}.grants"),
        Some(_) => format!("add \"{grant}\" to the \"grants\" of its entry in plugins.chain"),
        None => format!("add an entry for it to plugins.chain with \"grants\": [\"{grant}\"]"),
    }
}

/// Why a call to a plugin failed.
#[derive(Debug, Clone)]
pub enum CallError {
    /// The plugin returned an error.
    Returned(String),
    /// The call used up its fuel.
    Fuel(u64),
    /// The call took too long.
    Timeout(Duration),
    /// The instance reached its memory limit.
    Memory(usize),
    /// The call handed over too many bytes.
    HostBytes(usize),
    /// The call used a capability that the plugin is not granted, and of which it had said that it can do without.
    NotGranted {
        /// The import.
        import: String,
        /// The grant it needs.
        grant: Grant,
    },
    /// Any other trap, with its backtrace.
    Trap(String),
    /// No instance could be made.
    Instantiate(String),
    /// All instances that there can be are in use.
    NoRoom,
    /// The plugin failed too often and is not asked for a while.
    Quarantined(Duration),
    /// A mistake in the gateway.
    Panic,
}

impl CallError {
    /// The words of all kinds, in the order of their numbers.
    pub const KINDS: [&str; 11] = [
        "error",
        "fuel",
        "timeout",
        "memory",
        "host_bytes",
        "not_granted",
        "trap",
        "instantiate",
        "no_room",
        "quarantined",
        "panic",
    ];

    /// The position of its kind in [`Self::KINDS`].
    pub(super) fn number(&self) -> usize {
        Self::KINDS.iter().position(|kind| *kind == self.kind()).unwrap_or_default()
    }

    /// A stable word for logs and metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Returned(_) => "error",
            Self::Fuel(_) => "fuel",
            Self::Timeout(_) => "timeout",
            Self::Memory(_) => "memory",
            Self::HostBytes(_) => "host_bytes",
            Self::NotGranted { .. } => "not_granted",
            Self::Trap(_) => "trap",
            Self::Instantiate(_) => "instantiate",
            Self::NoRoom => "no_room",
            Self::Quarantined(_) => "quarantined",
            Self::Panic => "panic",
        }
    }

    /// Whether it is a sign that the plugin is broken. An error that it returned may be about one request, and that there is no room
    /// may be the fault of others.
    pub(super) const fn counts(&self) -> bool {
        !matches!(self, Self::Returned(_) | Self::NoRoom)
    }

    /// Whether the instance that was called cannot be used again.
    pub(super) const fn poisons(&self) -> bool {
        !matches!(self, Self::Returned(_))
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned(message) => write!(f, "returned an error: {message}"),
            Self::Fuel(fuel) => write!(f, "used up its {fuel} units of fuel (limits.fuel)"),
            Self::Timeout(timeout) => write!(f, "took longer than {} ms (limits.timeout_ms)", timeout.as_millis()),
            Self::Memory(bytes) => write!(f, "needs more than {bytes} bytes of memory (limits.memory_bytes_max)"),
            Self::HostBytes(bytes) => write!(f, "handed the host more than {bytes} bytes (limits.host_bytes_max)"),
            Self::NotGranted { import, grant } => write!(f, "called `{import}` without the grant `{grant}`"),
            Self::Trap(message) => write!(f, "trapped: {message}"),
            Self::Instantiate(message) => write!(f, "could not be instantiated: {message}"),
            Self::NoRoom => f.write_str("finds no room for another instance"),
            Self::Quarantined(left) => {
                write!(f, "is quarantined for another {} ms after repeated failures", left.as_millis())
            }
            Self::Panic => f.write_str("made the host panic; see the log"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Entry;
    use crate::plugin::schema::JsonPath;

    #[test]
    fn a_missing_grant_is_asked_for_where_it_can_be_given() {
        let check = |path: String, expected: &str| {
            let error = BindError::NotGranted { import: "portcullis:plugin/kv@0.1.0".into(), grant: "kv", path };
            assert!(error.to_string().contains(expected), "{error}");
        };
        let plugins = JsonPath::root().key("plugins").key("chain").index(1).key("config");
        check(plugins.to_string(), "add \"kv\" to plugins.chain[1].grants, or");
        let route = JsonPath::root().key("routes").index(0).key("plugins").key("probe").key("config");
        check(route.to_string(), "to the \"grants\" of its entry in plugins.chain");
        let unlisted = "probe".parse().map(Entry::unlisted).map(|entry| entry.origin.to_string());
        check(unlisted.unwrap_or_default(), "add an entry for it to plugins.chain with \"grants\": [\"kv\"]");
    }
}
