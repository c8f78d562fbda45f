//! The plugins that a configuration wants, and what is wrong with them in words that anybody may read.
//!
//! Plugins may repeat what they were configured with, so what they say is never told as it came.

use std::sync::Arc;

use super::{StartError, operate};
use crate::config::{Config, Hidden};
use crate::generation::wanted;
use crate::plugin::{Change, Folder, Problem, Roster, Services};

/// One line for each problem.
pub(super) fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Loads what a configuration wants of the plugin folder.
pub fn plugins(
    services: &Arc<Services>,
    folder: &mut Folder,
    config: &Config,
) -> Result<(Roster, Vec<Problem>), StartError> {
    folder.scan(services).map_err(|error| StartError::Folder { path: folder.path().to_owned(), error })?;
    let next = Roster::default().next(services, folder, &wanted(config), Change::Configuration);
    let hidden = || operate::hidden(config, folder);
    let (roster, problems) = next.map_err(|refused| StartError::Plugins(covered(refused.0, hidden)))?;
    Ok((roster, covered(problems, hidden)))
}

/// Problems without what must not be read in messages.
pub(super) fn covered(problems: Vec<Problem>, hidden: impl Fn() -> Hidden) -> Vec<Problem> {
    if problems.is_empty() {
        return problems;
    }
    let hidden = hidden();
    let covered = |Problem { plugin, what }| Problem { what: hidden.cover_all(&what).into_owned(), plugin };
    problems.into_iter().map(covered).collect()
}
