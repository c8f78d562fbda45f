//! Lines, byte by byte; what is dropped and counted; files that are laid aside, moved and full.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
