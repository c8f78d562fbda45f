//! One line: every field of an exchange as text.
//!
//! Nothing is allocated but room in the buffer. What is from outside goes through `escape` or `redact`; all else is made of our own words
//! and numbers.

use std::net::SocketAddr;
use std::time::Duration;

use http::header::GetAll;
use http::{HeaderValue, Version};

use super::escape::{self, Style};
use super::form::{Form, Shown, Step};
use super::memory::Memory;
use super::number;
use super::redact::{self, REDACTED};
use super::settings::Field;
use crate::exchange::{CacheStatus, Digits, Exchange, Fault, Request};
use crate::names::Name;
use crate::telemetry::End;

/// What a line says of a field.
enum Said<'a> {
    /// A text that needs no escaping, since we made it or checked it when it came.
    Ours(&'a [u8]),
    /// A moment: a text of known length.
    Time(&'a [u8; 24]),
    /// A text from outside.
    Text(&'a [u8]),
    Trace(Digits<32>),
    Whole(u64),
    Millis(Duration),
    Address(SocketAddr),
    /// A path, if it is to be shown, and a query without its secrets.
    Target(&'a [u8], Option<&'a [u8]>),
    /// All values of a header field.
    Header(GetAll<'a, HeaderValue>),
    /// The same, where they are URLs.
    Urls(GetAll<'a, HeaderValue>),
    /// What each plugin took.
    Plugins,
}

impl Form {
    /// Appends the line of an exchange.
    pub(super) fn line(&self, told: (&Exchange, &End), memory: &mut Memory, out: &mut Vec<u8>) {
        let (style, begin) = (self.style, out.len());
        for step in &self.steps {
            // What has no value costs nothing here: most fields are known of few exchanges.
            match (self.said(step, told, memory), style) {
                (Some(said), _) => {
                    step.before.put(out);
                    let at = out.len();
                    self.write(said, told.0, out);
                    match style {
                        Style::Json if step.quoted => out.push(b'"'),
                        Style::Plain if out.len() == at => out.push(b'-'),
                        _ => {}
                    }
                }
                (None, Style::Json) => {}
                (None, Style::Plain) => {
                    step.before.put(out);
                    out.push(b'-');
                }
            }
        }
        if style == Style::Json {
            // The first key needs no comma; where there is none, there is no room for the brace.
            match out.get_mut(begin) {
                Some(comma) => *comma = b'{',
                None => out.push(b'{'),
            }
        }
        out.extend_from_slice(&self.tail);
    }

    /// What there is to say of a field; none: it has no value.
    fn said<'a>(
        &'a self,
        Step { field, shown, .. }: &Step,
        (exchange, end): (&'a Exchange, &End),
        memory: &'a mut Memory,
    ) -> Option<Said<'a>> {
        let (client, request) = (&exchange.client, &exchange.request);
        Some(match field {
            Field::Time => Said::Time(memory.stamp.rfc3339()),
            Field::TimeCommon => Said::Ours(memory.stamp.common()),
            Field::RequestId => Said::Ours(exchange.id.as_bytes()),
            Field::TraceId => Said::Trace(exchange.trace.as_ref()?.trace_id()),
            Field::ClientAddress => Said::Ours(client.address_value.as_bytes()),
            Field::ClientPort => Said::Whole(client.address.port().into()),
            Field::Listener => Said::Address(client.local),
            Field::TlsVersion => Said::Ours(client.tls.as_ref()?.version.as_bytes()),
            Field::TlsCipher => Said::Ours(client.tls.as_ref()?.cipher.as_bytes()),
            Field::TlsServerName => Said::Text(client.tls.as_ref()?.server_name.as_ref()?.as_bytes()),
            Field::Scheme => Said::Ours(client.scheme.as_str().as_bytes()),
            Field::Method | Field::Authority | Field::Path | Field::Query | Field::Target | Field::Protocol => {
                asked(field, request)?
            }
            Field::Route => Said::Ours(exchange.route.as_ref()?.as_str().as_bytes()),
            Field::Status => Said::Whole(end.status.as_u16().into()),
            Field::Bytes => Said::Whole(end.body_bytes),
            Field::RequestBytes => Said::Whole(exchange.received.bytes()),
            Field::Duration | Field::Head | Field::UpstreamTime | Field::CacheTime | Field::PluginsTime => {
                Said::Millis(time(field, exchange, end)?)
            }
            Field::Plugins => self.timed(exchange).next().map(|_| Said::Plugins)?,
            Field::Cache => Said::Ours(cache(exchange.cache)?),
            Field::Upstream => Said::Ours(exchange.delivery.upstream.as_ref()?.as_str().as_bytes()),
            Field::Endpoint => Said::Ours(memory.endpoints.text(exchange.delivery.endpoint.as_ref()?, self.style)),
            Field::Failure => Said::Ours(exchange.failure?.as_str().as_bytes()),
            Field::Fault => Said::Ours(fault(exchange.failure?.fault())),
            Field::AnsweredBy => Said::Ours(self.plugin(exchange.answered_by?)?.as_str().as_bytes()),
            Field::Complete => Said::Ours(if end.complete { b"true" } else { b"false" }),
            Field::Incomplete => Said::Ours((!end.complete).then_some(b"true")?),
            Field::RequestHeader(name) => header(request.headers.get_all(name), *shown)?,
            Field::ResponseHeader(name) => header(exchange.response.as_ref()?.headers.get_all(name), *shown)?,
            Field::Attribute(name) => Said::Text(exchange.attributes.find(name)?.as_bytes()),
        })
    }

    fn write(&self, said: Said<'_>, exchange: &Exchange, out: &mut Vec<u8>) {
        let (style, secret) = (self.style, &self.redact_query);
        match said {
            Said::Ours(text) => out.extend_from_slice(text),
            Said::Time(text) => out.extend_from_slice(text),
            Said::Text(text) => escape::text(text, style, out),
            Said::Trace(id) => out.extend_from_slice(id.as_str().as_bytes()),
            Said::Whole(number) => number::whole(number, out),
            Said::Millis(time) => number::millis(time, out),
            Said::Address(address) => escape::address(address, style, out),
            Said::Target(path, query) => {
                escape::text(path, style, out);
                if let Some(query) = query {
                    if !path.is_empty() {
                        out.push(b'?');
                    }
                    redact::query(query, secret, style, out);
                }
            }
            Said::Header(values) => listed(&values, out, |value, out| escape::text(value, style, out)),
            Said::Urls(values) => listed(&values, out, |value, out| redact::url(value, secret, style, out)),
            Said::Plugins => self.plugins(exchange, out),
        }
    }

    /// What each plugin took whose name is known.
    fn timed<'a>(&'a self, exchange: &'a Exchange) -> impl Iterator<Item = (&'a Name, Duration)> {
        exchange.timings.per_plugin.iter().filter_map(|(number, took)| Some((self.plugin(*number)?, *took)))
    }

    /// An object in JSON, `name=ms` with commas between in a template.
    fn plugins(&self, exchange: &Exchange, out: &mut Vec<u8>) {
        let (open, colon, close): (_, &[u8], _) = match self.style {
            Style::Json => ("{\"", b"\":", "}"),
            Style::Plain => ("", b"=", ""),
        };
        for (index, (name, took)) in self.timed(exchange).enumerate() {
            out.extend_from_slice(match (index, self.style) {
                (0, _) => open.as_bytes(),
                (_, Style::Json) => b",\"",
                (_, Style::Plain) => b",",
            });
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(colon);
            number::millis(took, out);
        }
        out.extend_from_slice(close.as_bytes());
    }
}

/// What the client asked for. What could not be read as a request stands in for one that has no header fields, and nothing of it is made
/// up; one that was admitted has its id at least.
fn asked<'a>(field: &Field, request: &'a Request) -> Option<Said<'a>> {
    if request.headers.is_empty() {
        return None;
    }
    let target = &request.target;
    Some(match field {
        // A token (RFC 9110 section 5.6.2) has neither quotes nor backslashes.
        Field::Method => Said::Ours(request.method.as_str().as_bytes()),
        Field::Authority if !request.authority.is_empty() => Said::Text(request.authority.as_bytes()),
        Field::Path => Said::Text(target.path().as_bytes()),
        Field::Query => Said::Target(&[], Some(target.query()?.as_bytes())),
        Field::Target => Said::Target(target.path().as_bytes(), target.query().map(str::as_bytes)),
        Field::Protocol => Said::Ours(protocol(request.version)),
        _ => return None,
    })
}

