//! Cache look-up and storing, with the plugins' say in both.
use super::{Pipeline, walk::Walk, Route}; use crate::exchange::Failure;
impl Pipeline { pub(super) fn look_up(&self, _: &mut Walk<'_>, _: &Route) -> Result<(), Failure> { Ok(()) } pub(super) fn store(&self, _: &mut Walk<'_>, _: ()) {} }
