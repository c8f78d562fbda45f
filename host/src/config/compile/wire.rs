//! Checks how the endpoints of an upstream are spoken to. The files of TLS are read here, too.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;

use super::super::file;
use super::super::problem::Report;
use super::address::is_https;
use super::tls::tell;
use crate::plugin::schema::JsonPath;
use crate::redis;
use crate::telemetry::spans;
use crate::tls::{self, ClientSettings, IdentityFiles, Verification};
use crate::upstream::{Endpoint, Protocol, ProxyProtocol, Share, Tls, Wire};

/// Compiles `tls`, `protocol` and `proxy_protocol` of an upstream. Relative paths are relative to `folder`; the files are
/// added to those that are watched.
pub(super) fn compile(
    written: &file::Upstream,
    endpoints: &[Share],
    (folder, included): (&Path, &mut Vec<PathBuf>),
    at: &JsonPath,
    report: &mut Report,
) -> Wire {
    let protocol = match written.protocol {
        None | Some(file::UpstreamProtocol::Http1) => Protocol::Http1,
        Some(file::UpstreamProtocol::Http2) => Protocol::Http2,
        Some(file::UpstreamProtocol::Auto) => Protocol::Auto,
    };
    let proxy_protocol = written.proxy_protocol.map(|version| match version {
        file::UpstreamProxyProtocol::V1 => ProxyProtocol::V1,
        file::UpstreamProxyProtocol::V2 => ProxyProtocol::V2,
    });
    let defaults = file::UpstreamTlsSettings::default();
    let https = https(written, at, report);
    let settings = match &written.tls {
        None if https => Some(&defaults),
        None | Some(file::UpstreamTls::Switch(false)) => None,
        Some(file::UpstreamTls::Switch(true)) => Some(&defaults),
        Some(file::UpstreamTls::Settings(settings)) => Some(&**settings),
    };
    if protocol == Protocol::Auto && settings.is_none() && !report.is_gone(&at.key("tls")) {
        let remedy = "add \"tls\", or write \"http1\" or \"http2\"";
        report.add(&at.key("protocol"), "only in TLS both sides agree on a protocol", remedy);
    }
    if protocol != Protocol::Http1 && proxy_protocol.is_some() {
        let what = "one connection of HTTP/2 is for many clients, and its header can name but one";
        report.add(&at.key("proxy_protocol"), what, "remove it, or write \"protocol\": \"http1\"");
    }
    let tls = settings.and_then(|written| {
        let at = at.key("tls");
        let nameless = endpoints.iter().any(|share| matches!(share.endpoint, Endpoint::Unix(_)));
        if nameless && written.server_name.is_none() && !report.is_gone(&at.key("server_name")) {
            let remedy = "add \"server_name\"";
            report.add(&at, "an endpoint that is a socket in the file system has no name to verify", remedy);
        }
        tls(written, protocol, (folder, included), &at, report)
    });
    Wire { tls, protocol, proxy_protocol }
}

/// Whether the endpoints are written as such that speak TLS, be it that `tls` says how or not.
fn https(written: &file::Upstream, at: &JsonPath, report: &mut Report) -> bool {
    let entries = || written.endpoints.iter().flatten().enumerate();
    let text = |endpoint: &Option<file::Endpoint>| match endpoint {
        Some(file::Endpoint::Address(text)) => is_https(text),
        Some(file::Endpoint::Weighted(written)) => written.address.as_deref().is_some_and(is_https),
        None => false,
    };
    let Some((first, _)) = entries().find(|(_, endpoint)| text(endpoint)) else { return false };
    let at = at.key("endpoints");
    match (&written.tls, entries().find(|(_, endpoint)| endpoint.is_some() && !text(endpoint))) {
        (Some(file::UpstreamTls::Switch(false)), _) => {
            report.add(&at.index(first), "speaks TLS, but \"tls\" is false", "remove one of the two");
        }
        (None, Some((other, _))) => {
            let remedy = "write \"https://\" before all of them or none, or make them two upstreams";
            report.add(&at.index(other), "does not speak TLS, though others do", remedy);
        }
        _ => {}
    }
    true
}

