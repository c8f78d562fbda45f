//! Compiles how HTTP/2 is spoken on a listener. What is not written has the listener's defaults.

use super::super::file;
use crate::listener::{Allowance, Http2};

pub(super) fn compile(written: Option<&file::Http2>) -> Http2 {
    let mut http2 = Http2::default();
    let Some(written) = written else { return http2 };
    http2.enabled = written.enabled.unwrap_or(http2.enabled);
    http2.streams_max = number(written.streams_max, http2.streams_max);
    http2.stream_window_bytes = number(written.stream_window_bytes, http2.stream_window_bytes);
    http2.connection_window_bytes = number(written.connection_window_bytes, http2.connection_window_bytes);
    if let Some(millis) = written.stall_timeout_ms {
        http2.stall_timeout = std::time::Duration::from_millis(millis);
    }
    http2.resets = allowance(written.resets.as_ref(), http2.resets);
    http2.controls = allowance(written.controls.as_ref(), http2.controls);
    http2
}

fn allowance(written: Option<&file::Allowance>, default: Allowance) -> Allowance {
    Allowance {
        burst: number(written.and_then(|w| w.burst), default.burst),
        per_second: number(written.and_then(|w| w.per_second), default.per_second),
    }
}

/// The schema's limits are below what a `u32` holds.
fn number(written: Option<u64>, default: u32) -> u32 {
    written.map_or(default, |written| u32::try_from(written).unwrap_or(u32::MAX))
}
