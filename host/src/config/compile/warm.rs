//! Checks `cache.warm`.

use std::path::Path;

use http::Uri;

use super::super::file::CacheWarm;
use super::super::problem::Report;
use crate::plugin::schema::JsonPath;
use crate::warm::{MostAsked, Settings};

/// Compiles `cache.warm`. Relative paths are relative to `folder`.
pub(super) fn compile(
    written: Option<&CacheWarm>,
    folder: &Path,
    at: &JsonPath,
    report: &mut Report,
) -> Option<Settings> {
    let written = written?;
    let most_asked = written.most_asked.as_ref().and_then(|written| {
        let path = folder.join(written.path.as_deref()?);
        Some(MostAsked { path, count: written.count.unwrap_or(1000) })
    });
    Some(Settings {
        urls: urls(written.urls.as_deref(), &at.key("urls"), report),
        sitemaps: urls(written.sitemaps.as_deref(), &at.key("sitemaps"), report),
        most_asked,
        concurrency: written.concurrency.unwrap_or(4),
    })
}

fn urls(written: Option<&[Option<String>]>, at: &JsonPath, report: &mut Report) -> Vec<Uri> {
    let mut urls = Vec::new();
    for (index, text) in written.unwrap_or_default().iter().enumerate() {
        let Some(text) = text else { continue };
        let url = text.parse::<Uri>().ok();
        match url.filter(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.authority().is_some()) {
            Some(url) => urls.push(url),
            None => {
                let what = format!("{text:?} is not a URL with scheme and host");
                report.add(&at.index(index), what, "write one such as \"https://www.example.com/\"");
            }
        }
    }
    urls
}
