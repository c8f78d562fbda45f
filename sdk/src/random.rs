//! Random bytes from the runtime itself (WASI `random`): always there, no grant needed.
//!
//! [`crypto::random`](crate::crypto::random) gives the same quality, but a component that calls it is only loaded with
//! the `crypto` grant.

/// Fills `bytes`, 256 at most, from the system's generator. False where the system has none to give; then `bytes` must not be used.
#[must_use]
pub fn fill(bytes: &mut [u8]) -> bool {
    system::fill(bytes)
}

#[cfg(target_arch = "wasm32")]
mod system {
    unsafe extern "C" {
        /// wasi-libc's door to `wasi:random/random`; 256 bytes at most, as in POSIX.
        fn getentropy(buffer: *mut u8, length: usize) -> i32;
    }

    pub(super) fn fill(bytes: &mut [u8]) -> bool {
        // SAFETY: pointer and length describe one live, writable slice, and `getentropy` writes nowhere else.
        unsafe { getentropy(bytes.as_mut_ptr(), bytes.len()) == 0 }
    }
}

/// Only for tests on the native target, where no gateway is: differs from call to call, is no secret.
#[cfg(not(target_arch = "wasm32"))]
mod system {
    use std::hash::{BuildHasher, RandomState};

    pub(super) fn fill(bytes: &mut [u8]) -> bool {
        for chunk in bytes.chunks_mut(8) {
            let word = RandomState::new().hash_one(0_u8).to_le_bytes();
            chunk.iter_mut().zip(word).for_each(|(byte, random)| *byte = random);
        }
        true
    }
}
