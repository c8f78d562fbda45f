//! What the host keeps for one instance: the exchange of the current call, what the plugin prepared, what it has left to spend.
//!
//! Lives in the instance's store and dies with it. The exchange is only lent: it is moved in before a call and taken
//! out after it, whatever the call did.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::oneshot;
use wasmtime::ResourceLimiter;

use super::crypto;
use super::metrics;
use super::rates::RateLimit;
use super::services::Services;
use super::settings::Limits;
use crate::exchange::{Exchange, Response};
use crate::names::{Grant, Name};

/// The guest's `request` resource. There is only one per call, so a handle carries nothing.
#[derive(Debug)]
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct RequestHandle;

/// The guest's `response` resource: the exchange's own at [`CURRENT`], others made by the plugin.
#[derive(Debug)]
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct ResponseHandle;

/// The number of the exchange's own request and response.
pub(super) const CURRENT: u32 = 0;

/// Responses that a plugin may hold at the same time. It needs one.
const RESPONSES_MAX: usize = 16;

/// Names, sets and keys that an instance may prepare. More is a leak in the plugin.
pub(super) const PREPARED_MAX: usize = 4096;
/// Bytes that an instance may prepare. They lie in the host's memory, beside the instance's own limit.
const PREPARED_BYTES_MAX: usize = 1024 * 1024;

/// One edit of a prepared header set.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Set(HeaderName, HeaderValue),
    Default(HeaderName, HeaderValue),
    Append(HeaderName, HeaderValue),
    Remove(HeaderName),
}

/// Most fields of one message that plugins can bring about. Others refuse longer heads, and a map that grows without end would be a
/// way around the memory limit.
pub(super) const FIELDS_MAX: usize = 1000;

/// Carries out a header set. Where the message has as many fields as it may, no more are added.
pub(super) fn apply(edits: &[Edit], headers: &mut HeaderMap) {
    // Growing once and not step by step.
    let _ = headers.try_reserve(edits.len());
    for edit in edits {
        let room = headers.len() < FIELDS_MAX;
        match edit {
            Edit::Set(name, value) if room || headers.contains_key(name) => {
                headers.insert(name, value.clone());
            }
            Edit::Default(name, value) if room && !headers.contains_key(name) => {
                headers.insert(name, value.clone());
            }
            Edit::Append(name, value) if room => {
                headers.append(name, value.clone());
            }
            Edit::Remove(name) => {
                headers.remove(name);
            }
            Edit::Set(..) | Edit::Default(..) | Edit::Append(..) => {}
        }
    }
}

/// What an instance prepared once and uses by number. Instances of one snapshot share it until one of them prepares more.
#[derive(Clone, Default)]
pub(super) struct Prepared {
    pub(super) names: Vec<HeaderName>,
    pub(super) sets: Vec<Arc<[Edit]>>,
    pub(super) keys: Vec<Arc<crypto::Key>>,
    pub(super) passwords: Vec<Arc<crypto::Password>>,
    pub(super) series: Vec<metrics::Series>,
    pub(super) limits: Vec<Arc<dyn RateLimit>>,
    bytes: usize,
}

impl Prepared {
    /// Takes room for what is to be prepared; false when there is none.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let after = self.bytes.saturating_add(bytes);
        let fits = after <= PREPARED_BYTES_MAX;
        if fits {
            self.bytes = after;
        }
        fits
    }
}

/// What is left of the current call's byte budgets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes {
    pub(super) host: usize,
    pub(super) log: usize,
    /// Log lines that did not fit.
    pub(super) log_dropped: u64,
}

/// A password that is tried beside the worker, from one call of a hook to the next.
#[derive(Default)]
pub(super) enum Trial {
    /// The hook is not called again: passwords are tried in the call.
    #[default]
    Impossible,
    /// None is tried. Goes on to [`Self::Running`] when the plugin asks.
    Idle,
    /// It is known once this tells it; then the hook is called again, with [`Self::Known`].
    Running(crypto::Pair, oneshot::Receiver<bool>),
    /// What came of it. Goes on to [`Self::Idle`] when the plugin asks for the same.
    Known(crypto::Pair, bool),
}

/// How a call's deadline takes what is slow by design and ours: the first password that a call verifies does not count towards it. Further ones do,
/// so that no call holds its worker for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Nothing slow has been asked for. Goes on to [`Self::Owed`].
    Untouched,
    /// So long took what does not count. Goes on to [`Self::Spent`] when the deadline passes.
    Owed(Duration),
    /// What was owed has been given.
    Spent,
}

impl Patience {
    /// Notes that something slow took so long.
    pub(super) fn note(&mut self, took: Duration) {
        if *self == Self::Untouched {
            *self = Self::Owed(took);
        }
    }

    /// How much longer a call may take whose deadline has passed.
    pub(super) fn more(&mut self) -> Option<Duration> {
        match std::mem::replace(self, Self::Spent) {
            Self::Owed(owed) => Some(owed),
            Self::Untouched | Self::Spent => None,
        }
    }
}

