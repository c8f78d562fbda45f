//! Checks who may come, who is banned, and what a route takes on; reads files with networks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::super::file::{self, File};
use super::super::problem::Report;
use super::{Route, size};
use crate::http::{Network, Proxies};
use crate::plugin::schema::JsonPath;
use crate::regular;
use crate::traffic::access::{Access, Refusing, Verdict};
use crate::traffic::{Protection, bans, concurrency};

/// Largest file with networks, in bytes. A hundred thousand networks of IPv6 are 5 MB.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Where files are, and which were read.
pub(super) type Files<'a> = (&'a Path, &'a mut Vec<PathBuf>);

/// Compiles `addresses` of the gateway.
pub(super) fn access(file: &File, files: &mut Files<'_>, report: &mut Report) -> Option<Arc<Access>> {
    addresses(file.addresses.as_ref()?, files, &JsonPath::root().key("addresses"), report)
}

/// Compiles `bans`.
pub(super) fn bans(file: &File, files: &mut Files<'_>, report: &mut Report) -> Option<Arc<bans::Settings>> {
    let written = file.bans.as_ref()?;
    let at = JsonPath::root().key("bans");
    let seconds = |written: Option<u64>, default| Duration::from_secs(written.unwrap_or(default));
    let lasts = seconds(written.for_seconds, file::Bans::FOR_SECONDS);
    let default_max = file::Bans::FOR_SECONDS_MAX.max(lasts.as_secs());
    let lasts_max = seconds(written.for_seconds_max, default_max);
    if lasts > lasts_max {
        let what = format!("{} is less than a first ban lasts", lasts_max.as_secs());
        report.add(&at.key("for_seconds_max"), what, format!("write {} or more", lasts.as_secs()));
    }
    let statuses: Vec<u16> = match &written.statuses {
        Some(list) => list.iter().filter_map(|status| *status).collect(),
        None => file::Bans::STATUSES.to_vec(),
    };
    Some(Arc::new(bans::Settings {
        after: u32::try_from(written.after.unwrap_or(file::Bans::AFTER)).unwrap_or(u32::MAX),
        within: seconds(written.within_seconds, file::Bans::WITHIN_SECONDS),
        lasts,
        lasts_max,
        statuses: statuses.into_iter().filter_map(|status| StatusCode::from_u16(status).ok()).collect(),
        never: networks(written.never.as_deref(), files, &at.key("never"), report),
        refusing: refusing(written.refuse),
    }))
}

/// Compiles what single routes take on, into the routes that have been compiled.
pub(super) fn routes(file: &File, routes: &mut [Route], files: &mut Files<'_>, report: &mut Report) {
    for (index, written) in file.routes.iter().flatten().enumerate() {
        let Some(written) = written else { continue };
        let at = JsonPath::root().key("routes").index(index);
        let protection = Protection {
            access: written.addresses.as_ref().and_then(|written| {
                let at = at.key("addresses");
                if written.refuse == Some(file::Refuse::Close) {
                    let what = "a connection is not closed for one route";
                    report.add(&at.key("refuse"), what, "remove it, or write \"addresses\" at the top");
                }
                addresses(written, files, &at, report)
            }),
            headers_max: written.headers_max.map(size),
            header_bytes_max: written.header_bytes_max.map(size),
            concurrency: written.concurrency.as_ref().and_then(|concurrency| {
                let at = at.key("concurrency");
                if written.proxy.is_none() && !report.is_gone(&at) {
                    report.add(&at, "this route asks no upstream", "remove it; what answers from here is never slow");
                }
                self::concurrency(concurrency, &at, report)
            }),
        };
        let named = |route: &&mut Route| Some(route.matches.name.as_str()) == written.name.as_deref();
        if let Some(route) = routes.iter_mut().find(named) {
            route.protection = protection;
        }
    }
}

fn addresses(
    written: &file::Addresses,
    files: &mut Files<'_>,
    at: &JsonPath,
    report: &mut Report,
) -> Option<Arc<Access>> {
    let allowed = networks(written.allow.as_deref(), files, &at.key("allow"), report);
    let denied = networks(written.deny.as_deref(), files, &at.key("deny"), report);
    if written.allow.is_none() && written.deny.is_none() && written.others.is_none() && !report.is_gone(at) {
        report.add(at, "says nothing about anybody", "write \"allow\" or \"deny\" with networks, or remove it");
    }
    let others = match written.others {
        Some(file::AddressVerdict::Allow) => Verdict::Allow,
        Some(file::AddressVerdict::Deny) => Verdict::Deny,
        None if written.allow.is_some() && written.deny.is_none() => Verdict::Deny,
        None => Verdict::Allow,
    };
    let allowed = allowed.into_iter().map(|network| (network, Verdict::Allow));
    let all: Vec<_> = allowed.chain(denied.into_iter().map(|network| (network, Verdict::Deny))).collect();
    Some(Arc::new(Access::new(&all, others, refusing(written.refuse))))
}

