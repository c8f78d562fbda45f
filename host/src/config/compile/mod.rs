//! Turns the configuration as written into the configuration as used.
//!
//! Everything that a schema cannot say is checked here. A part with a mistake is reported and left out, so that all others
//! are checked as well; the result counts only if nothing was reported. `None` in the file is not a mistake: it is
//! either absent or already reported.

mod access_log;
mod acme;
mod address;
mod admin;
mod alerts;
mod balance;
mod cache;
mod cdn;
mod cdn_request;
mod compression;
mod condition;
mod dependencies;
mod edits;
mod files;
mod guards;
mod handler;
mod health;
mod http2;
mod matches;
mod pattern;
mod plugins;
mod protection;
mod proxy;
mod redis;
mod route_cache;
mod routes;
mod template;
mod tls;
mod tracing;
mod warm;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tracing_subscriber::EnvFilter;

use super::file::{self, File};
use super::problem::Report;
use super::{Config, Hidden, Route};
use crate::exchange::RedirectHttps;
use crate::http::{Forwarding, ForwardingFields, IncomingForwarding, Network};
use crate::names::Name;
use crate::plugin::schema::{JsonPath, nearest};
use crate::telemetry::{LogFormat, LogSettings};
use crate::{listener, traffic, upstream};

/// Checks and compiles a file that stands in `folder`.
pub(super) fn compile(file: &File, folder: &Path, report: &mut Report) -> Config {
    let root = JsonPath::root();
    let mut included = Vec::new();
    let listeners = listeners(file, (folder, &mut included), report);
    let admin = admin::compile(file, &listeners, (folder, &mut included), report);
    let upstreams = upstreams(file, (folder, &mut included), report);
    let plugins = plugins::compile(file, folder, report);
    compression::check(file.compression.as_ref(), report);
    let mut routes = routes::compile((file, folder), &plugins, report);
    let mut files = (folder, &mut included);
    protection::routes(file, &mut routes, &mut files, report);
    let access = protection::access(file, &mut files, report);
    let bans = protection::bans(file, &mut files, report);
    let acme = acme::compile(file, folder, report);
    let cdn = cdn::compile(file, (folder, &mut included), report);
    let redis = redis::compile(file, (folder, &mut included), report);
    let tracing = tracing::compile(file, (folder, &mut included), report);
    let alerts = alerts::compile(file, (folder, &mut included), report);
    let health = condition::health(file.health.as_ref(), &listeners, report);
    let modes = condition::modes(file.modes.as_ref(), (folder, &mut included), report);
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    Config {
        workers: match file.workers {
            None | Some(0) => cores(),
            Some(workers) => size(workers),
        },
        acme,
        alerts: Arc::new(alerts),
        modes: Arc::new(modes),
        health: health.map(Arc::new),
        cdn,
        redis,
        tracing,
        included,
        // What only the documents themselves say is put in by whoever has them.
        state: admin.as_ref().map_or_else(|| folder.join(Config::STATE), |admin| admin.state.clone()),
        written: Arc::default(),
        merged: Arc::default(),
        hidden: Hidden::default(),
        listeners: listeners.into_iter().map(|(_, settings)| settings).collect(),
        admin,
        drain_timeout: millis(file.drain_timeout_ms, file::DRAIN_TIMEOUT_MS),
        plugins: plugins.settings,
        upstreams,
        cache: cache::compile(file.cache.as_ref(), folder, &root.key("cache"), report),
        warm: warm::compile(
            file.cache.as_ref().and_then(|cache| cache.warm.as_ref()),
            folder,
            &root.key("cache").key("warm"),
            report,
        ),
        dependencies: dependencies::compile(file.cache.as_ref(), &root.key("cache").key("dependencies"), report),
        overload: traffic::Settings { access, bans, ..overload(file.overload.as_ref()) },
        routes,
        forwarding: forwarding(file.forwarding.as_ref()),
        proxies: protection::proxies(file.forwarding.as_ref(), report),
        log: log(file.log.as_ref(), &root.key("log"), report),
        access_log: access_log::compile(file, folder, &root.key("access_log"), report),
    }
}

