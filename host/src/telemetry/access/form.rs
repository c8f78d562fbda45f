//! The settings as lines are written by them: what can be prepared is prepared, so that a line costs little.
//!
//! Immutable and shared by all workers.

use http::{HeaderMap, HeaderName, header};

use super::escape::Style;
use super::settings::{Field, Format, Only, Part, Settings};
use super::short::Text;
use crate::exchange::Exchange;
use crate::names::Name;
use crate::telemetry::End;

/// How lines are written.
#[derive(Debug)]
pub struct Form {
    pub(super) style: Style,
    pub(super) steps: Vec<Step>,
    /// What stands behind the last field.
    pub(super) tail: Box<[u8]>,
    /// See [`Settings::redact_query`].
    pub(super) redact_query: Vec<Box<str>>,
    /// The plugins by the number that timings name them by.
    plugins: Vec<(u32, Name)>,
    only: Option<Only>,
    without: Vec<Name>,
    /// The fields of responses that any line shows.
    response_headers: Vec<HeaderName>,
}

/// A field of a line.
#[derive(Debug)]
pub(super) struct Step {
    /// What stands before it: of a text in JSON, its quote too.
    pub(super) before: Text,
    /// Whether a quote stands behind it.
    pub(super) quoted: bool,
    pub(super) field: Field,
    pub(super) shown: Shown,
}

/// How much is shown of a header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    All,
    /// That it is there.
    Presence,
    /// A URL without what is secret in it.
    Url,
}

/// Header fields whose values are URLs, or targets of requests.
const URLS: [&str; 7] = [
    "location",
    "content-location",
    "x-original-uri",
    "x-original-url",
    "x-forwarded-uri",
    "x-rewrite-url",
    "referrer",
];

impl Form {
    /// Prepares settings. `plugins`: their names by the numbers that timings name them by.
    pub fn new(settings: &Settings, mut plugins: Vec<(u32, Name)>) -> Self {
        plugins.sort_unstable_by_key(|(number, _)| *number);
        plugins.dedup_by_key(|(number, _)| *number);
        let mut without = settings.without.clone();
        without.sort_unstable();
        let shown = |field: &Field| match field {
            Field::RequestHeader(name) | Field::ResponseHeader(name) if settings.redact_headers.contains(name) => {
                Shown::Presence
            }
            Field::RequestHeader(name) | Field::ResponseHeader(name)
                if name == header::REFERER || URLS.contains(&name.as_str()) =>
            {
                Shown::Url
            }
            _ => Shown::All,
        };
        let (style, steps, tail) = match &settings.format {
            Format::Json(fields) => {
                let step = |field: &Field| {
                    // The names of fields need no escaping: they are made of what header names may be made of.
                    let quoted = is_text(field);
                    let before = format!(",\"{field}\":{}", if quoted { "\"" } else { "" }).into_bytes().into();
                    Step { before, quoted, field: field.clone(), shown: shown(field) }
                };
                (Style::Json, fields.iter().map(step).collect(), b"}\n"[..].into())
            }
            Format::Template(parts) => {
                let (steps, mut tail) = steps(parts, shown);
                tail.push(b'\n');
                (Style::Plain, steps, tail.into())
            }
        };
        let response_headers = steps.iter().filter_map(|step: &Step| match &step.field {
            Field::ResponseHeader(name) => Some(name.clone()),
            _ => None,
        });
        Self {
            response_headers: response_headers.collect(),
            style,
            steps,
            tail,
            redact_query: settings.redact_query.clone(),
            plugins,
            only: settings.only.clone(),
            without,
        }
    }

    /// Of the head of a response what lines show; none: they show nothing of it.
    pub(super) fn kept(&self, head: &HeaderMap) -> Option<HeaderMap> {
        if self.response_headers.is_empty() {
            return None;
        }
        let mut kept = HeaderMap::with_capacity(self.response_headers.len());
        for name in &self.response_headers {
            for value in head.get_all(name) {
                kept.append(name, value.clone());
            }
        }
        Some(kept)
    }

    /// Whether an exchange gets a line. `dice` gives a number below 100, each as likely.
    pub(super) fn wants(&self, exchange: &Exchange, end: &End, dice: impl FnOnce() -> u8) -> bool {
        let is_out = |route: &Name| !self.without.is_empty() && self.without.binary_search(route).is_ok();
        if exchange.route.as_ref().is_some_and(is_out) {
            return false;
        }
        let Some(only) = &self.only else { return true };
        if only.status.iter().any(|class| class.has(end.status))
            || only.slower_than.is_some_and(|limit| end.duration > limit)
        {
            return true;
        }
        let Some(percent) = only.sample_percent else { return false };
        let failed = exchange.failure.is_some() || end.status.is_server_error() || !end.complete;
        failed || dice() < percent
    }

    /// The name of the plugin with this number. One that has come meanwhile has no name yet.
    pub(super) fn plugin(&self, number: u32) -> Option<&Name> {
        let index = self.plugins.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.plugins.get(index).map(|(_, name)| name)
    }
}

/// Whether a field is a text in JSON; others are numbers, flags and objects.
fn is_text(field: &Field) -> bool {
    !matches!(
        field,
        Field::ClientPort
            | Field::Status
            | Field::Bytes
            | Field::RequestBytes
            | Field::Duration
            | Field::Head
            | Field::UpstreamTime
            | Field::CacheTime
            | Field::PluginsTime
            | Field::Plugins
            | Field::Complete
            | Field::Incomplete
    )
}

/// The fields of a template, each with the text before it, and the text behind the last.
fn steps(parts: &[Part], shown: impl Fn(&Field) -> Shown) -> (Vec<Step>, Vec<u8>) {
    let (mut steps, mut before) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Text(text) => before.extend_from_slice(text.as_bytes()),
            Part::Field(field) => {
                let before = std::mem::take(&mut before).into();
                steps.push(Step { before, quoted: false, field: field.clone(), shown: shown(field) });
            }
        }
    }
    (steps, before)
}
