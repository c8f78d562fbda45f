//! The Server-Timing header: which parts it shows, and the writing of it.
//!
//! Invariant: nothing is asked of the gateway but what is shown, and a plugin's name is asked for once per instance.

use std::cell::RefCell;

use portcullis_sdk::prelude::*;
use portcullis_sdk::{Timings, plugin_name};

use crate::config::{Parts, ServerTiming, Shown};
use crate::duration;

/// What a part measures, in nanoseconds.
type Measure = fn(&Timings) -> u64;

/// One part: `name;dur=`, and what it measures.
type Part = (Box<[u8]>, Measure);

/// The header, prepared.
pub(crate) struct Line {
    /// In front of the plugins: routing, cache, upstream.
    parts: Vec<Part>,
    plugins: Option<Plugins>,
    total: Option<Box<[u8]>>,
}

impl Line {
    /// None where nothing is shown.
    pub(crate) fn new(config: &ServerTiming) -> Result<Option<Self>> {
        let parts = match config {
            ServerTiming::Switch(false) => return Ok(None),
            ServerTiming::Switch(true) => &Parts::default(),
            ServerTiming::Parts(parts) => parts,
        };
        let others = Shown::Switch(parts.others);
        let shown = |part: &Option<Shown>, usual| -> Result<Option<Box<[u8]>>> {
            part.as_ref().unwrap_or(&others).name(usual).map(label).transpose()
        };
        let mut line = Self { parts: Vec::new(), plugins: None, total: shown(&parts.total, "total")? };
        let mut add = |part, usual, measure: Measure| -> Result<()> {
            line.parts.extend(shown(part, usual)?.map(|label| (label, measure)));
            Ok(())
        };
        add(&parts.routing, "routing", |timings| timings.routing)?;
        add(&parts.cache, "cache", |timings| timings.cache)?;
        add(&parts.upstream, "upstream", |timings| timings.upstream)?;
        if let Some(prefix) = parts.plugins.as_ref().unwrap_or(&others).name("") {
            check(prefix)?;
            line.plugins = Some(Plugins { prefix: prefix.to_owned(), labels: RefCell::default() });
        }
        let nothing = line.parts.is_empty() && line.plugins.is_none() && line.total.is_none();
        Ok(if nothing { None } else { Some(line) })
    }

    /// Writes the value; leaves `text` empty where nothing that is shown happened.
    pub(crate) fn write(&self, timings: &Timings, request: &Request, text: &mut Vec<u8>) {
        self.write_parts(timings, text);
        if let Some(plugins) = &self.plugins {
            plugins.write(request, text);
        }
        self.write_total(timings, text);
    }

    /// What stands in front of the plugins.
    pub(crate) fn write_parts(&self, timings: &Timings, text: &mut Vec<u8>) {
        for (label, measure) in &self.parts {
            push_measured(label, measure(timings), text);
        }
    }

    /// What stands behind them.
    pub(crate) fn write_total(&self, timings: &Timings, text: &mut Vec<u8>) {
        if let Some(label) = &self.total {
            push(label, timings.elapsed, text);
        }
    }
}

/// The plugins' part.
struct Plugins {
    prefix: String,
    /// `name;dur=` by plugin number, filled as plugins are met.
    labels: RefCell<Vec<(u32, Box<[u8]>)>>,
}

impl Plugins {
    fn write(&self, request: &Request, text: &mut Vec<u8>) {
        let mut labels = self.labels.borrow_mut();
        for timing in request.plugin_timings() {
            // A chain has a handful of plugins, so a search from the front beats a map.
            let place = labels.iter().position(|(plugin, _)| *plugin == timing.plugin).unwrap_or_else(|| {
                labels.push((timing.plugin, self.label(&plugin_name(timing.plugin))));
                labels.len() - 1
            });
            if let Some((_, label)) = labels.get(place) {
                push_measured(label, timing.nanoseconds, text);
            }
        }
    }

    fn label(&self, plugin: &str) -> Box<[u8]> {
        // The gateway's names are tokens (RFC 9110 section 5.6.2); whatever is not, is not shown.
        label(&format!("{}{plugin}", self.prefix)).unwrap_or_default()
    }
}

/// `name;dur=`.
fn label(name: &str) -> Result<Box<[u8]>> {
    check(name)?;
    if name.is_empty() {
        return Err("server_timing: a name is empty".into());
    }
    Ok(format!("{name};dur=").into_bytes().into())
}

/// A metric's name is a token (RFC 9110 section 5.6.2).
fn check(name: &str) -> Result<()> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.bytes().all(token) { Ok(()) } else { Err(format!("server_timing: `{name}` is not a token").into()) }
}

/// A part that did not happen is left out.
fn push_measured(label: &[u8], nanoseconds: u64, text: &mut Vec<u8>) {
    if nanoseconds > 0 && !label.is_empty() {
        push(label, nanoseconds, text);
    }
}

fn push(label: &[u8], nanoseconds: u64, text: &mut Vec<u8>) {
    if !text.is_empty() {
        text.extend_from_slice(b", ");
    }
    text.extend_from_slice(label);
    duration::push_ms(nanoseconds, text);
}
