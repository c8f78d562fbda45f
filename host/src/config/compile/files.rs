//! Checks `files`: what would never be found is told here and not by 404.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::file::{self, FilesCoding};
use super::super::problem::Report;
use super::handler::header_value;
use crate::files::{Coding, Listing, Settings};
use crate::plugin::schema::JsonPath;

/// Compiles `files` of a route; none if there is no folder to speak of.
pub(super) fn compile(
    written: &file::Files,
    folder: &Path,
    at: &JsonPath,
    report: &mut Report,
) -> Option<Arc<Settings>> {
    let root = root(folder, written.root.as_deref()?, &at.key("root"), report)?;
    let cache_control = written.cache_control.as_deref();
    Some(Arc::new(Settings {
        index: index(written, &at.key("index"), report),
        listing: if written.listing.unwrap_or(false) { Listing::On } else { Listing::Off },
        fallback: written.spa.as_deref().and_then(|path| fallback(&root, path, &at.key("spa"), report)),
        precompressed: written.precompressed.iter().flatten().flatten().map(coding).collect(),
        cache_control: cache_control.and_then(|text| header_value(text, &at.key("cache_control"), report)),
        strip_prefix: written.strip_prefix.as_deref().map(|text| prefix(text, &at.key("strip_prefix"), report)),
        root,
    }))
}

/// A coding.
pub(super) fn coding(written: &FilesCoding) -> Coding {
    match written {
        FilesCoding::Brotli => Coding::Brotli,
        FilesCoding::Zstd => Coding::Zstd,
        FilesCoding::Gzip => Coding::Gzip,
    }
}

fn root(folder: &Path, text: &str, at: &JsonPath, report: &mut Report) -> Option<PathBuf> {
    let root = folder.join(text);
    let what = match std::fs::read_dir(&root) {
        Ok(_) => return Some(root),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => format!("there is no folder {}", root.display()),
        Err(error) => format!("the folder {} cannot be opened: {error}", root.display()),
    };
    report.add(at, what, "name a folder that the gateway may read; relative paths start at the configuration file");
    None
}

fn index(written: &file::Files, at: &JsonPath, report: &mut Report) -> Vec<Box<str>> {
    let Some(names) = &written.index else { return file::Files::INDEX.map(Box::from).to_vec() };
    let mut index = Vec::new();
    for (position, name) in names.iter().enumerate() {
        let Some(name) = name else { continue };
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            let what = format!("{name:?} is not the name of a file that may be shown");
            report.add(&at.index(position), what, "write a name such as \"index.html\"");
        }
        index.push(name.as_str().into());
    }
    index
}

fn fallback(root: &Path, text: &str, at: &JsonPath, report: &mut Report) -> Option<PathBuf> {
    let below = Path::new(text.trim_start_matches('/'));
    let plain = below.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if text.is_empty() || !plain {
        report.add(at, format!("{text:?} is not a path in the folder"), "write one such as \"/index.html\"");
        return None;
    }
    if !root.join(below).is_file() {
        let what = format!("there is no file {}", root.join(below).display());
        report.add(at, what, "name a file by its path in the folder \"root\"");
        return None;
    }
    Some(below.to_owned())
}

fn prefix(text: &str, at: &JsonPath, report: &mut Report) -> Box<str> {
    // As patterns of paths are written.
    let text = text.strip_suffix("/*").unwrap_or(text);
    let mut segments = text.split('/').filter(|segment| !segment.is_empty());
    if !text.starts_with('/') {
        report.add(at, format!("{text:?} is not the beginning of a path"), format!("write {:?}", format!("/{text}")));
    } else if text.contains(['%', '*', '{', '?', '#']) || segments.any(|segment| matches!(segment, "." | "..")) {
        let what = format!("{text:?} is not a plain path");
        report.add(at, what, "write it as text, without patterns and escapes, such as \"/static\"");
    }
    text.into()
}