fn listeners(
    file: &File,
    (folder, included): (&Path, &mut Vec<PathBuf>),
    report: &mut Report,
) -> Vec<(JsonPath, listener::Settings)> {
    let at = JsonPath::root().key("listeners");
    let mut listeners: Vec<(JsonPath, listener::Settings)> = Vec::new();
    for (index, written) in file.listeners.iter().flatten().enumerate() {
        let Some(written) = written else { continue };
        let of = at.index(index);
        let at = of.key("address");
        let Some(address) = written.address.as_deref().and_then(|text| address::socket(text, &at, report)) else {
            continue;
        };
        if let Some(other) = taken(&listeners, address) {
            report.add(&at, format!("{address} is the address of {other}, too"), "give each its own port");
        }
        let proxy_protocol = written.proxy_protocol.as_ref().map(|written| {
            let from = networks(written.from.as_deref(), &of.key("proxy_protocol").key("from"), report);
            listener::ProxyProtocol { from }
        });
        let http2 = http2::compile(written.http2.as_ref());
        let protocols = tls::PROTOCOLS.get(usize::from(!http2.enabled)..).unwrap_or_default();
        let tls = written.tls.as_ref();
        let tls = tls.and_then(|written| tls::listener(written, protocols, (folder, included), &of.key("tls"), report));
        listeners.push((
            at,
            listener::Settings {
                address,
                head_timeout: millis(written.head_timeout_ms, file::Listener::HEAD_TIMEOUT_MS),
                head_bytes_max: size(written.head_bytes_max.unwrap_or(file::Listener::HEAD_BYTES_MAX)),
                headers_max: size(written.headers_max.unwrap_or(file::Listener::HEADERS_MAX)),
                connections_max: size(written.connections_max.unwrap_or(file::Listener::CONNECTIONS_MAX)),
                connections_per_address_max: written.connections_per_address_max.map(size),
                proxy_protocol,
                tls,
                http1: http1(written),
                http2,
                redirect_https: redirect_https(written, &of, report),
            },
        ));
    }
    listeners
}

fn redirect_https(written: &file::Listener, at: &JsonPath, report: &mut Report) -> Option<RedirectHttps> {
    let (status, port) = match written.redirect_https.as_ref()? {
        file::RedirectHttps::Switch(false) => return None,
        file::RedirectHttps::Switch(true) => (None, None),
        file::RedirectHttps::Options(options) => (options.status, options.port),
    };
    if written.tls.is_some() {
        report.add(&at.key("redirect_https"), "stands beside \"tls\"", "keep it on the listener that speaks cleartext");
        return None;
    }
    let status = status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::PERMANENT_REDIRECT);
    Some(RedirectHttps { status, port: port.unwrap_or(443) })
}

fn http1(written: &file::Listener) -> listener::Http1 {
    let defaults = listener::Http1::default();
    let time = |written: Option<u64>, default| written.map_or(default, Duration::from_millis);
    listener::Http1 {
        idle_timeout: time(written.idle_timeout_ms, defaults.idle_timeout),
        body_timeout: time(written.body_timeout_ms, defaults.body_timeout),
        body_rate_min: written.body_rate_min.unwrap_or(defaults.body_rate_min),
        write_timeout: time(written.write_timeout_ms, defaults.write_timeout),
        target_bytes_max: written.target_bytes_max.map_or(defaults.target_bytes_max, size),
        requests_max: written.requests_max.or(defaults.requests_max),
    }
}

