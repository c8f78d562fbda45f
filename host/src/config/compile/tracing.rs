//! Checks `tracing`. Nothing is connected to; the files of TLS are read. Headers are never shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use serde_json::Value;

use super::super::file::{self, File, OtlpProtocol};
use super::super::problem::Report;
use super::handler::{header_name, header_value};
use super::{dangling, millis, size, wire};
use crate::names::Name;
use crate::plugin::schema::JsonPath;
use crate::telemetry::spans::{
    Attribute, Compression, Errors, Follow, GRPC_PATH, IncomingTrace, Otlp, Protocol, Ratio, Sampling, Secrets,
    Settings,
};

/// Where OTLP/HTTP takes spans.
const HTTP_PATH: &str = "/v1/traces";

/// Compiles `tracing`. Relative paths are relative to `folder`; the files are added to those that are watched.
pub(super) fn compile(file: &File, files: (&Path, &mut Vec<PathBuf>), report: &mut Report) -> Option<Arc<Settings>> {
    let at = JsonPath::root().key("tracing");
    let written = file.tracing.as_ref()?;
    let resource = resource(written, &at.key("resource"), report);
    let sampling = sampling(written.sample.as_ref(), file, &at.key("sample"), report);
    let otlp = written.otlp.as_ref().and_then(|written| otlp(written, files, &at.key("otlp"), report));
    let incoming = match written.incoming {
        None | Some(file::IncomingTrace::Trust) => IncomingTrace::Trust,
        Some(file::IncomingTrace::Ignore) => IncomingTrace::Ignore,
    };
    let queue_max = size(written.queue_max.unwrap_or(file::Tracing::QUEUE_MAX));
    Some(Arc::new(Settings { otlp: otlp?, resource, sampling, incoming, queue_max }))
}

