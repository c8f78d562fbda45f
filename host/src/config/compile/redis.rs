//! Checks `redis`. Nothing is connected to; the files of TLS are read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::file::{self, File};
use super::super::problem::Report;
use super::address::redis_node;
use super::{millis, size, wire};
use crate::plugin::schema::JsonPath;
use crate::redis::{Access, Address, BreakerSettings, Nodes, Password, Sentinel, Settings};

/// The ports that Redis and its sentinels are known by.
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;

/// Compiles `redis`. Relative paths are relative to `folder`; the files are added to those that are watched.
pub(super) fn compile(
    file: &File,
    (folder, included): (&Path, &mut Vec<PathBuf>),
    report: &mut Report,
) -> Option<Settings> {
    let at = JsonPath::root().key("redis");
    let written = file.redis.as_ref()?;
    let mut speaks = Speaks::default();
    let nodes = nodes(written, &at, &mut speaks, report);
    let tls = tls(written, &speaks, &at, report);
    let tls = tls.and_then(|written| wire::redis_tls(written, (folder, included), &at.key("tls"), report));
    if written.cluster.is_some() && written.database.is_some_and(|database| database != 0) {
        report.add(&at.key("database"), "a cluster has no databases", "remove it");
    }
    let prefix = written.prefix.as_deref().unwrap_or(Settings::PREFIX);
    if prefix.contains(['{', '}']) {
        let what = "braces in it would put all keys of a cluster on one node";
        report.add(&at.key("prefix"), what, "write one without \"{\" and \"}\"");
    }
    let defaults = BreakerSettings::default();
    let breaker = written.breaker.as_ref();
    Some(Settings {
        access: access(written.username.as_ref(), written.password.as_ref(), &at, report),
        tls,
        database: written.database.unwrap_or_default(),
        prefix: prefix.to_owned(),
        timeout: written.timeout_ms.map_or(Settings::TIMEOUT, Duration::from_millis),
        connections: written.connections.map_or(Settings::CONNECTIONS, size),
        breaker: BreakerSettings {
            failures: breaker.and_then(|breaker| breaker.failures).unwrap_or(defaults.failures),
            open_for: breaker
                .and_then(|breaker| breaker.open_ms)
                .map_or(defaults.open_for, |written| millis(Some(written), 0)),
        },
        value_bytes_max: written.value_bytes_max.map_or(Settings::VALUE_BYTES_MAX, size),
        ..Settings::new(nodes?)
    })
}

/// Which URLs say that TLS is spoken, and which that it is not.
#[derive(Default)]
struct Speaks {
    tls: Option<JsonPath>,
    cleartext: Option<JsonPath>,
    socket: Option<JsonPath>,
}

fn nodes(written: &file::Redis, at: &JsonPath, speaks: &mut Speaks, report: &mut Report) -> Option<Nodes> {
    let given = [
        ("url", written.url.is_some()),
        ("sentinel", written.sentinel.is_some()),
        ("cluster", written.cluster.is_some()),
    ];
    let mut given = given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key);
    let Some(first) = given.next() else {
        if !["url", "sentinel", "cluster"].iter().any(|key| report.is_gone(&at.key(key))) {
            let remedy = "add \"url\": \"redis://127.0.0.1:6379\", \"sentinel\" or \"cluster\"";
            report.add(at, "does not say where Redis is", remedy);
        }
        return None;
    };
    for other in given {
        report.add(&at.key(other), format!("stands beside {first:?}"), "keep one of the two");
    }
    let mut addresses = |written: &[Option<String>], at: &JsonPath, port: u16, report: &mut Report| -> Vec<Address> {
        let urls = written.iter().enumerate().filter_map(|(index, text)| Some((at.index(index), text.as_deref()?)));
        urls.filter_map(|(at, text)| {
            let address = url(text, port, &at, speaks, report)?;
            if let Address::Unix(_) = address {
                report.add(&at, "is a socket of this machine", "write the URL of a server: \"redis://host:port\"");
            }
            Some(address)
        })
        .collect()
    };
    match first {
        "cluster" => Some(Nodes::Cluster(addresses(written.cluster.as_deref()?, &at.key("cluster"), PORT, report))),
        "sentinel" => {
            let (written, at) = (written.sentinel.as_ref()?, at.key("sentinel"));
            let sentinels =
                addresses(written.urls.as_deref().unwrap_or_default(), &at.key("urls"), SENTINEL_PORT, report);
            let access = access(written.username.as_ref(), written.password.as_ref(), &at, report);
            Some(Nodes::Sentinel(Sentinel { sentinels, master: written.master.clone()?, access }))
        }
        _ => url(written.url.as_deref()?, PORT, &at.key("url"), speaks, report).map(Nodes::Single),
    }
}

