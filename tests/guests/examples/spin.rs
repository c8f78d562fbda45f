//! Never comes back from the hook that its configuration names.

use std::hint::black_box;

use portcullis_sdk::prelude::*;

fn spin(_: &str) -> Result<()> {
    let mut turns = 0_u64;
    // black_box, or the compiler may notice that nothing is ever done here.
    while black_box(true) {
        turns = black_box(turns.wrapping_add(1));
    }
    Ok(())
}

portcullis_guests::in_one_hook!("spin", spin);
