//! Changes that an operator needs most when something else is wrong: an endpoint drains or weighs less, a plugin is switched off.
//!
//! Where the whole document cannot be taken over because of what was wrong before (a list in another file, a plugin whose file is gone), such a
//! change is made of what serves instead, and everything else stays as it serves. What the change itself would break is refused.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::edit::EndpointEdit;
use super::perform::{Written, unfit};
use super::refusal::{Problem, Refusal};
use super::{Applied, Survival, Ticket};
use crate::config::Config;
use crate::gateway::Gateway;
use crate::names::Name;
use crate::plugin::Change;
use crate::upstream::Duty;

/// A change that can be made of a configuration that serves.
#[derive(Debug)]
pub(super) enum Aside {
    /// This plugin does not run any more.
    Off(Name),
    /// The endpoint at this place of an upstream has another weight or duty.
    Endpoint { upstream: String, place: usize, weight: Option<u16>, duty: Option<Duty> },
}

impl Aside {
    /// What an edit of an endpoint means.
    pub(super) fn endpoint(place: usize, edit: EndpointEdit<'_>) -> Self {
        // What is taken away stands for its default.
        let weight = edit.weight.map(|weight| weight.as_u64().and_then(|weight| weight.try_into().ok()).unwrap_or(1));
        let duty = edit.drain.map(|drain| if drain == Value::Bool(true) { Duty::Drains } else { Duty::Serves });
        Self::Endpoint { upstream: edit.upstream.to_owned(), place, weight, duty }
    }

    /// The part of the document that it changes.
    fn part(&self) -> &'static str {
        match self {
            Self::Off(_) => "plugins",
            Self::Endpoint { .. } => "upstreams",
        }
    }

    /// Changes what serves. Whether that makes sense.
    fn change(&self, config: &mut Config) -> bool {
        match self {
            Self::Off(plugin) => {
                config.plugins.chain.retain(|entry| entry.plugin != *plugin);
                config.routes.iter_mut().for_each(|route| route.chain.retain(|entry| entry.plugin != *plugin));
                if !config.plugins.disabled.contains(plugin) {
                    config.plugins.disabled.push(plugin.clone());
                }
                true
            }
            Self::Endpoint { upstream, place, weight, duty } => {
                let mut upstreams = config.upstreams.iter_mut();
                let Some(upstream) = upstreams.find(|known| known.name.as_str() == upstream) else { return false };
                let Some(share) = upstream.endpoints.get_mut(*place) else { return false };
                (share.weight, share.duty) = (weight.unwrap_or(share.weight), duty.unwrap_or(share.duty));
                upstream.endpoints.iter().any(|share| share.duty == Duty::Serves)
            }
        }
    }
}

/// What keeps the whole document from being taken over.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// These are wrong with it.
    Wrong(Vec<Problem>),
    /// The main file has been edited, and that does not serve.
    Edited(PathBuf),
}

impl Obstacle {
    fn refusal(self, problems: Vec<Problem>) -> Refusal {
        match self {
            Self::Edited(file) if problems.is_empty() => Refusal::Edited { file },
            Self::Wrong(_) | Self::Edited(_) => Refusal::Invalid(problems),
        }
    }
}

/// What an operator has to know of what is wrong besides.
fn told(problems: &[Problem], survival: &Survival) -> Option<String> {
    let what = problems.iter().map(|problem| format!("{}: {}; {}", problem.path, problem.what, problem.remedy));
    let what = what.collect::<Vec<_>>().join(", ");
    let ends = match survival {
        Survival::Survives => "; until that is repaired the gateway cannot start again",
        Survival::Lost(_) => "",
    };
    (!what.is_empty()).then(|| format!("something else is wrong and stays as it served before: {what}{ends}"))
}

impl Gateway {
    /// Makes a change of what serves although there is an obstacle, if that was there before.
    pub(super) fn take_aside(
        &mut self,
        ticket: &Ticket,
        document: &Value,
        aside: &Aside,
        obstacle: Obstacle,
    ) -> Result<Applied, Refusal> {
        if *document == *self.generation.config.written {
            return Ok(self.unchanged());
        }
        let looks = self.look();
        let problems = match &obstacle {
            Obstacle::Wrong(problems) => problems.clone(),
            Obstacle::Edited(_) => match self.examined(document) {
                Ok(_) => Vec::new(),
                Err(Refusal::Invalid(problems)) => problems,
                Err(other) => return Err(other),
            },
        };
        let serving = Arc::clone(&self.generation.config);
        // Nothing can be said of an overlay that decides about this and cannot be read.
        let part = |document: &Value| document.get(aside.part()).cloned();
        let is_overlaid = part(&serving.merged) != part(&serving.written);
        let present = if problems.is_empty() { Vec::new() } else { self.present_problems() };
        if is_overlaid || !problems.iter().all(|problem| present.contains(problem)) {
            return Err(obstacle.refusal(problems));
        }
        let mut config = (*serving).clone();
        if !aside.change(&mut config) {
            return Err(obstacle.refusal(problems));
        }
        let mut merged = (*serving.merged).clone();
        if let (Some(merged), Some(part)) = (merged.as_object_mut(), part(document)) {
            merged.insert(aside.part().to_owned(), part);
        }
        (config.written, config.merged) = (Arc::new(document.clone()), Arc::new(merged));
        // As for a change of the folder: what does not work keeps the version that serves.
        let prepared = self.prepare_with(Arc::new(config), self.folder.clone(), Change::Folder).map_err(unfit)?;
        if let Aside::Off(plugin) = aside
            && prepared.generation.roster.plugins().any(|(name, _, _)| name == plugin)
        {
            let problems = prepared.problems.iter();
            let problems = problems.flat_map(|problem| Problem::of_plugin(&problem.plugin, &problem.what));
            return Err(Refusal::Invalid(problems.collect()));
        }
        let mut applied = self.about_to(document, Some(&prepared));
        let written = match &obstacle {
            Obstacle::Wrong(_) => self.write(ticket, document)?,
            // The edit is not overwritten, and counts once it is repaired.
            Obstacle::Edited(file) => Written {
                survival: Survival::Lost(format!(
                    "{} says something else than what serves, and is what counts once it can be taken over; write the change into it, too",
                    file.display()
                )),
                notes: Vec::new(),
            },
        };
        self.settle(prepared, &written, looks);
        if let (Obstacle::Edited(_), Some(held)) = (&obstacle, &mut self.desk.held) {
            held.beside_an_edit = true;
        }
        applied.etag = self.unchanged().etag;
        applied.survival = written.survival;
        applied.notes.extend(told(&problems, &applied.survival).into_iter().chain(written.notes));
        Ok(applied)
    }

    /// What is wrong with the document that serves, as things are now.
    fn present_problems(&mut self) -> Vec<Problem> {
        let written = Arc::clone(&self.generation.config.written);
        let examined = self.examined(&written);
        match examined.and_then(|config| self.prepare(config).map_err(unfit)) {
            Err(Refusal::Invalid(problems)) => problems,
            Ok(_) | Err(_) => Vec::new(),
        }
    }
}
