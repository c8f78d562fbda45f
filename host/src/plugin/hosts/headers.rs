//! `headers`: interning names and preparing header sets, and the checks that every header edit goes through.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::contract::headers::{HeaderEdit, Host, Invalid};
use crate::http::is_framing;
use crate::plugin::state::{Edit, FIELDS_MAX, PREPARED_MAX, State};

/// A field name that a plugin may read.
pub(super) fn readable(name: &str) -> Result<HeaderName, Invalid> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| Invalid::Name)
}

/// A field name that a plugin may write: not one that frames the message, since that is computed.
pub(super) fn writable(name: &str) -> Result<HeaderName, Invalid> {
    readable(name).and_then(|name| if is_framing(&name) { Err(Invalid::Name) } else { Ok(name) })
}

/// Longest field value that a plugin may write, in bytes. Many servers and clients refuse longer heads.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// A field value as HTTP allows it (RFC 9110 section 5.5).
pub(super) fn value(bytes: Vec<u8>) -> Result<HeaderValue, Invalid> {
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(Invalid::TooLarge);
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(bytes)).map_err(|_| Invalid::Value)
}

/// Sets a field, replacing its values.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<(), Invalid> {
    if headers.len() >= FIELDS_MAX && !headers.contains_key(&name) {
        return Err(Invalid::TooLarge);
    }
    headers.insert(name, value);
    Ok(())
}

/// Adds a field behind those of its name.
pub(super) fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<(), Invalid> {
    if headers.len() >= FIELDS_MAX {
        return Err(Invalid::TooLarge);
    }
    headers.append(name, value);
    Ok(())
}

impl State {
    /// The interned name of this number; none for a number that was never given out.
    pub(super) fn name(&self, number: u32) -> Option<&HeaderName> {
        self.prepared.names.get(number as usize)
    }
}

fn edit(edit: HeaderEdit) -> Result<Edit, Invalid> {
    Ok(match edit {
        HeaderEdit::Set((name, bytes)) => Edit::Set(writable(&name)?, value(bytes)?),
        HeaderEdit::Default((name, bytes)) => Edit::Default(writable(&name)?, value(bytes)?),
        HeaderEdit::Append((name, bytes)) => Edit::Append(writable(&name)?, value(bytes)?),
        HeaderEdit::Remove(name) => Edit::Remove(writable(&name)?),
    })
}

/// About what an edit takes of the host's memory.
fn edit_bytes(edit: &HeaderEdit) -> usize {
    size_of::<Edit>()
        + match edit {
            HeaderEdit::Set((name, bytes)) | HeaderEdit::Default((name, bytes)) | HeaderEdit::Append((name, bytes)) => {
                name.len() + bytes.len()
            }
            HeaderEdit::Remove(name) => name.len(),
        }
}

impl Host for State {
    fn intern(&mut self, name: String) -> wasmtime::Result<Result<u32, Invalid>> {
        let name = match readable(&name) {
            Ok(name) => name,
            Err(invalid) => return Ok(Err(invalid)),
        };
        let prepared = Arc::make_mut(&mut self.prepared);
        let names = &prepared.names;
        let index = match names.iter().position(|known| *known == name) {
            Some(index) => index,
            None if names.len() >= PREPARED_MAX => return Ok(Err(Invalid::TooLarge)),
            None if !prepared.take(name.as_str().len()) => return Ok(Err(Invalid::TooLarge)),
            None => {
                let names = &mut prepared.names;
                names.push(name);
                names.len() - 1
            }
        };
        Ok(Ok(u32::try_from(index)?))
    }

    fn prepare(&mut self, edits: Vec<HeaderEdit>) -> wasmtime::Result<Result<u32, Invalid>> {
        if self.prepared.sets.len() >= PREPARED_MAX || edits.len() > FIELDS_MAX {
            return Ok(Err(Invalid::TooLarge));
        }
        let bytes: usize = edits.iter().map(edit_bytes).sum();
        let set: Result<Vec<Edit>, Invalid> = edits.into_iter().map(edit).collect();
        match set {
            Ok(set) => {
                let prepared = Arc::make_mut(&mut self.prepared);
                if !prepared.take(bytes) {
                    return Ok(Err(Invalid::TooLarge));
                }
                let sets = &mut prepared.sets;
                sets.push(set.into());
                Ok(Ok(u32::try_from(sets.len() - 1)?))
            }
            Err(invalid) => Ok(Err(invalid)),
        }
    }
}
