//! Calls itself until the stack is full, in the hook that its configuration names.

use std::hint::black_box;

use portcullis_sdk::prelude::*;

fn recurse(_: &str) -> Result<()> {
    Err(Error::new(deeper(black_box(1))))
}

#[allow(unconditional_recursion, reason = "this is what it is for")]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    // The frame is used after the call, so that this is no loop in disguise.
    deeper(depth + 1) + frame.iter().sum::<u64>()
}

portcullis_guests::in_one_hook!("recurse", recurse);
