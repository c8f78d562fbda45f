//! Compiling components, and keeping what was compiled in a folder of our own.
//!
//! Precompiled code is machine code: whoever can write it can do anything. The folder therefore belongs to us alone (0700, checked), files
//! are named by content and engine, end in a digest of what is before it, are written aside and renamed, and never come from the plugin folder.

use std::fs::{self, DirBuilder, File, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::Component;

use super::code::ContentHash;

/// Files that are kept; the oldest go first. A file is about three times as large as its component.
const FILES_MAX: usize = 128;

/// The component of a file's content: what was compiled before, or compiled now.
pub(super) fn component(engine: &Engine, hash: ContentHash, bytes: &[u8]) -> wasmtime::Result<Component> {
    let Some(folder) = folder() else { return Component::from_binary(engine, bytes) };
    let path = folder.join(format!("{hash}-{:016x}.cwasm", engine_hash(engine)));
    if let Some(component) = load(engine, &path) {
        return Ok(component);
    }
    let component = Component::from_binary(engine, bytes)?;
    if let Err(error) = component.serialize().map_err(io::Error::other).and_then(|code| store(&folder, &path, &code)) {
        tracing::debug!(path = %path.display(), %error, "compiled code is not kept");
    }
    Ok(component)
}

fn engine_hash(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    hasher.finish()
}

/// The folder, if there is one that only we can write to.
fn folder() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = from("PORTCULLIS_CACHE_DIR")
        .or_else(|| from("XDG_CACHE_HOME").map(|cache| cache.join("portcullis")))
        .or_else(|| from("HOME").map(|home| home.join(".cache/portcullis")))?;
    match prepare(&folder) {
        Ok(()) => Some(folder),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "compiled plugins are not kept; starting takes longer");
            None
        }
    }
}

fn prepare(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let metadata = fs::symlink_metadata(folder)?;
    // The owner of our own process entry is whom we run as.
    let ours = metadata.is_dir() && metadata.uid() == fs::metadata("/proc/self")?.uid();
    if !ours {
        return Err(io::Error::other("it belongs to somebody else"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other("others may use it; run `chmod 700` on it"));
    }
    Ok(())
}

fn load(engine: &Engine, path: &Path) -> Option<Component> {
    let bytes = fs::read(path).ok()?;
    // Damaged machine code would not be refused but run.
    let whole = bytes.split_last_chunk().filter(|(code, digest)| ContentHash::of(code).0 == **digest);
    // SAFETY: the file lies in a folder that only this user can write to (checked above), was written by this program from a component it
    // had compiled itself, and still is what was written (checked just now). wasmtime refuses code of another version or other settings.
    #[allow(unsafe_code, reason = "the only way to load compiled code")]
    let loaded = whole.map(|(code, _)| unsafe { Component::deserialize(engine, code) });
    match loaded {
        Some(Ok(component)) => {
            // So that what is used is not the oldest.
            let _ = File::open(path).and_then(|file| file.set_modified(crate::time::file_time()));
            Some(component)
        }
        Some(Err(_)) | None => {
            tracing::debug!(path = %path.display(), "compiled code is damaged or of no use any more");
            let _ = fs::remove_file(path);
            None
        }
    }
}

fn store(folder: &Path, path: &Path, code: &[u8]) -> io::Result<()> {
    let aside = folder.join(format!(".{}-{:?}.part", std::process::id(), std::thread::current().id()));
    let written = (|| {
        let mut file = File::create(&aside)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(code)?;
        file.write_all(&ContentHash::of(code).0)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written?;
    tidy(folder)
}

/// Removes the oldest files over the limit, and parts that a crash left.
fn tidy(folder: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Only what is ours: the folder may have been chosen carelessly.
        let ours = entry.path().extension().is_some_and(|extension| extension == "cwasm" || extension == "part");
        if ours && let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) {
            files.push((modified, entry.path()));
        }
    }
    files.sort_unstable();
    let over = files.len().saturating_sub(FILES_MAX);
    for (_, path) in files.into_iter().take(over) {
        // Another gateway may have been faster.
        let _ = fs::remove_file(path);
    }
    Ok(())
}
