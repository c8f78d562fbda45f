//! The end-to-end test kit: an origin that plays the upstream, the real gateway process, and clients.
//!
//! A test reads as origin, gateway, client, assertion. Everything listens on port 0 of the loopback address; every wait
//! has a deadline; whatever is started ends with the value that stands for it. When a test fails, the gateway's
//! log is printed.
//!
//! The kit speaks HTTP/1.1 with a parser of its own, so that a mistake in the gateway's library is not made twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

pub mod artefacts;
pub mod client;
pub mod command;
pub mod gateway;
pub mod load;
pub mod logs;
pub mod origin;
pub mod page;
pub mod pebble;
pub mod redis;
pub mod sample;
pub mod setup;
pub mod token;
pub mod wire;

pub use client::{Client, Request};
pub use gateway::Gateway;
pub use load::Load;
pub use origin::{Gate, Origin, Reply};
pub use page::Page;
pub use pebble::{Pebble, Validation};
pub use redis::{RedisCluster, RedisSentinels, RedisServer};
pub use serde_json::{Value, from_slice as from_json, json};
pub use setup::Setup;
pub use wire::{Response, Seen};

use std::time::Duration;

/// Longest wait for anything. Long, because machines that build and test at once are slow; a test that fails takes
/// this long, one that passes does not.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for `future` until the deadline; `what` is what the failure says.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing for {} s", DEADLINE.as_secs()),
    }
}

/// Asks again and again until `found` gives something. For states that no event tells of.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut found: impl FnMut() -> F) -> T {
    in_time(what, async {
        loop {
            if let Some(value) = found().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}
