//! Plugin files that operators put in place and take away.
//!
//! A file gets into the folder only once it serves with the present configuration; the one before is kept. What the watcher notices of it
//! afterwards is nothing new, because the folder knows the file already.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::{self, Staged};
use super::edit::PluginEdit;
use super::perform::unfit;
use super::refusal::{Problem, Refusal};
use super::{Applied, Survival, Ticket, edit, joins, versions};
use crate::gateway::Gateway;
use crate::gateway::change::Prepared;
use crate::generation::{Generation, wanted};
use crate::names::Name;
use crate::plugin::{Change, Code, File, Unlisted};

/// Permissions of a plugin file that was not there before: no secret.
const MODE: u32 = 0o644;

impl Gateway {
    /// Puts a plugin file in place.
    pub(super) fn put_file(&mut self, plugin: &Name, code: &Arc<Code>) -> Result<Applied, Refusal> {
        let path = self.writable_file(plugin)?;
        self.scan()?;
        let file = Some((code.hash.to_string(), code.description.version.to_string()));
        if matches!(self.folder.file(plugin), Some(File::Good(former)) if former.hash == code.hash) {
            return Ok(Applied { file, ..self.unchanged() });
        }
        let mut folder = self.folder.clone();
        folder.put(plugin.clone(), Arc::clone(code), None);
        let config = Arc::clone(&self.generation.config);
        let mut prepared = self.prepare_with(config, folder, Change::Folder).map_err(unfit)?;
        self.check_serves(&prepared, plugin, code)?;
        let mut notes = joins::joins(&self.generation, &prepared.generation);
        notes.extend(self.keep_file(plugin)?);
        let is_new = fs::symlink_metadata(&path).is_err();
        let staged = Staged::new(&path, &code.bytes);
        let staged = if is_new { staged.and_then(|staged| staged.with_mode(MODE)) } else { staged };
        let metadata = staged.and_then(Staged::commit).map_err(|error| unwritable(&path, &error))?;
        prepared.folder.put(plugin.clone(), Arc::clone(code), Some(&metadata));
        let generation = prepared.generation.number;
        self.accept(prepared);
        // It is in the folder, whatever becomes of the document.
        Ok(Applied { generation, survival: Survival::Survives, notes, file, ..self.unchanged() })
    }

    /// Takes a plugin's file and entry away.
    pub(super) fn remove_plugin(&mut self, ticket: &Ticket, plugin: &Name) -> Result<Applied, Refusal> {
        self.know(plugin)?;
        self.check_unedited()?;
        self.scan()?;
        let looks = self.look();
        let before = Arc::clone(&self.generation.config.written);
        let mut document = (*before).clone();
        edit::remove(&mut document, plugin)?;
        let config = self.examined(&document)?;
        let path = match self.folder.file(plugin) {
            Some(_) => Some(self.writable_file(plugin)?),
            None => None,
        };
        let mut folder = self.folder.clone();
        folder.take_out(plugin);
        let prepared = self.prepare_with(Arc::new(config), folder, Change::Configuration).map_err(unfit)?;
        let mut applied = self.about_to(&document, Some(&prepared));
        if document != *before {
            disk::writable(&self.source.file).map_err(|why| {
                Refusal::ReadOnly(format!(
                    "{why}: it would name a plugin without a file, and the gateway could not start again"
                ))
            })?;
        }
        let kept = self.keep_file(plugin)?;
        let gone = path.as_ref().map(|path| format!("{} is taken away", path.display()));
        let removed = path.map(|path| self.put_aside(plugin, path)).transpose()?;
        let mut written = match self.write(ticket, &document) {
            Ok(written) => written,
            Err(refusal) => {
                removed.into_iter().for_each(Aside::put_back);
                // It was valid a moment ago; where nothing can be written, it is what it was.
                let _ = self.write_main(&before);
                return Err(refusal);
            }
        };
        removed.into_iter().for_each(Aside::remove);
        written.notes.extend(kept);
        self.forget_refused();
        self.settle(prepared, &written, looks);
        applied.etag = self.unchanged().etag;
        applied.survival = written.survival;
        applied.notes.extend(gone.into_iter().chain(written.notes));
        Ok(applied)
    }

