//! Traps, by panicking, in the hook that its configuration names.

use portcullis_sdk::prelude::*;

#[allow(clippy::panic, reason = "this is what it is for")]
fn trap(hook: &str) -> Result<()> {
    panic!("trap-in panics in {hook}");
}

portcullis_guests::in_one_hook!("trap-in", trap);
