//! `portcullis check`: everything that is wrong, at once, without serving anything.

use std::sync::Arc;

use super::{Files, print};
use crate::gateway::plugins;
use crate::plugin::metrics::Registry;
use crate::plugin::{Folder, Services};

pub(super) fn check(files: Files) -> anyhow::Result<()> {
    let file = files.config.display().to_string();
    let source = files.source(None, None);
    let (config, problems) = source.examine();
    let mut found: Vec<String> = problems.iter().flat_map(|problems| &problems.0).map(ToString::to_string).collect();
    let mut notes = Vec::new();
    if let Some(config) = &config {
        // What the plugins' own schemas refuse is found even while the rest is wrong.
        let services = Services::new(Arc::new(Registry::default())).map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut folder = Folder::new(config.plugins.directory.clone());
        match plugins(&services, &mut folder, config) {
            Ok((_, tolerable)) => notes.extend(tolerable.iter().map(ToString::to_string)),
            Err(error) => found.extend(error.to_string().lines().map(str::to_owned)),
        }
    }
    for note in notes {
        print(&format!("note: {note}\n"))?;
    }
    if found.is_empty() {
        return print(&format!("{file}: fine\n"));
    }
    let count = found.len();
    let noun = if count == 1 { "problem" } else { "problems" };
    anyhow::bail!("{}\n{file}: {count} {noun}", found.join("\n"))
}
