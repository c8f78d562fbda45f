//! One line: every field of an exchange as text.
//!
//! Nothing is allocated but room in the buffer. What is from outside goes through `escape` or `redact`; all else is made of our own words
//! and numbers.

use std::time::Duration;

use http::header::GetAll;
use http::{HeaderValue, Version};

use super::escape::{self, Style};
use super::form::{Form, Shown, Step};
use super::memory::Memory;
use super::number;
use super::redact::{self, REDACTED};
use super::settings::Field;
use crate::exchange::{CacheStatus, Exchange, Fault, Request};
use crate::telemetry::End;

impl Form {
    /// Appends the line of an exchange.
    pub(super) fn line(&self, told: (&Exchange, &End), memory: &mut Memory, out: &mut Vec<u8>) {
        match self.style {
            Style::Json => {
                let begin = out.len();
                for step in &self.steps {
                    let at = out.len();
                    out.extend_from_slice(&step.before);
                    if self.value(step, told, memory, out).is_none() {
                        out.truncate(at);
                    }
                }
                // The first key needs no comma; where there is none, there is no room for the brace.
                match out.get_mut(begin) {
                    Some(comma) => *comma = b'{',
                    None => out.push(b'{'),
                }
            }
            Style::Plain => {
                for step in &self.steps {
                    out.extend_from_slice(&step.before);
                    let at = out.len();
                    let value = self.value(step, told, memory, out);
                    if value.is_none() || out.len() == at {
                        out.truncate(at);
                        out.push(b'-');
                    }
                }
            }
        }
        out.extend_from_slice(&self.tail);
    }

    /// Appends the value of a field; none: it has no value, and whatever was appended is to be taken back.
    fn value(
        &self,
        Step { field, shown, .. }: &Step,
        (exchange, end): (&Exchange, &End),
        memory: &mut Memory,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let style = self.style;
        let request = &exchange.request;
        match field {
            Field::Time => quoted(style, out, |out| memory.stamp.rfc3339(exchange.started, out)),
            Field::TimeCommon => quoted(style, out, |out| memory.stamp.common(exchange.started, out)),
            // Made by us, or checked when it came.
            Field::RequestId => ours(exchange.id.as_bytes(), style, out),
            Field::TraceId => ours(exchange.trace.as_ref()?.trace_id().as_str().as_bytes(), style, out),
            Field::ClientAddress => ours(exchange.client.address_value.as_bytes(), style, out),
            Field::ClientPort => number::whole(exchange.client.address.port().into(), out),
            Field::Listener => quoted(style, out, |out| escape::address(exchange.client.local, style, out)),
            Field::TlsVersion => ours(exchange.client.tls.as_ref()?.version.as_bytes(), style, out),
            Field::TlsCipher => ours(exchange.client.tls.as_ref()?.cipher.as_bytes(), style, out),
            Field::TlsServerName => {
                text(exchange.client.tls.as_ref()?.server_name.as_ref()?.as_bytes(), style, out);
            }
            Field::Scheme => ours(exchange.client.scheme.as_str().as_bytes(), style, out),
            Field::Method | Field::Authority | Field::Path | Field::Query | Field::Target | Field::Protocol => {
                self.asked(field, request, out)?;
            }
            Field::Route => ours(exchange.route.as_ref()?.as_str().as_bytes(), style, out),
            Field::Status => number::whole(end.status.as_u16().into(), out),
            Field::Bytes => number::whole(end.body_bytes, out),
            Field::RequestBytes => number::whole(exchange.received.bytes(), out),
            Field::Duration
            | Field::Head
            | Field::UpstreamTime
            | Field::CacheTime
            | Field::PluginsTime
            | Field::Plugins => self.time(field, exchange, end, out)?,
            Field::Cache => ours(cache(exchange.cache)?, style, out),
            Field::Upstream => ours(exchange.delivery.upstream.as_ref()?.as_str().as_bytes(), style, out),
            Field::Endpoint => {
                let endpoint = exchange.delivery.endpoint.as_ref()?;
                ours(memory.endpoints.text(endpoint, style), style, out);
            }
            Field::Failure => ours(exchange.failure?.as_str().as_bytes(), style, out),
            Field::Fault => ours(fault(exchange.failure?.fault()), style, out),
            Field::AnsweredBy => ours(self.plugin(exchange.answered_by?)?.as_str().as_bytes(), style, out),
            Field::Complete => out.extend_from_slice(if end.complete { b"true" } else { b"false" }),
            Field::RequestHeader(name) => self.header(request.headers.get_all(name), *shown, out)?,
            Field::ResponseHeader(name) => {
                self.header(exchange.response.as_ref()?.headers.get_all(name), *shown, out)?;
            }
            Field::Attribute(name) => text(exchange.attributes.find(name)?.as_bytes(), style, out),
        }
        Some(())
    }

