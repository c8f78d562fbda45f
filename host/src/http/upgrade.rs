//! The wish of a client to speak another protocol on its connection or stream.
//!
//! The listener finds the wish and puts it into the request's extensions; the request's body then is what the client says in
//! the other protocol, and the body of the response that grants the wish is what it is told.

use http::HeaderValue;

/// What a client wants to speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// The protocol, such as `websocket`.
    pub protocol: HeaderValue,
    /// How it was asked for, which says how it is granted.
    pub form: UpgradeForm,
}

/// How another protocol is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpgradeForm {
    /// By `Upgrade` in HTTP/1.1; granted with 101 (RFC 9110 section 7.8).
    Upgrade,
    /// By extended CONNECT in HTTP/2; granted with 200 (RFC 8441).
    Connect,
}