/// Reads a list of networks.
fn networks(written: Option<&[Option<String>]>, at: &JsonPath, report: &mut Report) -> Vec<Network> {
    let mut networks = Vec::new();
    for (index, text) in written.unwrap_or_default().iter().enumerate() {
        match text.as_deref().map(|text| (text, text.parse())) {
            Some((_, Ok(network))) => networks.push(network),
            Some((text, Err(_))) => {
                let remedy = "write one such as \"10.0.0.0/8\", \"2001:db8::/32\" or \"192.0.2.1\"";
                report.add(&at.index(index), format!("{text:?} is not a network"), remedy);
            }
            None => {}
        }
    }
    networks
}

/// Who listens on an address already. Port 0 is a new one every time.
fn taken(listeners: &[(JsonPath, listener::Settings)], address: SocketAddr) -> Option<&JsonPath> {
    let same = |settings: &listener::Settings| settings.address == address && address.port() != 0;
    listeners.iter().find(|(_, settings)| same(settings)).map(|(path, _)| path)
}

fn upstreams(
    file: &File,
    (folder, included): (&Path, &mut Vec<PathBuf>),
    report: &mut Report,
) -> Vec<upstream::Settings> {
    let at = JsonPath::root().key("upstreams");
    let mut upstreams = Vec::new();
    for (key, written) in file.upstreams.iter().flatten() {
        let at = at.key(key);
        let name = name(key, &at, report);
        let Some(written) = written else { continue };
        let mut endpoints = Vec::new();
        for (index, endpoint) in written.endpoints.iter().flatten().enumerate() {
            let at = at.key("endpoints").index(index);
            endpoints.extend(endpoint.as_ref().and_then(|endpoint| balance::endpoint(endpoint, &at, report)));
        }
        balance::check_endpoints(&endpoints, &at.key("endpoints"), report);
        let balance = balance::compile(written, &at, report);
        let wire = wire::compile(written, &endpoints, (folder, &mut *included), &at, report);
        let Some(name) = name else { continue };
        upstreams.push(upstream::Settings {
            name,
            endpoints,
            wire,
            balance,
            connect_timeout: millis(written.connect_timeout_ms, file::Upstream::CONNECT_TIMEOUT_MS),
            response_timeout: millis(written.response_timeout_ms, file::Upstream::RESPONSE_TIMEOUT_MS),
            idle_timeout: millis(written.idle_timeout_ms, file::Upstream::IDLE_TIMEOUT_MS),
            ejection: balance::ejection(written),
            guards: guards::compile(written, &at, report),
            health: written.health.as_ref().map(|health| health::compile(health, &at.key("health"), report)),
            resolve_interval: Some(millis(written.resolve_interval_ms, file::Upstream::RESOLVE_INTERVAL_MS))
                .filter(|interval| !interval.is_zero()),
            tunnel_timeout: millis(written.tunnel_timeout_ms, file::Upstream::TUNNEL_TIMEOUT_MS),
            idle_connections_max: size(written.idle_connections_max.unwrap_or(file::Upstream::IDLE_CONNECTIONS_MAX)),
            idle_connection_timeout: millis(
                written.idle_connection_timeout_ms,
                file::Upstream::IDLE_CONNECTION_TIMEOUT_MS,
            ),
            connections_max: size(written.connections_max.unwrap_or(file::Upstream::CONNECTIONS_MAX)),
        });
    }
    upstreams
}

fn overload(written: Option<&file::Overload>) -> traffic::Settings {
    let defaults = traffic::Settings::default();
    traffic::Settings {
        exchanges_max: written.and_then(|w| w.exchanges_max).map_or(defaults.exchanges_max, size),
        memory_bytes_max: written.and_then(|w| w.memory_bytes_max),
        ..defaults
    }
}

fn forwarding(written: Option<&file::Forwarding>) -> Forwarding {
    let defaults = Forwarding::default();
    Forwarding {
        fields: written.and_then(|w| w.fields).map_or(defaults.fields, |fields| match fields {
            file::ForwardingFields::X => ForwardingFields::X,
            file::ForwardingFields::Standard => ForwardingFields::Standard,
            file::ForwardingFields::Both => ForwardingFields::Both,
            file::ForwardingFields::None => ForwardingFields::None,
        }),
        incoming: written.and_then(|w| w.incoming).map_or(defaults.incoming, |incoming| match incoming {
            file::IncomingForwarding::Replace => IncomingForwarding::Replace,
            file::IncomingForwarding::Append => IncomingForwarding::Append,
        }),
    }
}

