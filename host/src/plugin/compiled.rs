//! Compiling components.

use wasmtime::Engine;
use wasmtime::component::Component;

use super::code::ContentHash;

/// The component of a file's content.
pub(super) fn component(engine: &Engine, _hash: ContentHash, bytes: &[u8]) -> wasmtime::Result<Component> {
    Component::from_binary(engine, bytes)
}
