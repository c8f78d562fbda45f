//! A response that nobody is told: the connection ends instead.

/// In the extensions of a response: it is not sent, and an HTTP/1.1 connection is closed. In HTTP/2, where others may be served on the same connection, it
/// is sent all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HangUp;
