//! Checks `cache`. Secrets are never part of a message.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::super::file;
use super::super::problem::Report;
use super::name;
use crate::cache::envelope::{CipherKey, Keys};
use crate::cache::{Settings, shared};
use crate::names::Name;
use crate::plugin::schema::{JsonPath, nearest};

/// Compiles `cache`. Relative paths are relative to `folder`.
pub(super) fn compile(written: Option<&file::Cache>, folder: &Path, at: &JsonPath, report: &mut Report) -> Settings {
    let defaults = Settings::default();
    let Some(written) = written else { return defaults };
    let memory_bytes_max = written.memory_bytes_max.unwrap_or(defaults.memory_bytes_max);
    if let Some(object) = written.object_bytes_max
        && object > memory_bytes_max
    {
        let what = format!("{object} is more than the whole cache may hold");
        report.add(&at.key("object_bytes_max"), what, format!("write {memory_bytes_max} or less"));
    }
    let encryption = written.encryption.as_ref();
    let persist = written.persist.as_ref().and_then(|persist| persist.path.as_deref());
    Settings {
        memory_bytes_max,
        object_bytes_max: written.object_bytes_max.unwrap_or(defaults.object_bytes_max.min(memory_bytes_max)),
        compress_above_bytes: written.compress_above_bytes.unwrap_or(defaults.compress_above_bytes),
        encryption: encryption.and_then(|written| keys(written, &at.key("encryption"), report)),
        shared: shared(written.shared.as_ref()),
        persist: persist.map(|text| self::persist(text, folder, &at.key("persist").key("path"), report)),
    }
}

fn shared(written: Option<&file::CacheShared>) -> Option<shared::Settings> {
    let defaults = shared::Settings::default();
    match written {
        None | Some(file::CacheShared::Switch(true)) => Some(defaults),
        Some(file::CacheShared::Switch(false)) => None,
        Some(file::CacheShared::Settings(written)) => Some(shared::Settings {
            lease: written.lease_seconds.map_or(defaults.lease, Duration::from_secs),
            cut_off: written.cut_off.map_or(defaults.cut_off, Into::into),
        }),
    }
}

fn persist(text: &str, folder: &Path, at: &JsonPath, report: &mut Report) -> PathBuf {
    let path = folder.join(text);
    if text.ends_with('/') || path.file_name().is_none() || path.is_dir() {
        report.add(at, format!("{text:?} is a folder"), "write the path of a file, such as \"state/cache.bin\"");
    }
    path
}

fn keys(written: &file::CacheEncryption, at: &JsonPath, report: &mut Report) -> Option<Keys> {
    let known = written.keys.as_ref()?;
    let at_keys = at.key("keys");
    let mut all: Vec<(Name, CipherKey)> = Vec::new();
    for (id, text) in known {
        let at = at_keys.key(id);
        let id = name(id, &at, report);
        let Some(key) = text.as_deref().and_then(|text| key(text, &at, report)) else { continue };
        if let Some((same, _)) = all.iter().find(|(_, other)| *other == key) {
            let what = format!("is the same key as {}", at_keys.key(same.as_str()));
            report.add(&at, what, "remove one of the two, or write another key: openssl rand -base64 32");
        }
        all.extend(id.map(|id| (id, key)));
    }
    let current = written.current.as_deref()?;
    if !known.contains_key(current) && !known.is_empty() {
        let ids = || known.keys().map(String::as_str).filter(|id| id.parse::<Name>().is_ok());
        let remedy = match nearest(current, ids()) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => format!("write one of {:?}", ids().collect::<Vec<_>>()),
        };
        // Not shown: where an id should be, a key may have been put by mistake.
        report.add(&at.key("current"), "no key has this id", remedy);
    }
    Keys::new(current.parse().ok()?, all)
}

/// Reads a key. Both alphabets are read, and padding need not be there: no two texts are mixed up by that.
fn key(text: &str, at: &JsonPath, report: &mut Report) -> Option<CipherKey> {
    let digits = text.trim().trim_end_matches('=');
    let secret = STANDARD_NO_PAD.decode(digits).or_else(|_| URL_SAFE_NO_PAD.decode(digits)).map(Zeroizing::new);
    let what = match secret.as_deref().map(|secret| CipherKey::new(secret)) {
        Ok(Ok(key)) => return Some(key),
        Ok(Err(_)) => format!("has {} bytes", secret.map_or(0, |secret| secret.len())),
        Err(_) => "is not base64".to_owned(),
    };
    report.add(at, what, "write 32 random bytes in base64: openssl rand -base64 32");
    None
}
