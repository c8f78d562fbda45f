//! `log`, `kv` and `clock`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::contract::kv::KvError;
use super::contract::log::Level;
use super::contract::{clock, kv, log};
use crate::plugin::state::State;
use crate::time;

/// Where the log lines of plugins can be filtered: `plugin=debug`.
macro_rules! at {
    ($level:expr, $($rest:tt)*) => {
        match $level {
            Level::Error => tracing::error!(target: "plugin", $($rest)*),
            Level::Warn => tracing::warn!(target: "plugin", $($rest)*),
            Level::Info => tracing::info!(target: "plugin", $($rest)*),
            Level::Debug => tracing::debug!(target: "plugin", $($rest)*),
            Level::Trace => tracing::trace!(target: "plugin", $($rest)*),
        }
    };
}

fn enabled(level: Level) -> bool {
    match level {
        Level::Error => tracing::enabled!(target: "plugin", tracing::Level::ERROR),
        Level::Warn => tracing::enabled!(target: "plugin", tracing::Level::WARN),
        Level::Info => tracing::enabled!(target: "plugin", tracing::Level::INFO),
        Level::Debug => tracing::enabled!(target: "plugin", tracing::Level::DEBUG),
        Level::Trace => tracing::enabled!(target: "plugin", tracing::Level::TRACE),
    }
}

/// `name=value` pairs as one text.
struct Pairs<'a>(&'a [(String, String)]);

impl fmt::Display for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{name}={value:?}")?;
        }
        Ok(())
    }
}

/// The message on one line: a line break could pretend to be another line of the log.
fn one_line(message: &str) -> Cow<'_, str> {
    if message.chars().any(char::is_control) { message.escape_debug().to_string().into() } else { message.into() }
}

impl State {
    /// Takes what a log line costs from the call's log budget; false when it does not fit any more.
    fn may_log(&mut self, bytes: usize) -> bool {
        match self.bytes.log.checked_sub(bytes) {
            Some(left) => {
                self.bytes.log = left;
                true
            }
            None => {
                self.bytes.log_dropped += 1;
                false
            }
        }
    }

    fn request_id(&self) -> &str {
        self.exchange.as_ref().and_then(|exchange| exchange.id.to_str().ok()).unwrap_or("")
    }

    /// Output of the guest's runtime, such as a panic message.
    pub(super) fn print(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end();
        if self.prints && !text.is_empty() && self.may_log(bytes.len()) {
            tracing::warn!(target: "plugin", plugin = %self.plugin, request_id = self.request_id(), output = text);
        }
    }
}

impl log::Host for State {
    fn enabled(&mut self, level: Level) -> wasmtime::Result<bool> {
        Ok(enabled(level))
    }

    fn write(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        let bytes = message.len() + fields.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
        if enabled(level) && self.may_log(bytes) {
            let (plugin, request_id) = (&self.plugin, self.request_id());
            let message = one_line(&message);
            if fields.is_empty() {
                at!(level, %plugin, request_id, "{message}");
            } else {
                at!(level, %plugin, request_id, fields = %Pairs(&fields), "{message}");
            }
        }
        Ok(())
    }
}

impl clock::Host for State {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(time::unix().as_millis())?)
    }

    fn monotonic_ns(&mut self) -> wasmtime::Result<u64> {
        Ok(self.services.monotonic_ns())
    }
}

fn kv_error(error: crate::plugin::kv::KvError) -> KvError {
    use crate::plugin::kv::KvError as Error;
    match error {
        Error::TooLarge => KvError::TooLarge,
        Error::Quota => KvError::Quota,
        Error::NotANumber => KvError::NotANumber,
    }
}

fn ttl(milliseconds: Option<u64>) -> Option<Duration> {
    milliseconds.map(Duration::from_millis)
}

impl kv::Host for State {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.kv.get(&key, time::now()).map(|value| value.to_vec()))
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> wasmtime::Result<Result<(), KvError>> {
        self.spend(key.len() + value.len())?;
        Ok(self.kv.set(&key, value.into(), ttl(ttl_ms), time::now()).map_err(kv_error))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<bool> {
        Ok(self.kv.delete(&key, time::now()))
    }

    fn compare_and_swap(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> wasmtime::Result<Result<bool, KvError>> {
        self.spend(key.len() + value.len())?;
        let expected = expected.as_deref();
        Ok(self.kv.compare_and_swap(&key, expected, value.into(), ttl(ttl_ms), time::now()).map_err(kv_error))
    }

    fn increment(&mut self, key: String, delta: i64, ttl_ms: Option<u64>) -> wasmtime::Result<Result<i64, KvError>> {
        Ok(self.kv.increment(&key, delta, ttl(ttl_ms), time::now()).map_err(kv_error))
    }
}