/// The data of one instance's store.
pub(super) struct State {
    pub(super) plugin: Name,
    pub(super) services: Arc<Services>,
    pub(super) kv: Arc<super::kv::Namespace>,
    pub(super) exchange: Option<Box<Exchange>>,
    responses: Vec<Option<Response>>,
    pub(super) prepared: Arc<Prepared>,
    pub(super) bytes: Bytes,
    pub(super) patience: Patience,
    /// What the call knows of a password that is tried beside the worker.
    pub(super) trial: Trial,
    pub(super) memory: MemoryGuard,
    /// Handles of WASI resources that the instance was given. They cannot be part of a snapshot.
    pub(super) wasi_handles: u32,
    /// Whether standard output and error become log lines: with the grant `log`.
    pub(super) prints: bool,
    pub(super) limits: Arc<Limits>,
}

impl State {
    pub(super) fn new(
        plugin: Name,
        services: Arc<Services>,
        kv: Arc<super::kv::Namespace>,
        limits: Arc<Limits>,
    ) -> Self {
        let memory = MemoryGuard { bytes: 0, bytes_max: limits.memory_bytes_max };
        let bytes = Bytes { host: limits.host_bytes_max, log: limits.log_bytes_max, log_dropped: 0 };
        Self {
            plugin,
            services,
            kv,
            exchange: None,
            responses: Vec::new(),
            prepared: Arc::default(),
            wasi_handles: 0,
            prints: false,
            bytes,
            patience: Patience::Untouched,
            trial: Trial::Impossible,
            memory,
            limits,
        }
    }

    /// Fills the budgets for the next call.
    pub(super) fn refill(&mut self) {
        self.patience = Patience::Untouched;
        self.bytes = Bytes { host: self.limits.host_bytes_max, log: self.limits.log_bytes_max, log_dropped: 0 };
    }

    /// Takes `bytes` from the call's host budget; a trap when it is used up.
    pub(super) fn spend(&mut self, bytes: usize) -> wasmtime::Result<()> {
        match self.bytes.host.checked_sub(bytes) {
            Some(left) => {
                self.bytes.host = left;
                Ok(())
            }
            None => Err(HostBytesExceeded(self.limits.host_bytes_max).into()),
        }
    }

    /// The exchange of the current call. A handle outlives no call, so its absence is a trap.
    pub(super) fn exchange(&mut self) -> wasmtime::Result<&mut Exchange> {
        self.exchange.as_deref_mut().ok_or_else(|| wasmtime::format_err!("there is no request in this call"))
    }

    /// The response behind a handle.
    pub(super) fn response(&mut self, number: u32) -> wasmtime::Result<&mut Response> {
        let response = if number == CURRENT {
            self.exchange.as_deref_mut().and_then(|exchange| exchange.response.as_mut())
        } else {
            self.responses.get_mut(number as usize - 1).and_then(Option::as_mut)
        };
        response.ok_or_else(|| wasmtime::format_err!("there is no such response in this call"))
    }

    /// Keeps a response that the plugin made and gives its number.
    pub(super) fn keep_response(&mut self, response: Response) -> wasmtime::Result<u32> {
        let free = self.responses.iter().position(Option::is_none).unwrap_or_else(|| {
            self.responses.push(None);
            self.responses.len() - 1
        });
        if free >= RESPONSES_MAX {
            wasmtime::bail!("more than {RESPONSES_MAX} responses at the same time");
        }
        if let Some(slot) = self.responses.get_mut(free) {
            *slot = Some(response);
        }
        Ok(u32::try_from(free)? + 1)
    }

    /// Whether the plugin holds responses that it made. Their handles cannot be part of a snapshot.
    pub(super) fn holds_responses(&self) -> bool {
        self.responses.iter().any(Option::is_some)
    }

    /// Takes a response that the plugin made out of the table.
    pub(super) fn take_response(&mut self, number: u32) -> Option<Response> {
        let index = (number as usize).checked_sub(1)?;
        self.responses.get_mut(index)?.take()
    }
}

/// The call handed the host more bytes than it may.
#[derive(Debug, thiserror::Error)]
#[error("handed the host more than {0} bytes (limits.host_bytes_max)")]
pub(super) struct HostBytesExceeded(pub(super) usize);

/// The plugin called a capability that it has not, and of which it had said that it can do without.
#[derive(Debug, thiserror::Error)]
#[error("called `{import}` without the grant `{grant}`")]
pub(super) struct NotGranted {
    pub(super) import: String,
    pub(super) grant: Grant,
}

/// The instance wanted more memory than it may have.
#[derive(Debug, thiserror::Error)]
#[error("needs more than {0} bytes of memory (limits.memory_bytes_max)")]
pub(super) struct MemoryExceeded(pub(super) usize);

/// Holds an instance's linear memories to its limit and remembers their size.
pub(super) struct MemoryGuard {
    /// Bytes of all linear memories together.
    pub(super) bytes: usize,
    bytes_max: usize,
}

impl ResourceLimiter for MemoryGuard {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let after = self.bytes.saturating_sub(current).saturating_add(desired);
        if after > self.bytes_max {
            // A trap and not a failed growth: the guest's allocator would turn that into a less telling abort.
            return Err(MemoryExceeded(self.bytes_max).into());
        }
        self.bytes = after;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 100_000)
    }
}
