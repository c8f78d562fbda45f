//! What repeats is prepared once: interned field names and prepared sets of edits (WIT `headers`), and the bytes that
//! are a header's value.

use std::fmt::{self, Debug};
use std::ops::Deref;
use std::str::Utf8Error;

use crate::raw::headers::{self, HeaderEdit, Invalid};
use crate::{Error, Result};

/// A field name that the gateway knows by number. Make it in `init`; it is good for as long as the instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeaderName(pub(crate) headers::HeaderName);

impl HeaderName {
    /// Interns `name`, in any case. The same name gives the same number.
    ///
    /// # Errors
    /// What is not a field name (RFC 9110 section 5.1).
    pub fn intern(name: &str) -> Result<Self> {
        headers::intern(name).map(Self).map_err(|invalid| refused(name, invalid))
    }
}

fn refused(name: &str, invalid: Invalid) -> Error {
    Error::new(format_args!("header `{name}`: {}", describe(invalid)))
}

/// What the operator reads.
fn describe(invalid: Invalid) -> &'static str {
    match invalid {
        Invalid::Name => "this is not a header name, or it frames the message and belongs to the gateway",
        Invalid::Value => "this is not a header value",
        Invalid::TooLarge => "this is over a limit of the gateway",
    }
}

/// A prepared list of edits, carried out with one call by [`Request::apply`](crate::Request::apply) and
/// [`Response::apply`](crate::Response::apply).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeaderSet(pub(crate) headers::HeaderSet);

impl HeaderSet {
    /// An empty list of edits.
    #[must_use]
    pub fn builder() -> HeaderSetBuilder {
        HeaderSetBuilder::default()
    }
}

/// Collects edits, which are carried out in the order in which they were added. Nothing reaches the gateway before
/// [`prepare`](Self::prepare).
#[derive(Clone, Debug, Default)]
pub struct HeaderSetBuilder {
    edits: Vec<HeaderEdit>,
}

impl HeaderSetBuilder {
    /// Removes all values, then sets this one.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.edits.push(HeaderEdit::Set((name.into(), value.into())));
        self
    }

    /// Sets the value only where the field is absent.
    #[must_use]
    pub fn default_value(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.edits.push(HeaderEdit::Default((name.into(), value.into())));
        self
    }

    /// Adds a value behind those present.
    #[must_use]
    pub fn append(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.edits.push(HeaderEdit::Append((name.into(), value.into())));
        self
    }

    /// Removes all values.
    #[must_use]
    pub fn remove(mut self, name: impl Into<String>) -> Self {
        self.edits.push(HeaderEdit::Remove(name.into()));
        self
    }

    /// True where no edit was added. Applying an empty set is a call for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Hands the edits to the gateway.
    ///
    /// # Errors
    /// Names the first edit that the gateway does not take.
    pub fn prepare(&self) -> Result<HeaderSet> {
        headers::prepare(&self.edits).map(HeaderSet).map_err(|invalid| self.blame(invalid))
    }

    /// Finds the edit at fault by offering each alone. Slow, but only ever on the way to a refusal.
    fn blame(&self, invalid: Invalid) -> Error {
        for edit in &self.edits {
            if let Err(invalid) = headers::prepare(std::slice::from_ref(edit)) {
                let (HeaderEdit::Set((name, _))
                | HeaderEdit::Default((name, _))
                | HeaderEdit::Append((name, _))
                | HeaderEdit::Remove(name)) = edit;
                return refused(name, invalid);
            }
        }
        Error::new(format_args!("a set of {} header edits: {}", self.edits.len(), describe(invalid)))
    }
}

/// The value of a header: bytes, because HTTP allows bytes there (RFC 9110 section 5.5).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct HeaderValue(pub(crate) Vec<u8>);

impl HeaderValue {
    /// The value as it came.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value as text.
    ///
    /// # Errors
    /// A value that is not UTF-8.
    pub fn as_str(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(&self.0)
    }

    /// The bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl Deref for HeaderValue {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for HeaderValue {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> PartialEq<[u8; N]> for HeaderValue {
    fn eq(&self, other: &[u8; N]) -> bool {
        self.0 == other
    }
}

impl PartialEq<str> for HeaderValue {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for HeaderValue {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl From<Vec<u8>> for HeaderValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&str> for HeaderValue {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl Debug for HeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
