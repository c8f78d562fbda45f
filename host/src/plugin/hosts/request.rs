//! `types.request`: the request and the facts of its exchange.

use std::sync::Arc;

use http::{HeaderName, Method};
use wasmtime::component::Resource;

use super::contract::headers::Invalid;
use super::contract::types::{CacheStatus, HostRequest, PluginTiming, Timings};
use super::headers::{append, readable, set, value, writable};
use crate::exchange;
use crate::http::{has_dot_segment, is_framing_in_request};
use crate::plugin::state::{RequestHandle, State, apply};
use crate::time;

/// Longest path and query that a plugin may set. What it rewrites must still be a request line others accept.
const TARGET_BYTES_MAX: usize = 64 * 1024;

type Handle = Resource<RequestHandle>;

fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A field name that a plugin may write into a request: not `Host` either, which follows the authority.
fn writable_in_request(name: &str) -> Result<HeaderName, Invalid> {
    writable(name).and_then(|name| if is_framing_in_request(&name) { Err(Invalid::Name) } else { Ok(name) })
}

impl State {
    fn set_request_header(&mut self, name: HeaderName, bytes: Vec<u8>) -> wasmtime::Result<Result<(), Invalid>> {
        self.spend(bytes.len())?;
        let value = match value(bytes) {
            Ok(value) => value,
            Err(invalid) => return Ok(Err(invalid)),
        };
        Ok(set(&mut self.exchange()?.request.headers, name, value))
    }
}

impl HostRequest for State {
    fn id(&mut self, _: Handle) -> wasmtime::Result<String> {
        Ok(self.exchange()?.id.to_str().unwrap_or_default().to_owned())
    }

    fn method(&mut self, _: Handle) -> wasmtime::Result<String> {
        Ok(self.exchange()?.request.method.as_str().to_owned())
    }

    fn set_method(&mut self, _: Handle, method: String) -> wasmtime::Result<Result<(), Invalid>> {
        // CONNECT asks for a tunnel; a request cannot become one half-way.
        match Method::from_bytes(method.as_bytes()) {
            Ok(method) if method != Method::CONNECT => {
                self.exchange()?.request.method = method;
                Ok(Ok(()))
            }
            _ => Ok(Err(Invalid::Value)),
        }
    }

    fn scheme(&mut self, _: Handle) -> wasmtime::Result<String> {
        Ok(self.exchange()?.client.scheme.as_str().to_owned())
    }

    fn authority(&mut self, _: Handle) -> wasmtime::Result<String> {
        Ok(self.exchange()?.request.authority.to_string())
    }

    fn set_authority(&mut self, _: Handle, authority: String) -> wasmtime::Result<Result<(), Invalid>> {
        self.spend(authority.len())?;
        match authority.parse::<http::uri::Authority>() {
            // Userinfo has no place in a request (RFC 9110 section 4.2.4).
            Ok(valid) if !valid.as_str().contains('@') => {
                self.exchange()?.request.authority = Arc::from(authority);
                Ok(Ok(()))
            }
            _ => Ok(Err(Invalid::Value)),
        }
    }

    fn path(&mut self, _: Handle) -> wasmtime::Result<String> {
        Ok(self.exchange()?.request.target.path().to_owned())
    }

    fn query(&mut self, _: Handle) -> wasmtime::Result<Option<String>> {
        Ok(self.exchange()?.request.target.query().map(str::to_owned))
    }

    fn set_path_and_query(&mut self, _: Handle, target: String) -> wasmtime::Result<Result<(), Invalid>> {
        self.spend(target.len())?;
        if target.len() > TARGET_BYTES_MAX {
            return Ok(Err(Invalid::TooLarge));
        }
        let path = target.split('?').next().unwrap_or_default();
        if !target.starts_with('/') || has_dot_segment(path) {
            return Ok(Err(Invalid::Value));
        }
        match http::uri::PathAndQuery::try_from(target) {
            Ok(target) => {
                self.exchange()?.request.target = target;
                Ok(Ok(()))
            }
            Err(_) => Ok(Err(Invalid::Value)),
        }
    }

    fn header(&mut self, _: Handle, name: u32) -> wasmtime::Result<Option<Vec<u8>>> {
        let (Some(name), Some(exchange)) = (self.prepared.names.get(name as usize), self.exchange.as_deref()) else {
            return Ok(None);
        };
        Ok(exchange.request.headers.get(name).map(|value| value.as_bytes().to_vec()))
    }

    fn headers(&mut self, _: Handle, name: u32) -> wasmtime::Result<Vec<Vec<u8>>> {
        let (Some(name), Some(exchange)) = (self.prepared.names.get(name as usize), self.exchange.as_deref()) else {
            return Ok(Vec::new());
        };
        Ok(exchange.request.headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect())
    }

