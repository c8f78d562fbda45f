//! How endpoints are: what active checks find, where their names lead, what workers count, and where all of it is looked up.

mod board;
mod check;
mod overseer;
mod report;
mod whereabouts;

pub use board::Board;
pub(super) use board::{Gauge, Reckoning, Site, Tally, Up, Vital};
pub use check::{Check, Expected, Initially};
pub use overseer::Overseer;
pub(super) use overseer::initially;
pub use report::{EndpointReport, UpstreamReport, expose};
pub(super) use whereabouts::{Whereabouts, name_of};
