//! Checks `health` and `modes`. The page of `maintenance` is read here, too.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::file;
use super::super::problem::Report;
use super::handler::header_value;
use super::{address, networks};
use crate::exchange::Page;
use crate::listener;
use crate::modes::{Public, Question, Settings};
use crate::plugin::schema::JsonPath;
use crate::regular::{self, ReadError};

/// Longest page of `maintenance`, in bytes: it is kept in memory and sent to everybody.
const PAGE_BYTES_MAX: u64 = 1024 * 1024;

/// Compiles `health`.
pub(super) fn health(
    written: Option<&file::PublicHealth>,
    listeners: &[(JsonPath, listener::Settings)],
    report: &mut Report,
) -> Option<Public> {
    let at = JsonPath::root().key("health");
    let written = written?;
    let public = written.public.as_ref();
    let questions = [
        ("livez", public.and_then(|public| public.livez.as_ref()), Question::Alive),
        ("readyz", public.and_then(|public| public.readyz.as_ref()), Question::Ready),
        ("startupz", public.and_then(|public| public.startupz.as_ref()), Question::Started),
    ];
    let mut paths: Vec<(Box<str>, Question)> = Vec::new();
    for (key, text, question) in questions {
        let Some(text) = text else { continue };
        let at = at.key("public").key(key);
        if !is_path(text) {
            report.add(&at, format!("{text:?} is not a path"), format!("write one such as \"/{key}\""));
        } else if paths.iter().any(|(known, _)| **known == **text) {
            report.add(&at, format!("{text:?} asks for something else already"), "give each its own path");
        } else {
            paths.push((text.as_str().into(), question));
        }
    }
    let mut asked = Vec::new();
    for (index, text) in written.listeners.iter().flatten().enumerate() {
        let at = at.key("listeners").index(index);
        let Some(address) = text.as_deref().and_then(|text| address::socket(text, &at, report)) else { continue };
        if listeners.iter().any(|(_, settings)| settings.address == address) {
            asked.push(address);
        } else {
            report.add(&at, format!("no listener has the address {address}"), "write the \"address\" of a listener");
        }
    }
    if public.is_none() && !report.is_gone(&at.key("public")) {
        report.add(&at, "says nothing that clients may ask for", "add \"public\": {\"readyz\": \"/readyz\"}");
    }
    Some(Public { paths, listeners: asked })
}

/// Whether a text is a path as a request target has it (RFC 9112 section 3.2.1), without query.
fn is_path(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"' | b'<' | b'>' | b'\\');
    text.starts_with('/') && text.bytes().all(allowed)
}

/// Compiles `modes`. Relative paths are relative to `folder`; the files are added to those that are watched.
pub(super) fn modes(
    written: Option<&file::Modes>,
    (folder, included): (&Path, &mut Vec<PathBuf>),
    report: &mut Report,
) -> Settings {
    let defaults = Settings::default();
    let Some(written) = written else { return defaults };
    let at = JsonPath::root().key("modes").key("maintenance");
    let kept = written.serve_stale_max_seconds.map(Duration::from_secs);
    let maintenance = written.maintenance.as_ref();
    Settings {
        stale_max: kept.unwrap_or(defaults.stale_max),
        stale_kept: kept,
        retry_after: written.retry_after_seconds.map_or(defaults.retry_after, Duration::from_secs),
        page: maintenance.and_then(|written| page(written, (folder, included), &at, report)),
        admitted: networks(maintenance.and_then(|written| written.allow.as_deref()), &at.key("allow"), report),
    }
}

fn page(
    written: &file::Maintenance,
    (folder, included): (&Path, &mut Vec<PathBuf>),
    at: &JsonPath,
    report: &mut Report,
) -> Option<Arc<Page>> {
    let kind = written.content_type.as_deref().unwrap_or(file::Maintenance::CONTENT_TYPE);
    let content_type = header_value(kind, &at.key("content_type"), report);
    let body = match (&written.body, &written.file) {
        (Some(_), Some(_)) => {
            report.add(&at.key("file"), "stands beside \"body\"", "remove one of the two");
            return None;
        }
        (Some(body), None) => Bytes::copy_from_slice(body.as_bytes()),
        (None, Some(file)) => {
            let path = folder.join(file);
            if !included.contains(&path) {
                included.push(path.clone());
            }
            let at = at.key("file");
            let remedy = "name a file that the gateway may read";
            match regular::read(&path, PAGE_BYTES_MAX) {
                Ok(bytes) => Bytes::from(bytes),
                Err(ReadError::TooLarge(_)) => {
                    report.add(&at, format!("{} has more than a megabyte", path.display()), "write a shorter page");
                    return None;
                }
                Err(error) => {
                    report.add(&at, format!("{} {error}", path.display()), remedy);
                    return None;
                }
            }
        }
        (None, None) => {
            if written.content_type.is_some() && !["body", "file"].iter().any(|key| report.is_gone(&at.key(key))) {
                report.add(&at.key("content_type"), "there is nothing of that type", "add \"body\" or \"file\"");
            }
            return None;
        }
    };
    Some(Arc::new(Page { content_type: content_type?, body }))
}