/// Who we are. What is written goes before what we know.
fn resource(written: &file::Tracing, at: &JsonPath, report: &mut Report) -> Vec<(String, Attribute)> {
    let name = written.service_name.as_deref().unwrap_or(file::Tracing::SERVICE_NAME);
    let text = |key: &str, text: &str| (key.to_owned(), Attribute::Text(text.to_owned()));
    let mut attributes = BTreeMap::from([
        text("service.name", name),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("telemetry.sdk.language", "rust"),
        text("telemetry.sdk.name", "portcullis"),
        text("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ]);
    for (key, value) in written.resource.iter().flatten() {
        let at = at.key(key);
        if key == "service.name" {
            report.add(&at, "has a key of its own", "write it as \"service_name\"");
            continue;
        }
        let value = match value {
            None => continue,
            Some(Value::String(text)) => Attribute::Text(text.clone()),
            Some(Value::Bool(flag)) => Attribute::Flag(*flag),
            Some(Value::Number(number)) => match number.as_i64() {
                Some(whole) => Attribute::Whole(whole),
                None => Attribute::Number(number.as_f64().unwrap_or_default()),
            },
            Some(_) => {
                report.add(&at, "is no text, number or boolean", "write one of those");
                continue;
            }
        };
        attributes.insert(key.clone(), value);
    }
    attributes.into_iter().collect()
}

fn sampling(written: Option<&file::Sample>, file: &File, at: &JsonPath, report: &mut Report) -> Sampling {
    let defaults = file::Sample::default();
    let written = written.unwrap_or(&defaults);
    let mut routes = BTreeMap::new();
    let known = || file.routes.iter().flatten().flatten().filter_map(|route| route.name.as_deref());
    for (key, ratio) in written.routes.iter().flatten() {
        if !known().any(|name| name == key) {
            dangling("route", key, known(), "add the route or remove this", &at.key("routes").key(key), report);
        }
        if let (Ok(name), Some(ratio)) = (key.parse::<Name>(), ratio) {
            routes.insert(name, Ratio::new(*ratio));
        }
    }
    Sampling {
        ratio: Ratio::new(written.ratio.unwrap_or(file::Sample::RATIO)),
        routes,
        parent: match written.parent {
            None | Some(file::SampleParent::Follow) => Follow::Parent,
            Some(file::SampleParent::Ignore) => Follow::Ratio,
        },
        errors: if written.errors.unwrap_or(true) { Errors::Kept } else { Errors::Sampled },
        slower_than: written.slower_than_ms.map(Duration::from_millis),
    }
}

fn otlp(written: &file::Otlp, files: (&Path, &mut Vec<PathBuf>), at: &JsonPath, report: &mut Report) -> Option<Otlp> {
    let protocol = match written.protocol {
        None | Some(OtlpProtocol::Http) => Protocol::Http,
        Some(OtlpProtocol::Grpc) => Protocol::Grpc,
    };
    let headers = headers(written, &at.key("headers"), report);
    let receiver = written.endpoint.as_deref();
    let receiver = receiver.and_then(|text| endpoint(text, protocol, &at.key("endpoint"), report));
    let tls_at = at.key("tls");
    let tls = match (&receiver, &written.tls) {
        (Some(receiver), Some(_)) if !receiver.secure => {
            report.add(&tls_at, "has no effect without TLS", "remove it, or write \"https://\"");
            None
        }
        (Some(receiver), written) if receiver.secure => {
            Some(wire::otlp_tls(written.as_deref(), files, &tls_at, report)?)
        }
        _ => None,
    };
    let Receiver { host, port, path, .. } = receiver?;
    Some(Otlp {
        host,
        port,
        path,
        protocol,
        tls,
        headers: headers?,
        timeout: millis(written.timeout_ms, file::Otlp::TIMEOUT_MS),
        compression: match written.compression {
            None | Some(file::OtlpCompression::None) => Compression::None,
            Some(file::OtlpCompression::Gzip) => Compression::Gzip,
        },
    })
}

/// What a URL says.
struct Receiver {
    secure: bool,
    host: String,
    port: u16,
    path: String,
}

fn endpoint(text: &str, protocol: Protocol, at: &JsonPath, report: &mut Report) -> Option<Receiver> {
    let uri = text.parse::<Uri>().ok().filter(|uri| !text.contains('#') && uri.query().is_none());
    let secure = match uri.as_ref().and_then(Uri::scheme_str) {
        Some("http") => Some(false),
        Some("https") => Some(true),
        _ => None,
    };
    let usual = if protocol == Protocol::Http { 4318 } else { 4317 };
    let host = uri.as_ref().and_then(Uri::host).filter(|host| !host.is_empty());
    let (Some(uri), Some(secure), Some(host)) = (&uri, secure, host) else {
        // Not shown: a URL may hold a password.
        report.add(at, "is not the URL of a receiver", format!("write one such as \"http://127.0.0.1:{usual}\""));
        return None;
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        report.add(at, "has a user or password in it", "write them into \"headers\": {\"authorization\": …}");
        return None;
    }
    let base = uri.path().trim_end_matches('/');
    let path = match protocol {
        Protocol::Http if base.ends_with(HTTP_PATH) => base.to_owned(),
        Protocol::Http => format!("{base}{HTTP_PATH}"),
        Protocol::Grpc if base.is_empty() => GRPC_PATH.to_owned(),
        Protocol::Grpc => {
            report.add(at, "has a path, which gRPC knows nothing of", "write scheme, host and port only");
            return None;
        }
    };
    // As the specification has it: without a port, that of the scheme.
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    Some(Receiver { secure, host, port, path })
}

fn headers(written: &file::Otlp, at: &JsonPath, report: &mut Report) -> Option<Secrets> {
    let mut fields = Some(Vec::new());
    for (key, value) in written.headers.iter().flatten() {
        let Some(value) = value else { continue };
        let at = at.key(key);
        let name = header_name(key, &at, report);
        let value = header_value(&value.0, &at, report).map(|mut value| {
            value.set_sensitive(true);
            value
        });
        fields = fields.zip(name.zip(value)).map(|(mut fields, field)| {
            fields.push(field);
            fields
        });
    }
    fields.map(Secrets::new)
}