/// How Redis is spoken to by TLS; without anything written, with the defaults.
pub(super) fn redis_tls(
    written: Option<&file::UpstreamTlsSettings>,
    (folder, included): (&Path, &mut Vec<PathBuf>),
    at: &JsonPath,
    report: &mut Report,
) -> Option<redis::Tls> {
    let defaults = file::UpstreamTlsSettings::default();
    let (client, server_name) = client(written.unwrap_or(&defaults), &[], (folder, included), at, report);
    match tls::client(&client) {
        Ok(_) => Some(redis::Tls { client, server_name }),
        Err(error) => {
            tell(error, at, report);
            None
        }
    }
}

/// How a receiver of spans is spoken to by TLS; without anything written, with the defaults.
pub(super) fn otlp_tls(
    written: Option<&file::UpstreamTlsSettings>,
    files: (&Path, &mut Vec<PathBuf>),
    at: &JsonPath,
    report: &mut Report,
) -> Option<spans::Tls> {
    redis_tls(written, files, at, report).map(|redis::Tls { client, server_name }| spans::Tls { client, server_name })
}

fn tls(
    written: &file::UpstreamTlsSettings,
    protocol: Protocol,
    (folder, included): (&Path, &mut Vec<PathBuf>),
    at: &JsonPath,
    report: &mut Report,
) -> Option<Tls> {
    let (settings, name) = client(written, protocol.offer(), (folder, included), at, report);
    let digest = tls::client_digest(&settings);
    match tls::client(&settings) {
        Ok(config) => Some(Tls::new(config, name, digest)),
        Err(error) => {
            tell(error, at, report);
            None
        }
    }
}

/// What a server is trusted by, and the name that its certificate must have.
fn client(
    written: &file::UpstreamTlsSettings,
    protocols: &[&'static [u8]],
    (folder, included): (&Path, &mut Vec<PathBuf>),
    at: &JsonPath,
    report: &mut Report,
) -> (ClientSettings, Option<ServerName<'static>>) {
    let mut path = |text: &String| {
        let path = folder.join(text);
        if !included.contains(&path) {
            included.push(path.clone());
        }
        path
    };
    let identity = match (&written.certificate, &written.key) {
        (Some(certificate), Some(key)) => {
            Some(IdentityFiles { certificate: path(certificate), key: path(key), ocsp: None })
        }
        (None, None) => None,
        (certificate, _) => {
            let (has, lacks) = if certificate.is_some() { ("certificate", "key") } else { ("key", "certificate") };
            if !report.is_gone(&at.key(lacks)) {
                report.add(&at.key(has), format!("stands without {lacks:?}"), format!("add {lacks:?}"));
            }
            None
        }
    };
    let verification = if written.verify == Some(false) { Verification::Off } else { Verification::Full };
    if let (Verification::Off, Some(_)) = (verification, &written.ca) {
        report.add(&at.key("ca"), "has no effect where nothing is verified", "remove it, or \"verify\": false");
    }
    let name = written.server_name.as_ref().and_then(|text| {
        let name = ServerName::try_from(text.clone()).ok();
        if name.is_none() {
            let remedy = "write one such as \"app.internal\" or \"10.0.0.7\"";
            report.add(&at.key("server_name"), format!("{text:?} is not a host"), remedy);
        }
        name
    });
    let settings = ClientSettings {
        authorities: written.ca.as_ref().map(&mut path),
        identity,
        pins: pins(written.pins.as_deref().unwrap_or_default(), &at.key("pins"), report),
        verification,
        protocols: protocols.to_vec(),
    };
    (settings, name)
}

fn pins(written: &[Option<String>], at: &JsonPath, report: &mut Report) -> Vec<[u8; 32]> {
    let mut pins = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let Some(text) = text else { continue };
        let pin = STANDARD.decode(text.strip_prefix("sha256//").unwrap_or(text)).ok();
        match pin.and_then(|bytes| bytes.try_into().ok()) {
            Some(pin) => pins.push(pin),
            None => {
                let remedy = "write 44 characters of base64, as `openssl pkey -pubin -outform der | openssl dgst \
                              -sha256 -binary | base64` gives them";
                report.add(&at.index(index), format!("{text:?} is not a SHA-256 in base64"), remedy);
            }
        }
    }
    pins
}
