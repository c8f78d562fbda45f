//! How the gateway's thread carries out an order.
//!
//! Examine → try the plugins → keep what was → write the main file → take over. Up to the writing a failure changes nothing; behind it nothing
//! can fail, and a crash leaves a file that was found valid.

use std::io;
use std::sync::Arc;

use serde_json::Value;

use super::aside::{Aside, Obstacle};
use super::desk::Held;
use super::disk::{self, Staged, Stamp};
use super::edit::EndpointEdit;
use super::edited::{Looks, Taken};
use super::order::{Order, Task};
use super::refusal::{Problem, Refusal};
use super::{Applied, Survival, Ticket, diff, edit, history, joins, restore};
use crate::config::{Config, Problems};
use crate::gateway::Gateway;
use crate::gateway::change::{Prepared, Unfit};
use crate::names::Name;

/// What became of a document on the disk.
pub(super) struct Written {
    pub(super) survival: Survival,
    pub(super) notes: Vec<String>,
}

impl Gateway {
    /// Carries out an order and answers it.
    pub(in crate::gateway) fn perform(&mut self, order: Order) {
        let Order { ticket, task, answer, .. } = order;
        let done = self.operate(&ticket, task);
        // Who has gone away does not want to know.
        let _ = answer.send(done);
    }

    fn operate(&mut self, ticket: &Ticket, task: Task) -> Result<Applied, Refusal> {
        let written = Arc::clone(&self.generation.config.written);
        ticket.check(&self.desk.facts.etag(&written))?;
        let mut document = (*written).clone();
        match task {
            Task::Validate(sent) => return self.validate(sent),
            Task::Diff(sent) => return Ok(self.compare(sent)),
            Task::Upload(plugin, code) => return self.put_file(&plugin, &code),
            Task::Remove(plugin) => return self.remove_plugin(ticket, &plugin),
            Task::Apply(sent) => document = self.restored(sent)?,
            Task::Rollback(id) => {
                document = history::read(&self.generation.config.state, &self.desk.facts.tags, &id, &written)?.1;
            }
            Task::Plugin(plugin, wanted) => {
                self.know(&plugin)?;
                let aside = wanted.only_switches_off().then(|| Aside::Off(plugin.clone()));
                edit::plugin(&mut document, &plugin, wanted, &self.unlisted())?;
                document = self.restored(document)?;
                return self.take_either_way(ticket, &document, aside);
            }
            Task::Chain(order) => edit::chain(&mut document, &order, &self.unlisted())?,
            Task::Endpoint { upstream, endpoint, weight, drain } => {
                let settings = self.generation.config.upstreams.iter().find(|known| known.name.as_str() == upstream);
                let shares = settings.iter().flat_map(|settings| &settings.endpoints);
                let called: Vec<String> = shares.map(|share| share.endpoint.to_string()).collect();
                // A name that has several addresses is shown with each of them; weight and duty are the name's.
                let endpoint = endpoint.split(" at ").next().unwrap_or_default();
                let wanted = EndpointEdit { upstream: &upstream, endpoint, called: &called, weight, drain };
                let place = edit::endpoint(&mut document, wanted.clone())?;
                let aside = Aside::endpoint(place, wanted);
                return self.take_either_way(ticket, &document, Some(aside));
            }
        }
        self.take(ticket, &document)
    }

    /// Takes a document over; where something else is wrong with it by now, only what is changed, beside what serves.
    fn take_either_way(&mut self, ticket: &Ticket, document: &Value, aside: Option<Aside>) -> Result<Applied, Refusal> {
        match (self.take(ticket, document), aside) {
            (Err(Refusal::Invalid(problems)), Some(aside)) => {
                self.take_aside(ticket, document, &aside, Obstacle::Wrong(problems))
            }
            (Err(Refusal::Edited { file }), Some(aside)) => {
                self.take_aside(ticket, document, &aside, Obstacle::Edited(file))
            }
            (done, _) => done,
        }
    }

    /// Takes a document over.
    fn take(&mut self, ticket: &Ticket, document: &Value) -> Result<Applied, Refusal> {
        self.check_unedited()?;
        let looks = self.look();
        let config = self.examined(document)?;
        if config.written == self.generation.config.written {
            return self.keep_again(ticket, document, looks);
        }
        let prepared = self.prepare(config).and_then(|prepared| self.open_outputs(prepared)).map_err(unfit)?;
        let mut applied = self.about_to(document, Some(&prepared));
        // Trying plugins takes a while.
        self.check_unedited()?;
        let written = self.write(ticket, document)?;
        self.forget_refused();
        self.settle(prepared, &written, looks);
        applied.etag = self.unchanged().etag;
        applied.survival = written.survival;
        applied.notes.extend(written.notes);
        Ok(applied)
    }

