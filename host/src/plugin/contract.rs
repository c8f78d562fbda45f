//! The contract in `wit/` as Rust types, generated.
//!
//! The generated world struct is not used: it would demand every export. Each hook is looked up on its own instead.

#![allow(missing_docs, unreachable_pub, reason = "generated")]
#![allow(
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "generated"
)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "plugin",
    imports: { default: trappable },
    with: {
        "portcullis:plugin/types.request": super::state::RequestHandle,
        "portcullis:plugin/types.response": super::state::ResponseHandle,
    },
});