    /// Takes the file of a plugin out of the folder. Whenever a crash comes, the plugin never runs without what the configuration says of it:
    /// it is switched off there first, as what is switched off needs no file.
    fn put_aside(&self, plugin: &Name, path: PathBuf) -> Result<Aside, Refusal> {
        let before = &self.generation.config.written;
        let mut off = (**before).clone();
        edit::plugin(&mut off, plugin, PluginEdit { enabled: Some(false.into()), ..PluginEdit::default() }, &[])?;
        self.write_main(&off)?;
        let put = Aside::new(path);
        put.map_err(|error| {
            let _ = self.write_main(before);
            Refusal::Storage(format!("{plugin}.wasm cannot be removed: {error}"))
        })
    }

    /// Keeps the files of plugins that were replaced or taken away by other means, so that they can be had back.
    pub(in crate::gateway) fn keep_former(&self, before: &Generation) {
        let state = &self.generation.config.state;
        if !state.is_dir() {
            return;
        }
        for (name, former, _) in before.roster.plugins() {
            let now = self.generation.roster.plugins().find(|(known, _, _)| *known == name);
            if now.is_none_or(|(_, code, _)| code.hash != former.hash)
                && let Err(error) = versions::keep(state, name, former)
            {
                tracing::warn!(plugin = %name, %error, "the former file is not kept");
            }
        }
    }

    /// Keeps the present file of a plugin before it goes; gives a note where that is not possible.
    fn keep_file(&self, plugin: &Name) -> Result<Option<String>, Refusal> {
        let state = &self.generation.config.state;
        let kept = match self.folder.file(plugin) {
            None => return Ok(None),
            Some(File::Bad(_)) => return Ok(Some("the former file was no plugin and is not kept".to_owned())),
            Some(File::Good(former)) => versions::keep(state, plugin, former),
        };
        match kept {
            Ok(()) => Ok(None),
            Err(error) if disk::is_forbidden(&error) => Ok(Some(format!(
                "the former file is not kept, since {} cannot be written to: {error}",
                state.display()
            ))),
            Err(error) => Err(Refusal::Storage(format!("the former file cannot be kept: {error}"))),
        }
    }

    /// Whether a file that was tried would serve where the configuration wants that; what does not serve is not put in place.
    fn check_serves(&self, prepared: &Prepared, plugin: &Name, code: &Code) -> Result<(), Refusal> {
        let wanted = wanted(&prepared.generation.config);
        let listed = wanted.order.contains(&plugin) || wanted.disabled.contains(plugin);
        let expected = wanted.entries.iter().any(|entry| entry.plugin == *plugin)
            || wanted.unlisted == Unlisted::Append && !listed;
        let mut plugins = prepared.generation.roster.plugins();
        let serves = plugins.any(|(name, now, _)| name == plugin && now.hash == code.hash);
        if !expected || serves {
            return Ok(());
        }
        let problems = prepared.problems.iter().filter(|problem| !self.problems.contains(problem));
        Err(Refusal::Invalid(problems.flat_map(|problem| Problem::of_plugin(&problem.plugin, &problem.what)).collect()))
    }

    fn writable_file(&self, plugin: &Name) -> Result<PathBuf, Refusal> {
        let path = self.folder.path().join(format!("{plugin}.wasm"));
        disk::writable(&path).map_err(Refusal::ReadOnly)?;
        Ok(path)
    }

    fn scan(&mut self) -> Result<(), Refusal> {
        let scanned = self.folder.scan(&self.services);
        scanned.map_err(|error| Refusal::Storage(format!("{} cannot be read: {error}", self.folder.path().display())))
    }
}

/// The file of a plugin that is about to go, under a name that no plugin has.
struct Aside {
    path: PathBuf,
    aside: PathBuf,
}

impl Aside {
    fn new(path: PathBuf) -> io::Result<Self> {
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".portcullis-removed");
        let aside = path.with_file_name(name);
        fs::rename(&path, &aside)?;
        let put = Self { path, aside };
        match disk::sync_folder(&put.path) {
            Ok(()) => Ok(put),
            Err(error) => {
                put.put_back();
                Err(error)
            }
        }
    }

    fn put_back(self) {
        if let Err(error) = fs::rename(&self.aside, &self.path) {
            tracing::error!(path = %self.aside.display(), %error, "the plugin's file cannot be put back");
        }
    }

    fn remove(self) {
        let removed = fs::remove_file(&self.aside).and_then(|()| disk::sync_folder(&self.path));
        if let Err(error) = removed {
            tracing::warn!(path = %self.aside.display(), %error, "what is left of a plugin cannot be removed");
        }
    }
}

fn unwritable(path: &std::path::Path, error: &io::Error) -> Refusal {
    let what = format!("{} cannot be written: {error}", path.display());
    if disk::is_forbidden(error) { Refusal::ReadOnly(what) } else { Refusal::Storage(what) }
}
