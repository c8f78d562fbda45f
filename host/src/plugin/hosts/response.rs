//! `types.response`: the response on its way to the client, and those that plugins make.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use wasmtime::component::Resource;

use super::contract::headers::Invalid;
use super::contract::types::{Host, HostResponse};
use super::headers::{append, readable, set, value, writable};
use crate::exchange::Response;
use crate::http::{Body, is_framing};
use crate::plugin::state::{CURRENT, ResponseHandle, State, apply};

type Handle = Resource<ResponseHandle>;

/// Every field line of a message.
pub(super) fn all(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// A status that a final response may have (RFC 9110 section 15).
fn status(number: u16) -> Option<StatusCode> {
    StatusCode::from_u16(number).ok().filter(|status| (200..=599).contains(&status.as_u16()))
}

impl State {
    fn set_response_header(
        &mut self,
        number: u32,
        name: HeaderName,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Invalid>> {
        self.spend(bytes.len())?;
        match value(bytes) {
            Ok(value) => Ok(set(&mut self.response(number)?.headers, name, value)),
            Err(invalid) => Ok(Err(invalid)),
        }
    }
}

impl Host for State {
    fn plugin_name(&mut self, plugin: u32) -> wasmtime::Result<String> {
        Ok(self.services.name(plugin).map(|name| name.to_string()).unwrap_or_default())
    }
}

impl HostResponse for State {
    fn new(&mut self, number: u16) -> wasmtime::Result<Handle> {
        let status = status(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Ok(Resource::new_own(self.keep_response(Response::new(status, Body::Empty))?))
    }

    fn status(&mut self, this: Handle) -> wasmtime::Result<u16> {
        Ok(self.response(this.rep())?.status.as_u16())
    }

    fn set_status(&mut self, this: Handle, number: u16) -> wasmtime::Result<Result<(), Invalid>> {
        match status(number) {
            Some(status) => {
                self.response(this.rep())?.status = status;
                Ok(Ok(()))
            }
            None => Ok(Err(Invalid::Value)),
        }
    }

    fn header(&mut self, this: Handle, name: u32) -> wasmtime::Result<Option<Vec<u8>>> {
        let Some(name) = self.name(name).cloned() else { return Ok(None) };
        Ok(self.response(this.rep())?.headers.get(name).map(|value| value.as_bytes().to_vec()))
    }

    fn headers(&mut self, this: Handle, name: u32) -> wasmtime::Result<Vec<Vec<u8>>> {
        let Some(name) = self.name(name).cloned() else { return Ok(Vec::new()) };
        Ok(self.response(this.rep())?.headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect())
    }

    fn header_named(&mut self, this: Handle, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        let Ok(name) = readable(&name) else { return Ok(None) };
        Ok(self.response(this.rep())?.headers.get(name).map(|value| value.as_bytes().to_vec()))
    }

    fn all_headers(&mut self, this: Handle) -> wasmtime::Result<Vec<(String, Vec<u8>)>> {
        Ok(all(&self.response(this.rep())?.headers))
    }

    fn set_header(&mut self, this: Handle, name: u32, value: Vec<u8>) -> wasmtime::Result<Result<(), Invalid>> {
        match self.name(name) {
            Some(name) if !is_framing(name) => {
                let name = name.clone();
                self.set_response_header(this.rep(), name, value)
            }
            _ => Ok(Err(Invalid::Name)),
        }
    }

    fn set_header_named(
        &mut self,
        this: Handle,
        name: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Invalid>> {
        match writable(&name) {
            Ok(name) => self.set_response_header(this.rep(), name, value),
            Err(invalid) => Ok(Err(invalid)),
        }
    }

    fn append_header_named(
        &mut self,
        this: Handle,
        name: String,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Invalid>> {
        self.spend(bytes.len())?;
        match writable(&name).and_then(|name| Ok((name, value(bytes)?))) {
            Ok((name, value)) => Ok(append(&mut self.response(this.rep())?.headers, name, value)),
            Err(invalid) => Ok(Err(invalid)),
        }
    }

    fn remove_header(&mut self, this: Handle, name: u32) -> wasmtime::Result<()> {
        if let Some(name) = self.name(name).filter(|name| !is_framing(name)).cloned() {
            self.response(this.rep())?.headers.remove(name);
        }
        Ok(())
    }

    fn apply(&mut self, this: Handle, set: u32) -> wasmtime::Result<()> {
        if this.rep() == CURRENT {
            // The common case, without a look-up or a clone.
            let response = self.exchange.as_deref_mut().and_then(|exchange| exchange.response.as_mut());
            if let (Some(set), Some(response)) = (self.prepared.sets.get(set as usize), response) {
                apply(set, &mut response.headers);
            }
        } else if let Some(set) = self.prepared.sets.get(set as usize).cloned() {
            apply(&set, &mut self.response(this.rep())?.headers);
        }
        Ok(())
    }

    fn set_body(&mut self, this: Handle, body: Vec<u8>) -> wasmtime::Result<()> {
        self.spend(body.len())?;
        self.response(this.rep())?.body = Body::from(Bytes::from(body));
        Ok(())
    }

    fn drop(&mut self, this: Handle) -> wasmtime::Result<()> {
        self.take_response(this.rep());
        Ok(())
    }
}
