//! Writes to the gateway's log (WIT `log`). Grant: `log`.
//!
//! The macros [`error!`](crate::error!), [`warn!`](crate::warn!), [`info!`](crate::info!), [`debug!`](crate::debug!) and
//! [`trace!`](crate::trace!) format their message only where it would be written. Fields come first and end with a
//! semicolon:
//!
//! ```no_run
//! # use portcullis_sdk::prelude::*;
//! # let (route, milliseconds) = ("api", 812);
//! warn!(route = route, duration_ms = milliseconds; "slow request");
//! debug!("{route} is warm");
//! ```

use crate::raw::log;

pub use crate::raw::log::Level;

/// Whether a message of this level would be written. One call into the gateway.
#[must_use]
pub fn enabled(level: Level) -> bool {
    log::enabled(level)
}

/// Writes one message with its fields. The gateway adds the plugin's name and the request id.
pub fn write(level: Level, message: &str, fields: &[(String, String)]) {
    log::write(level, message, fields);
}

/// Writes a message of a level that is given as the first argument, where that level is enabled.
#[macro_export]
macro_rules! log {
    ($level:expr, $($field:ident = $value:expr),+ ; $($message:tt)+) => {
        if $crate::log::enabled($level) {
            $crate::log::write($level, &::std::format!($($message)+), &[
                $((::std::stringify!($field).to_owned(), ::std::string::ToString::to_string(&$value))),+
            ]);
        }
    };
    ($level:expr, $($message:tt)+) => {
        if $crate::log::enabled($level) {
            $crate::log::write($level, &::std::format!($($message)+), &[]);
        }
    };
}

/// The operator must act.
#[macro_export]
macro_rules! error { ($($message:tt)+) => { $crate::log!($crate::log::Level::Error, $($message)+) }; }

/// The operator should look.
#[macro_export]
macro_rules! warn { ($($message:tt)+) => { $crate::log!($crate::log::Level::Warn, $($message)+) }; }

/// Life cycle.
#[macro_export]
macro_rules! info { ($($message:tt)+) => { $crate::log!($crate::log::Level::Info, $($message)+) }; }

/// For who writes the plugin.
#[macro_export]
macro_rules! debug { ($($message:tt)+) => { $crate::log!($crate::log::Level::Debug, $($message)+) }; }

/// For who writes the plugin, in detail.
#[macro_export]
macro_rules! trace { ($($message:tt)+) => { $crate::log!($crate::log::Level::Trace, $($message)+) }; }