fn refusing(written: Option<file::Refuse>) -> Refusing {
    match written {
        Some(file::Refuse::Close) => Refusing::Close,
        Some(file::Refuse::Answer) | None => Refusing::Answer,
    }
}

/// The proxies whose word counts.
pub(super) fn proxies(written: Option<&file::Forwarding>, report: &mut Report) -> Proxies {
    let at = JsonPath::root().key("forwarding").key("trusted");
    let listed = written.and_then(|written| written.trusted.as_deref()).unwrap_or_default();
    let network = |(index, text): (usize, &Option<String>)| {
        let text = text.as_ref()?;
        let network = text.parse().ok();
        if network.is_none() {
            report.add(&at.index(index), format!("{text:?} is not a network"), REMEDY);
        }
        network
    };
    listed.iter().enumerate().filter_map(network).collect()
}

fn networks(
    written: Option<&[Option<file::NetworkSource>]>,
    files: &mut Files<'_>,
    at: &JsonPath,
    report: &mut Report,
) -> Vec<Network> {
    let mut networks = Vec::new();
    for (index, source) in written.unwrap_or_default().iter().enumerate() {
        let at = at.index(index);
        match source {
            Some(file::NetworkSource::Network(text)) => match text.parse() {
                Ok(network) => networks.push(network),
                Err(_) => report.add(&at, format!("{text:?} is not a network"), REMEDY),
            },
            Some(file::NetworkSource::File(written)) => {
                let Some(name) = &written.file else { continue };
                match read(name, files) {
                    Ok(read) => networks.extend(read),
                    Err((what, remedy)) => report.add(&at.key("file"), what, remedy),
                }
            }
            None => {}
        }
    }
    networks
}

const REMEDY: &str = "write one such as \"10.0.0.0/8\", \"2001:db8::/32\" or \"192.0.2.1\"";
const READABLE: &str = "name a file that the gateway may read";

/// The networks of a file, of which each line holds one or a comment.
fn read(name: &str, (folder, included): &mut Files<'_>) -> Result<Vec<Network>, (String, &'static str)> {
    let path = folder.join(name);
    let shown = path.display().to_string();
    // What is missing is watched, too.
    included.push(path.clone());
    let bytes = regular::read(&path, FILE_BYTES_MAX).map_err(|error| (format!("{shown} {error}"), READABLE))?;
    let text = String::from_utf8(bytes).map_err(|_| (format!("{shown} is not UTF-8"), READABLE))?;
    let mut networks = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        match line.parse() {
            Ok(network) => networks.push(network),
            // What it says is not shown: another file may have been named by mistake, or on purpose.
            Err(_) => return Err((format!("{shown}, line {}: is not a network", index + 1), REMEDY)),
        }
    }
    Ok(networks)
}

fn concurrency(written: &file::Concurrency, at: &JsonPath, report: &mut Report) -> Option<concurrency::Settings> {
    let min = written.min.unwrap_or(file::Concurrency::MIN);
    let max = written.max.unwrap_or(file::Concurrency::MAX.max(min));
    if min > max {
        let what = format!("{max} is less than the least limit");
        report.add(&at.key("max"), what, format!("write {min} or more"));
        return None;
    }
    let initial = written.initial.unwrap_or(file::Concurrency::INITIAL.clamp(min, max));
    if !(min..=max).contains(&initial) {
        let what = format!("{initial} is not within the limits");
        report.add(&at.key("initial"), what, format!("write {min} to {max}"));
    }
    let algorithm = match (written.algorithm, written.latency_ms) {
        (Some(file::ConcurrencyAlgorithm::Aimd), None) => {
            if !report.is_gone(&at.key("latency_ms")) {
                report.add(&at.key("latency_ms"), "is missing", "write how many milliseconds answers may take");
            }
            return None;
        }
        (Some(file::ConcurrencyAlgorithm::Aimd), Some(latency_ms)) => {
            if written.tolerance.is_some() {
                report.add(&at.key("tolerance"), "is not for aimd", "remove it, or write \"algorithm\": \"gradient\"");
            }
            concurrency::Algorithm::Aimd { latency: Duration::from_millis(latency_ms) }
        }
        (_, latency_ms) => {
            if latency_ms.is_some() {
                report.add(&at.key("latency_ms"), "is not for gradient", "remove it, or write \"algorithm\": \"aimd\"");
            }
            let tolerance = written.tolerance.unwrap_or(file::Concurrency::TOLERANCE);
            concurrency::Algorithm::Gradient { tolerance }
        }
    };
    Some(concurrency::Settings { initial, min, max, algorithm })
}
