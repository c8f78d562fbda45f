//! Tells upstreams who the client is: `X-Forwarded-*` and `Forwarded` (RFC 7239).

/// How the client's address is told to upstreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forwarding {
    /// Which fields are sent.
    pub fields: ForwardingFields,
    /// What becomes of those that the client sent.
    pub incoming: IncomingForwarding,
}

/// Which forwarding fields are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardingFields {
    /// `X-Forwarded-For`, `-Proto`, `-Host`.
    #[default]
    X,
    /// `Forwarded` (RFC 7239).
    Standard,
    /// All of them.
    Both,
    /// None.
    None,
}

/// What becomes of forwarding fields and request ids that the client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncomingForwarding {
    /// They are removed: anyone could have written them.
    #[default]
    Replace,
    /// They are kept and added to: the client is a proxy of ours.
    Append,
}