    fn header_named(&mut self, _: Handle, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        let Ok(name) = readable(&name) else { return Ok(None) };
        Ok(self.exchange()?.request.headers.get(name).map(|value| value.as_bytes().to_vec()))
    }

    fn all_headers(&mut self, _: Handle) -> wasmtime::Result<Vec<(String, Vec<u8>)>> {
        Ok(super::response::all(&self.exchange()?.request.headers))
    }

    fn set_header(&mut self, _: Handle, name: u32, value: Vec<u8>) -> wasmtime::Result<Result<(), Invalid>> {
        match self.name(name) {
            Some(name) if !is_framing_in_request(name) => {
                let name = name.clone();
                self.set_request_header(name, value)
            }
            _ => Ok(Err(Invalid::Name)),
        }
    }

    fn set_header_named(&mut self, _: Handle, name: String, value: Vec<u8>) -> wasmtime::Result<Result<(), Invalid>> {
        match writable_in_request(&name) {
            Ok(name) => self.set_request_header(name, value),
            Err(invalid) => Ok(Err(invalid)),
        }
    }

    fn append_header_named(
        &mut self,
        _: Handle,
        name: String,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Invalid>> {
        self.spend(bytes.len())?;
        match writable_in_request(&name).and_then(|name| Ok((name, value(bytes)?))) {
            Ok((name, value)) => Ok(append(&mut self.exchange()?.request.headers, name, value)),
            Err(invalid) => Ok(Err(invalid)),
        }
    }

    fn remove_header(&mut self, _: Handle, name: u32) -> wasmtime::Result<()> {
        if let Some(name) = self.name(name).filter(|name| !is_framing_in_request(name)).cloned() {
            self.exchange()?.request.headers.remove(name);
        }
        Ok(())
    }

    fn apply(&mut self, _: Handle, set: u32) -> wasmtime::Result<()> {
        if let (Some(set), Some(exchange)) = (self.prepared.sets.get(set as usize), self.exchange.as_deref_mut()) {
            apply(set, &mut exchange.request.headers);
        }
        Ok(())
    }

    fn client_address(&mut self, _: Handle) -> wasmtime::Result<String> {
        Ok(self.exchange()?.client.address.ip().to_string())
    }

    fn route(&mut self, _: Handle) -> wasmtime::Result<Option<String>> {
        Ok(self.exchange()?.route.as_ref().map(ToString::to_string))
    }

    fn parameter(&mut self, _: Handle, name: String) -> wasmtime::Result<Option<String>> {
        let parameters = &self.exchange()?.parameters;
        Ok(parameters.iter().find(|(known, _)| **known == *name).map(|(_, value)| value.clone()))
    }

    fn attribute(&mut self, _: Handle, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.exchange()?.attributes.find(&name).map(str::to_owned))
    }

    fn set_attribute(&mut self, _: Handle, name: String, value: String) -> wasmtime::Result<Result<(), Invalid>> {
        self.spend(name.len() + value.len())?;
        Ok(self.exchange()?.attributes.set(&name, &value).map_err(|error| match error {
            exchange::AttributeError::Name => Invalid::Name,
            exchange::AttributeError::TooLarge => Invalid::TooLarge,
        }))
    }

    fn cache_status(&mut self, _: Handle) -> wasmtime::Result<CacheStatus> {
        Ok(match self.exchange()?.cache {
            exchange::CacheStatus::Unused => CacheStatus::Unused,
            exchange::CacheStatus::Bypass => CacheStatus::Bypass,
            exchange::CacheStatus::Miss => CacheStatus::Miss,
            exchange::CacheStatus::Hit => CacheStatus::Hit,
        })
    }

    fn timings(&mut self, _: Handle) -> wasmtime::Result<Timings> {
        let exchange = self.exchange()?;
        Ok(Timings {
            elapsed: nanoseconds(time::now().saturating_duration_since(exchange.started)),
            routing: nanoseconds(exchange.timings.routing),
            cache: nanoseconds(exchange.timings.cache),
            upstream: nanoseconds(exchange.timings.upstream),
            plugins: nanoseconds(exchange.timings.plugins),
        })
    }

    fn plugin_timings(&mut self, _: Handle) -> wasmtime::Result<Vec<PluginTiming>> {
        let timings = &self.exchange()?.timings.per_plugin;
        let entry = |(plugin, took): &(u32, _)| PluginTiming { plugin: *plugin, nanoseconds: nanoseconds(*took) };
        Ok(timings.iter().map(entry).collect())
    }

    fn drop(&mut self, _: Handle) -> wasmtime::Result<()> {
        Ok(())
    }
}
