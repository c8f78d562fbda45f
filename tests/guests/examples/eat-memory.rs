//! Takes memory until there is no more, in the hook that its configuration names.

use std::hint::black_box;

use portcullis_sdk::prelude::*;

fn eat(_: &str) -> Result<()> {
    let mut eaten = Vec::new();
    while black_box(true) {
        // Touched, since untouched pages would cost nobody anything.
        eaten.push(black_box(vec![1_u8; 1024 * 1024]));
    }
    Err(Error::new(eaten.len()))
}

portcullis_guests::in_one_hook!("eat-memory", eat);
