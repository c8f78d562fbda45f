//! The files that a plugin had: `<state>/plugins/NAME/HASH.wasm`, each with a note of its version.
//!
//! A file is known by the hash of its content, which is looked at again when it is read. The number is bounded; the oldest go first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Value, json};

use super::disk::{self, Staged};
use super::refusal::Refusal;
use crate::names::Name;
use crate::plugin::{Code, ContentHash};

/// Files that are kept of a plugin.
const FILES_MAX: usize = 10;

/// A file that a plugin had, or has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The SHA-256 of its content in hexadecimal digits.
    pub hash: String,
    /// The version that it says it is.
    pub version: String,
    /// Its length.
    pub bytes: u64,
    /// When it was kept, as time since the Unix epoch; none where only the plugin folder has it.
    pub stored_at: Option<Duration>,
    /// Whether it is the one in place.
    pub current: bool,
}

fn folder(state: &Path, plugin: &Name) -> PathBuf {
    state.join("plugins").join(plugin.as_str())
}

/// Keeps a file, unless it is kept already.
pub(super) fn keep(state: &Path, plugin: &Name, code: &Code) -> io::Result<()> {
    let folder = folder(state, plugin);
    let (file, note) = (folder.join(format!("{}.wasm", code.hash)), folder.join(format!("{}.json", code.hash)));
    if note.is_file() && fs::metadata(&file).is_ok_and(|metadata| metadata.len() == code.bytes.len() as u64) {
        return Ok(());
    }
    disk::private_folder(state)?;
    disk::private_folder(&folder)?;
    let described = json!({ "version": code.description.version.to_string(), "name": code.description.name });
    let file = Staged::new(&file, &code.bytes)?;
    let note = Staged::new(&note, described.to_string().as_bytes())?;
    file.commit()?;
    note.commit()?;
    prune(&folder, &code.hash.to_string());
    Ok(())
}

/// Takes away what is too much, but not this one.
fn prune(folder: &Path, just_kept: &str) {
    let mut kept: Vec<_> = stored(folder).into_iter().filter(|version| version.hash != just_kept).collect();
    kept.sort_by_key(|version| version.stored_at);
    for version in kept.iter().take((kept.len() + 1).saturating_sub(FILES_MAX)) {
        for end in ["wasm", "json"] {
            let _ = fs::remove_file(folder.join(format!("{}.{end}", version.hash)));
        }
    }
}

/// What is kept of a plugin, the newest first, and what is in place before that.
pub(super) fn list(state: &Path, plugin: &Name, current: Option<&Code>) -> Vec<Version> {
    let mut versions = stored(&folder(state, plugin));
    versions.sort_by_key(|version| std::cmp::Reverse(version.stored_at));
    if let Some(code) = current {
        let hash = code.hash.to_string();
        let known = versions.iter().position(|version| version.hash == hash).map(|index| versions.remove(index));
        let stored_at = known.and_then(|known| known.stored_at);
        let version = code.description.version.to_string();
        versions.insert(0, Version { hash, version, bytes: code.bytes.len() as u64, stored_at, current: true });
    }
    versions
}

/// The content of a file that is kept.
pub(super) fn read(state: &Path, plugin: &Name, hash: &str) -> Result<Bytes, Refusal> {
    let folder = folder(state, plugin);
    // A hash is a name of ours; anything else could be a path.
    if !stored(&folder).iter().any(|version| version.hash == hash) {
        return Err(Refusal::Unknown(format!("no file of {plugin} with the hash {hash:?} is kept")));
    }
    let bytes = fs::read(folder.join(format!("{hash}.wasm")));
    let bytes = bytes.map_err(|error| Refusal::Storage(format!("{hash}.wasm cannot be read: {error}")))?;
    if ContentHash::of(&bytes).to_string() != hash {
        return Err(Refusal::Storage(format!("{hash}.wasm is damaged: its content has another hash")));
    }
    Ok(bytes.into())
}

fn stored(folder: &Path) -> Vec<Version> {
    let mut versions = Vec::new();
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = file.file_name().into_string().unwrap_or_default();
        let Some(hash) = name.strip_suffix(".wasm").filter(|hash| hash.len() == 64) else { continue };
        let Ok(metadata) = file.metadata() else { continue };
        let note = fs::read(folder.join(format!("{hash}.json"))).ok();
        let note: Value = note.and_then(|note| serde_json::from_slice(&note).ok()).unwrap_or_default();
        versions.push(Version {
            hash: hash.to_owned(),
            version: note.get("version").and_then(Value::as_str).unwrap_or("0.0.0").to_owned(),
            bytes: metadata.len(),
            stored_at: metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()),
            current: false,
        });
    }
    versions
}