    /// What the client asked for. What could not be read as a request stands in for one that has no header fields, and nothing of it is made
    /// up; one that was admitted has its id at least.
    fn asked(&self, field: &Field, request: &Request, out: &mut Vec<u8>) -> Option<()> {
        if request.headers.is_empty() {
            return None;
        }
        let (style, target) = (self.style, &request.target);
        match field {
            // A token (RFC 9110 section 5.6.2) has neither quotes nor backslashes.
            Field::Method => ours(request.method.as_str().as_bytes(), style, out),
            Field::Authority if !request.authority.is_empty() => text(request.authority.as_bytes(), style, out),
            Field::Path => text(target.path().as_bytes(), style, out),
            Field::Query => {
                let query = target.query()?.as_bytes();
                quoted(style, out, |out| redact::query(query, &self.redact_query, style, out));
            }
            Field::Target => quoted(style, out, |out| {
                escape::text(target.path().as_bytes(), style, out);
                if let Some(query) = target.query() {
                    out.push(b'?');
                    redact::query(query.as_bytes(), &self.redact_query, style, out);
                }
            }),
            Field::Protocol => ours(protocol(request.version), style, out),
            _ => return None,
        }
        Some(())
    }

    /// A time. That of a part that did not happen is not known.
    fn time(&self, field: &Field, exchange: &Exchange, end: &End, out: &mut Vec<u8>) -> Option<()> {
        let timings = &exchange.timings;
        let happened = |time: Duration| (!time.is_zero()).then_some(time);
        let time = match field {
            Field::Duration => end.duration,
            Field::Head => end.head?,
            Field::UpstreamTime => happened(timings.upstream)?,
            Field::CacheTime => happened(timings.cache)?,
            Field::PluginsTime if !timings.per_plugin.is_empty() => timings.plugins,
            Field::Plugins => return self.plugins(exchange, out),
            _ => return None,
        };
        number::millis(time, out);
        Some(())
    }

    /// All values of a header field.
    fn header(&self, values: GetAll<'_, HeaderValue>, shown: Shown, out: &mut Vec<u8>) -> Option<()> {
        let style = self.style;
        let mut values = values.iter();
        let first = values.next()?;
        if shown == Shown::Presence {
            ours(REDACTED, style, out);
            return Some(());
        }
        let one = |value: &HeaderValue, out: &mut Vec<u8>| match shown {
            Shown::Url => redact::url(value.as_bytes(), &self.redact_query, style, out),
            Shown::All | Shown::Presence => escape::text(value.as_bytes(), style, out),
        };
        quoted(style, out, |out| {
            one(first, out);
            for value in values {
                out.extend_from_slice(b", ");
                one(value, out);
            }
        });
        Some(())
    }

    /// What each plugin took: an object in JSON, `name=ms` with commas between in a template.
    fn plugins(&self, exchange: &Exchange, out: &mut Vec<u8>) -> Option<()> {
        let mut named = exchange
            .timings
            .per_plugin
            .iter()
            .filter_map(|(number, took)| Some((self.plugin(*number)?, *took)))
            .peekable();
        named.peek()?;
        let json = self.style == Style::Json;
        for (index, (name, took)) in named.enumerate() {
            out.extend_from_slice(match (index, json) {
                (0, true) => b"{",
                (0, false) => b"",
                _ => b",",
            });
            ours(name.as_str().as_bytes(), self.style, out);
            out.push(if json { b':' } else { b'=' });
            number::millis(took, out);
        }
        if json {
            out.push(b'}');
        }
        Some(())
    }
}

fn quoted(style: Style, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    match style {
        Style::Json => {
            out.push(b'"');
            write(out);
            out.push(b'"');
        }
        Style::Plain => write(out),
    }
}

/// A text from outside.
fn text(text: &[u8], style: Style, out: &mut Vec<u8>) {
    quoted(style, out, |out| escape::text(text, style, out));
}

/// A text that needs no escaping, since we made it.
fn ours(text: &[u8], style: Style, out: &mut Vec<u8>) {
    quoted(style, out, |out| out.extend_from_slice(text));
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