/// Reads a URL. Passwords have a key of their own, so that the URL may be shown.
fn url(text: &str, port: u16, at: &JsonPath, speaks: &mut Speaks, report: &mut Report) -> Option<Address> {
    let example = format!("write one such as \"redis://127.0.0.1:{port}\"");
    if text.starts_with("unix:") {
        speaks.socket.get_or_insert_with(|| at.clone());
        return redis_node(text, port, at, report);
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        // It may be a password that was put into the wrong place; hosts are shown.
        report.add(at, "is not a URL", example);
        return None;
    };
    match scheme {
        "redis" => speaks.cleartext.get_or_insert_with(|| at.clone()),
        "rediss" => speaks.tls.get_or_insert_with(|| at.clone()),
        _ => {
            report.add(at, format!("{scheme:?} is not spoken here"), "write \"redis\", or \"rediss\" for TLS");
            return None;
        }
    };
    if rest.contains('@') {
        let remedy = "write it as \"username\" and \"password\": \"${REDIS_PASSWORD}\"";
        report.add(at, "holds a user or a password", remedy);
        return None;
    }
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if let Some((host, path)) = host.split_once(['/', '?', '#']) {
        let remedy = match path.parse::<u16>() {
            Ok(number) => format!("write \"{scheme}://{host}\" and \"database\": {number}"),
            Err(_) => format!("write \"{scheme}://{host}\""),
        };
        report.add(at, "has more than host and port", remedy);
        return None;
    }
    redis_node(host, port, at, report)
}

fn tls<'a>(
    written: &'a file::Redis,
    speaks: &Speaks,
    at: &JsonPath,
    report: &mut Report,
) -> Option<Option<&'a file::UpstreamTlsSettings>> {
    let off = matches!(written.tls, None | Some(file::UpstreamTls::Switch(false)));
    if let (Some(_), Some(cleartext)) = (&speaks.tls, &speaks.cleartext) {
        report.add(cleartext, "does not speak TLS, though others do", "write \"rediss://\" before all of them or none");
    }
    if let (Some(tls), Some(file::UpstreamTls::Switch(false))) = (&speaks.tls, &written.tls) {
        report.add(tls, "speaks TLS, but \"tls\" is false", "remove one of the two");
    }
    if let (Some(_), false) = (&speaks.socket, off) {
        report.add(&at.key("tls"), "is not spoken on a socket in the file system", "remove it");
        return None;
    }
    match &written.tls {
        Some(file::UpstreamTls::Settings(settings)) => Some(Some(settings)),
        Some(file::UpstreamTls::Switch(true)) => Some(None),
        _ => speaks.tls.is_some().then_some(None),
    }
}

fn access(username: Option<&String>, password: Option<&file::Secret>, at: &JsonPath, report: &mut Report) -> Access {
    let password = password.filter(|password| !password.0.is_empty());
    if username.is_some() && password.is_none() && !report.is_gone(&at.key("password")) {
        report.add(&at.key("username"), "stands without a password", "add \"password\": \"${REDIS_PASSWORD}\"");
    }
    Access { username: username.cloned(), password: password.map(|password| Password::new(password.0.clone())) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn compiled(redis: Value) -> Settings {
        let file: File = serde_json::from_value(json!({ "redis": redis })).unwrap();
        let mut report = Report::default();
        let settings = compile(&file, (Path::new(""), &mut Vec::new()), &mut report);
        assert!(report.is_empty(), "{report:?}");
        settings.unwrap()
    }

    fn at(host: &str, port: u16) -> Address {
        Address::Tcp(host.to_owned(), port)
    }

    #[test]
    fn nodes_are_where_they_are_written() {
        let check = |redis: Value, expected: Nodes| {
            let settings = compiled(redis);
            assert_eq!(settings, Settings::new(expected));
        };
        check(json!({ "url": "redis://Cache.internal" }), Nodes::Single(at("cache.internal", 6379)));
        check(json!({ "url": "redis://[::1]:7000/", "tls": false }), Nodes::Single(at("::1", 7000)));
        check(json!({ "url": "redis://[::1]", "password": "" }), Nodes::Single(at("::1", 6379)));
        check(json!({ "url": "unix:/run/redis.sock" }), Nodes::Single(Address::Unix("/run/redis.sock".into())));
        let both = vec![at("a", 6379), at("10.0.0.2", 7000)];
        check(json!({ "cluster": ["redis://a", "redis://10.0.0.2:7000"] }), Nodes::Cluster(both));
        let access = Access { username: None, password: Some(Password::new("p".to_owned())) };
        let sentinel = Sentinel { sentinels: vec![at("a", 26_379)], master: "m".to_owned(), access };
        let written = json!({ "sentinel": { "master": "m", "urls": ["redis://a"], "password": "p" } });
        check(written, Nodes::Sentinel(sentinel));
    }

    #[test]
    fn everything_else_is_taken_over() {
        let settings = compiled(json!({
            "url": "rediss://a", "username": "u", "password": "hunter2", "database": 2, "prefix": "p:", "timeout_ms": 7,
            "connections": 3, "breaker": { "failures": 9, "open_ms": 11 }, "value_bytes_max": 4096,
            "tls": { "verify": false, "server_name": "b" },
        }));
        assert!(!format!("{settings:?}").contains("hunter2"));
        let tls = settings.tls.clone().unwrap();
        assert_eq!(tls.server_name.unwrap().to_str(), "b");
        let expected = Settings {
            access: Access { username: Some("u".to_owned()), password: Some(Password::new("hunter2".to_owned())) },
            tls: settings.tls.clone(),
            database: 2,
            prefix: "p:".to_owned(),
            timeout: Duration::from_millis(7),
            connections: 3,
            breaker: BreakerSettings { failures: 9, open_for: Duration::from_millis(11) },
            value_bytes_max: 4096,
            ..Settings::new(Nodes::Single(at("a", 6379)))
        };
        assert_eq!(settings, expected);
        assert!(compiled(json!({ "url": "rediss://a" })).tls.is_some());
        assert!(compiled(json!({ "url": "redis://a", "tls": true })).tls.is_some());
    }
}