fn log(written: Option<&file::Log>, at: &JsonPath, report: &mut Report) -> LogSettings {
    let filter = written.and_then(|w| w.filter.as_deref()).unwrap_or(file::LOG_FILTER);
    if let Err((what, remedy)) = log_filter(filter) {
        report.add(&at.key("filter"), what, remedy);
    }
    let format = match written.and_then(|w| w.format) {
        None => LogFormat::default(),
        Some(file::LogFormat::Text) => LogFormat::Text,
        Some(file::LogFormat::Json) => LogFormat::Json,
    };
    LogSettings { filter: filter.to_owned(), format }
}

/// Checks what is logged; says what is wrong with it, and the remedy.
pub(crate) fn log_filter(filter: &str) -> Result<(), (String, String)> {
    let levels = ["error", "warn", "info", "debug", "trace", "off"];
    // A lone word that is no level is taken for the name of a crate, all of whose messages are then logged: surely not meant.
    let stray = filter.split(',').map(str::trim).find(|part| {
        let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphabetic());
        plain && !levels.contains(&part.to_ascii_lowercase().as_str())
    });
    let example = "write a level or \"module=level\", such as \"info,portcullis::plugin=debug\"";
    if let Some(stray) = stray {
        let remedy = nearest(stray, levels).map(|level| format!("did you mean {level:?}?"));
        return Err((format!("{stray:?} is not a level"), remedy.unwrap_or_else(|| example.to_owned())));
    }
    // What says nothing of a level lets through everything there, and, as the only one, nothing elsewhere.
    let vague = filter.split(',').map(str::trim).find(|part| part.ends_with('=') || part.starts_with('='));
    if let Some(vague) = vague {
        return Err((format!("{vague:?} names no level or no module"), example.to_owned()));
    }
    match EnvFilter::try_new(filter) {
        Ok(_) => Ok(()),
        Err(_) => Err((format!("{filter:?} cannot be understood"), example.to_owned())),
    }
}

fn millis(written: Option<u64>, default: u64) -> Duration {
    Duration::from_millis(written.unwrap_or(default))
}

/// The schema's limits are far below what a `usize` holds.
fn size(written: u64) -> usize {
    usize::try_from(written).unwrap_or(usize::MAX)
}

/// Checks a name.
fn name(text: &str, at: &JsonPath, report: &mut Report) -> Option<Name> {
    let name = text.parse::<Name>();
    if name.is_err() {
        let remedy = "use 1 to 64 of a-z A-Z 0-9 _ - . and start with a letter or a digit";
        report.add(at, format!("{text:?} is not a name"), remedy);
    }
    name.ok()
}

/// Notes which names stand where, and reports one that stands twice.
#[derive(Default)]
struct Unique<'a>(BTreeMap<&'a str, JsonPath>);

impl<'a> Unique<'a> {
    fn note(&mut self, text: &'a str, at: &JsonPath, report: &mut Report, remedy: &str) {
        match self.0.get(text) {
            Some(other) => report.add(at, format!("{text:?} is used at {other} already"), remedy),
            None => {
                self.0.insert(text, at.clone());
            }
        }
    }
}

/// Reports a reference to something that does not exist.
fn dangling<'a>(
    kind: &str,
    text: &str,
    known: impl IntoIterator<Item = &'a str>,
    otherwise: &str,
    at: &JsonPath,
    report: &mut Report,
) {
    let remedy = match nearest(text, known) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => otherwise.to_owned(),
    };
    report.add(at, format!("no {kind} is named {text:?}"), remedy);
}
