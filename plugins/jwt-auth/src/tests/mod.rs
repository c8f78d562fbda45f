//! Behaviour from the token to the claims, with real signatures and without a gateway.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod configs;
mod issuer;
mod tokens;
