//! The request and the facts of its exchange (WIT `types.request`), one method per call into the gateway.

use crate::header::{HeaderName, HeaderSet, HeaderValue};
use crate::raw::types::{self, CacheStatus, PluginTiming, Timings};
use crate::{Invalid, Path, Result};

/// The request as the client sent it, less its hop-by-hop fields, and with the edits of the plugins before.
///
/// What is changed before the handler is what the upstream sees. Every method is one call into the gateway.
#[derive(Debug)]
#[repr(transparent)]
pub struct Request(types::Request);

impl Request {
    /// Wraps what the bindings lend to a hook.
    #[doc(hidden)]
    #[must_use]
    pub fn lent(raw: &types::Request) -> &Self {
        // SAFETY: `Request` is `repr(transparent)` over the raw type, so a reference to one is a reference to the other.
        unsafe { &*std::ptr::from_ref(raw).cast::<Self>() }
    }

    /// The request id.
    #[must_use]
    pub fn id(&self) -> String {
        self.0.id()
    }

    /// The method, `GET` for instance.
    #[must_use]
    pub fn method(&self) -> String {
        self.0.method()
    }

    /// Replaces the method.
    ///
    /// # Errors
    /// What is not a method.
    pub fn set_method(&self, method: &str) -> Result<(), Invalid> {
        self.0.set_method(method)
    }

    /// `http` or `https`, as the client connected.
    #[must_use]
    pub fn scheme(&self) -> String {
        self.0.scheme()
    }

    /// Host and port as the client asked for them.
    #[must_use]
    pub fn authority(&self) -> String {
        self.0.authority()
    }

    /// Replaces host and port.
    ///
    /// # Errors
    /// What is not an authority (RFC 3986 section 3.2).
    pub fn set_authority(&self, authority: &str) -> Result<(), Invalid> {
        self.0.set_authority(authority)
    }

    /// The path, percent-encoded as it came. To compare it with something, take [`Self::plain_path`]: clients write a path as they like.
    #[must_use]
    pub fn path(&self) -> String {
        self.0.path()
    }

    /// The path in the spelling in which it is compared, the same for all that the gateway's router takes for the same path.
    #[must_use]
    pub fn plain_path(&self) -> Path {
        Path::new(self.0.path())
    }

    /// The query without `?`, as it came.
    #[must_use]
    pub fn query(&self) -> Option<String> {
        self.0.query()
    }

    /// Replaces path and query. Before routing this decides the route.
    ///
    /// # Errors
    /// What is not a path with an optional query.
    pub fn set_path_and_query(&self, path_and_query: &str) -> Result<(), Invalid> {
        self.0.set_path_and_query(path_and_query)
    }

    /// The first value of this field.
    #[must_use]
    pub fn header(&self, name: HeaderName) -> Option<HeaderValue> {
        self.0.header(name.0).map(HeaderValue)
    }

    /// All values of this field, in order.
    #[must_use]
    pub fn headers(&self, name: HeaderName) -> Vec<HeaderValue> {
        self.0.headers(name.0).into_iter().map(HeaderValue).collect()
    }

    /// The first value of a field that was not interned.
    #[must_use]
    pub fn header_named(&self, name: &str) -> Option<HeaderValue> {
        self.0.header_named(name).map(HeaderValue)
    }

    /// Every field line, in the order received per name.
    #[must_use]
    pub fn all_headers(&self) -> Vec<(String, HeaderValue)> {
        self.0.all_headers().into_iter().map(|(name, value)| (name, HeaderValue(value))).collect()
    }

    /// Removes all values of this field, then sets this one.
    ///
    /// # Errors
    /// What is not a field value, or over a limit.
    pub fn set_header(&self, name: HeaderName, value: impl AsRef<[u8]>) -> Result<(), Invalid> {
        self.0.set_header(name.0, value.as_ref())
    }

    /// The same for a field that was not interned.
    ///
    /// # Errors
    /// What is not a field name or value, or over a limit.
    pub fn set_header_named(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Invalid> {
        self.0.set_header_named(name, value.as_ref())
    }

    /// Adds a value behind those present.
    ///
    /// # Errors
    /// What is not a field name or value, or over a limit.
    pub fn append_header_named(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Invalid> {
        self.0.append_header_named(name, value.as_ref())
    }

    /// Removes all values of this field.
    pub fn remove_header(&self, name: HeaderName) {
        self.0.remove_header(name.0);
    }

    /// Carries out a prepared set of edits.
    pub fn apply(&self, set: HeaderSet) {
        self.0.apply(set.0);
    }

    /// The client's IP address, without port.
    #[must_use]
    pub fn client_address(&self) -> String {
        self.0.client_address()
    }

    /// The name of the matched route; none before routing.
    #[must_use]
    pub fn route(&self) -> Option<String> {
        self.0.route()
    }

    /// The value of `{name}` in the route's path.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.0.parameter(name)
    }

    /// An exchange attribute that an earlier hook set, for instance `auth.subject`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.0.attribute(name)
    }

    /// Leaves a fact for later plugins, logs and limits.
    ///
    /// # Errors
    /// The exchange holds too many, or the value is too long.
    pub fn set_attribute(&self, name: &str, value: &str) -> Result<(), Invalid> {
        self.0.set_attribute(name, value)
    }

    /// Where the cache stands for this exchange.
    #[must_use]
    pub fn cache_status(&self) -> CacheStatus {
        self.0.cache_status()
    }

    /// How long the parts of this exchange took so far, in nanoseconds.
    #[must_use]
    pub fn timings(&self) -> Timings {
        self.0.timings()
    }

    /// What each plugin took in this exchange so far. Names come from [`plugin_name`].
    #[must_use]
    pub fn plugin_timings(&self) -> Vec<PluginTiming> {
        self.0.plugin_timings()
    }
}

/// The name of a plugin in the chain, by its number in [`PluginTiming`]. Ask once and keep it.
#[must_use]
pub fn plugin_name(plugin: u32) -> String {
    types::plugin_name(plugin)
}
