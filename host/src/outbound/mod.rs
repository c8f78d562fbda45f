//! Requests of our own to services that are told something: CDNs of purges, webhooks of alerts.
//!
//! Border: what is said, to whom and in which order is decided by those who say it. No secret of a request is ever shown.

mod call;
mod client;
mod retry;

pub use call::{Answer, Call, Outcome, Proof, Scope};
pub use client::{Client, Trust};
pub use retry::{Retries, chance};
