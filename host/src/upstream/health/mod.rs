//! How endpoints are: what active checks find, what workers count, and where all of it can be looked up.

mod board;

pub use board::{Board, EndpointReport, UpstreamReport};
pub(super) use board::{Reckoning, Site, Tally, Up, Vital};