    /// Takes over what was prepared and written.
    pub(super) fn settle(&mut self, prepared: Prepared, written: &Written, looks: Looks) {
        let looks = looks.with(&prepared.generation.config);
        self.note_written(Arc::clone(&prepared.generation.config.written), written, looks);
        self.accept(prepared);
    }

    fn note_written(&mut self, document: Arc<Value>, written: &Written, looks: Looks) {
        let file = Stamp::of(&self.source.file);
        let held = match &written.survival {
            Survival::Survives => None,
            Survival::Lost(why) => Some((Held { document, file, beside_an_edit: false }, why.clone())),
        };
        self.hold(held);
        self.desk.taken = Some(Taken { file, looks });
    }

    /// Nothing changes; but what is in memory only is written where that is possible by now.
    fn keep_again(&mut self, ticket: &Ticket, document: &Value, looks: Looks) -> Result<Applied, Refusal> {
        let looks = looks.with(&self.generation.config);
        if self.desk.held.as_ref().is_some_and(|held| !held.beside_an_edit) && disk::writable(&self.source.file).is_ok()
        {
            let written = self.write(ticket, document)?;
            self.note_written(Arc::clone(&self.generation.config.written), &written, looks);
        }
        Ok(self.unchanged())
    }

    fn validate(&mut self, sent: Value) -> Result<Applied, Refusal> {
        let document = self.restored(sent)?;
        let config = self.examined(&document)?;
        self.prepare(config).map_err(unfit)?;
        Ok(self.unchanged())
    }

    /// What a document changes, also where it is not valid.
    fn compare(&self, mut sent: Value) -> Applied {
        let written = &self.generation.config.written;
        // What stands for nothing is shown as it was sent.
        restore::restore(&mut sent, &self.desk.facts.redacted(written), written);
        let mut compared = self.about_to(&sent, None);
        let examined = self.source.examine_document(&sent);
        if let Some(config) = examined.config.filter(|_| examined.problems.is_none()) {
            compared.restart_needed = self.waiting(&config);
        }
        compared
    }

    /// What is answered once a document serves.
    pub(super) fn about_to(&self, document: &Value, prepared: Option<&Prepared>) -> Applied {
        let written = &self.generation.config.written;
        let (before, after) = (self.desk.facts.redacted(written), self.desk.facts.redacted(document));
        let differences = diff::differences(written, document);
        let next = prepared.map(|prepared| &prepared.generation);
        Applied {
            generation: next.map_or(self.generation.number, |next| next.number),
            changes: differences.iter().map(|difference| difference.change(&before, &after)).collect(),
            restart_needed: next.map_or_else(Vec::new, |next| self.waiting(&next.config)),
            notes: next.map_or_else(Vec::new, |next| joins::joins(&self.generation, next)),
            ..self.unchanged()
        }
    }

    /// What is answered where nothing had to be done.
    pub(super) fn unchanged(&self) -> Applied {
        Applied {
            generation: self.generation.number,
            etag: self.desk.facts.etag(&self.generation.config.written),
            survival: self.desk.facts.held().map_or(Survival::Survives, Survival::Lost),
            notes: Vec::new(),
            changes: Vec::new(),
            restart_needed: Vec::new(),
            file: None,
        }
    }

    /// What was sent, with the secrets that it was sent without.
    fn restored(&self, mut sent: Value) -> Result<Value, Refusal> {
        let written = &self.generation.config.written;
        let lost = restore::restore(&mut sent, &self.desk.facts.redacted(written), written);
        if lost.is_empty() { Ok(sent) } else { Err(Refusal::Invalid(lost)) }
    }

    /// The configuration that a document makes; an error where it is wrong, or changes what an overlay decides.
    pub(super) fn examined(&self, document: &Value) -> Result<Config, Refusal> {
        let examined = self.source.examine_document(document);
        let written = &self.generation.config.written;
        for difference in diff::differences(written, document) {
            for leaf in difference.leaves(written, document) {
                if let Some(overlay) = examined.overlay_of(&leaf) {
                    return Err(Refusal::Overridden { path: leaf.from_root(), overlay: overlay.to_owned() });
                }
            }
        }
        if let Some(Problems(problems)) = examined.problems {
            return Err(Refusal::Invalid(problems.iter().map(Problem::from).collect()));
        }
        examined.config.ok_or_else(|| Refusal::Invalid(Vec::new()))
    }