/// A time. That of a part that did not happen is not known.
fn time(field: &Field, exchange: &Exchange, end: &End) -> Option<Duration> {
    let timings = &exchange.timings;
    let happened = |time: Duration| (!time.is_zero()).then_some(time);
    match field {
        Field::Duration => Some(end.duration),
        Field::Head => end.head,
        Field::UpstreamTime => happened(timings.upstream),
        Field::CacheTime => happened(timings.cache),
        Field::PluginsTime => (!timings.per_plugin.is_empty()).then_some(timings.plugins),
        _ => None,
    }
}

fn header(values: GetAll<'_, HeaderValue>, shown: Shown) -> Option<Said<'_>> {
    values.iter().next()?;
    Some(match shown {
        Shown::All => Said::Header(values),
        Shown::Presence => Said::Ours(REDACTED),
        Shown::Url => Said::Urls(values),
    })
}

/// Appends values with commas between.
fn listed(values: &GetAll<'_, HeaderValue>, out: &mut Vec<u8>, one: impl Fn(&[u8], &mut Vec<u8>)) {
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        one(value.as_bytes(), out);
    }
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2.0",
        Version::HTTP_3 => b"HTTP/3.0",
        _ => b"HTTP/1.1",
    }
}

fn cache(status: CacheStatus) -> Option<&'static [u8]> {
    match status {
        CacheStatus::Unused => None,
        CacheStatus::Bypass => Some(b"bypass"),
        CacheStatus::Miss => Some(b"miss"),
        CacheStatus::Hit => Some(b"hit"),
    }
}

fn fault(fault: Fault) -> &'static [u8] {
    match fault {
        Fault::Downstream => b"downstream",
        Fault::Upstream => b"upstream",
        Fault::Plugin => b"plugin",
        Fault::Internal => b"internal",
    }
}