    /// Whether there is such a plugin: in the chain or in the folder.
    pub(super) fn know(&self, plugin: &Name) -> Result<(), Refusal> {
        let settings = &self.generation.config.plugins;
        let listed = settings.chain.iter().any(|entry| entry.plugin == *plugin) || settings.disabled.contains(plugin);
        if listed || self.folder.file(plugin).is_some() { Ok(()) } else { Err(Refusal::no_plugin(plugin)) }
    }

    fn unlisted(&self) -> Vec<Name> {
        self.generation.roster.unlisted().map(|loaded| loaded.name.clone()).collect()
    }

    /// Keeps what was and writes a document to the main file.
    pub(super) fn write(&self, ticket: &Ticket, document: &Value) -> Result<Written, Refusal> {
        let mut notes = Vec::new();
        let staged = match self.keep_history(ticket, document) {
            Ok(staged) => Some(staged),
            Err(error) if disk::is_forbidden(&error) => {
                let state = self.generation.config.state.display();
                notes.push(format!("no history is kept, since {state} cannot be written to: {error}"));
                None
            }
            Err(error) => return Err(Refusal::Storage(format!("the history cannot be kept: {error}"))),
        };
        let survival = self.write_main(document)?;
        if let Some(Err(error)) = staged.map(Staged::commit) {
            notes.push(format!("the history lacks this change: {error}"));
        }
        history::prune(&self.generation.config.state);
        Ok(Written { survival, notes })
    }

    /// Makes sure that what was is in the history, and stages what will be.
    fn keep_history(&self, ticket: &Ticket, document: &Value) -> io::Result<Staged> {
        let (config, tags) = (&self.generation.config, &self.desk.facts.tags);
        if !history::has(&config.state, &config.written) {
            history::prepare(&config.state, tags, &config.written, &found("found in the main file"))?.commit()?;
        }
        history::prepare(&config.state, tags, document, ticket)
    }

    pub(super) fn write_main(&self, document: &Value) -> Result<Survival, Refusal> {
        let file = &self.source.file;
        if let Err(why) = disk::writable(file) {
            return Ok(Survival::Lost(why));
        }
        let text = format!("{document:#}\n");
        match Staged::new(file, text.as_bytes()).and_then(Staged::commit) {
            Ok(_) => Ok(Survival::Survives),
            Err(error) if disk::is_forbidden(&error) => {
                Ok(Survival::Lost(format!("{} cannot be replaced: {error}", file.display())))
            }
            Err(error) => Err(Refusal::Storage(format!("{} cannot be written: {error}", file.display()))),
        }
    }

    /// What could be understood of the configuration as it is now: of the file, or of what an order changed in memory since.
    pub(in crate::gateway) fn examine(&self) -> (Option<Config>, Option<Problems>) {
        match &self.desk.held {
            Some(held) if !held.beside_an_edit && held.file == Stamp::of(&self.source.file) => {
                let examined = self.source.examine_document(&held.document);
                (examined.config, examined.problems)
            }
            _ => self.source.examine(),
        }
    }

    /// Notes that what serves came from the files. Where there is a history, it goes there.
    pub(in crate::gateway) fn found_in_file(&mut self) {
        self.desk.taken = None;
        let is_over = |held: &Held| held.beside_an_edit || held.file != Stamp::of(&self.source.file);
        if self.desk.held.as_ref().is_some_and(is_over) {
            self.hold(None);
        }
        let (config, tags) = (&self.generation.config, &self.desk.facts.tags);
        if !config.state.is_dir() || history::has(&config.state, &config.written) {
            return;
        }
        let staged = history::prepare(&config.state, tags, &config.written, &found("found in the main file"));
        match staged.and_then(Staged::commit) {
            Ok(_) => history::prune(&config.state),
            Err(error) => tracing::warn!(%error, "the history of configurations lacks the present one"),
        }
    }
}

/// Who changes what an operator did not change here.
fn found(action: &str) -> Ticket {
    Ticket { actor: "file".to_owned(), action: action.to_owned(), if_match: None }
}

/// What is answered where a valid document cannot take over.
pub(super) fn unfit(unfit: Unfit) -> Refusal {
    match unfit {
        Unfit::Plugins(problems) => {
            let problems = problems.into_iter().flat_map(|problem| Problem::of_plugin(&problem.plugin, &problem.what));
            Refusal::Invalid(problems.collect())
        }
        Unfit::Folder(what) | Unfit::Plan(what) => Refusal::Invalid(vec![Problem::of_text("$", &what)]),
    }
}
