//! HTTP as this gateway speaks of it: bodies, hop-by-hop fields, forwarding fields, request ids.
//!
//! Values and functions over `http` types, and the byte stream below hyper; no sockets of its own, no configuration.

mod body;
mod cause;
mod coding;
mod conditions;
mod counted;
mod file;
mod forwarding;
mod framing;
mod hang_up;
mod hop;
mod in_order;
mod limit;
mod network;
mod observe;
mod proxies;
mod range;
mod request_id;
mod site;
mod target;
mod transport;
mod upgrade;

pub use body::{Body, BodyError};
pub use cause::with_causes;
pub use coding::{Coding, Levels, accepted_codings, weighted};
pub(crate) use conditions::date;
pub use conditions::{Decision, Validators, decide};
pub use file::FilePiece;
pub use forwarding::{Forwarding, ForwardingFields, IncomingForwarding};
pub(crate) use framing::parse_length;
pub use framing::settle_length;
pub use hang_up::HangUp;
pub use hop::{is_framing, is_framing_in_request, is_plainly_framed, strip_request, strip_response};
pub use network::{Network, NetworkError, customer, is_nobody};
pub use observe::{BodyEnd, BodyOutcome, Observed};
pub use proxies::Proxies;
pub use range::{Range, Ranges, wanted_ranges};
pub(crate) use request_id::hex;
pub use request_id::{REQUEST_ID, RequestIds};
pub use site::UrlError;
pub(crate) use site::{canonical_host, canonical_pattern, canonical_url};
pub use target::{ambiguity, has_dot_segment, merged_slashes};
pub use transport::Transport;
pub use upgrade::{Upgrade, UpgradeForm};

#[cfg(test)]
pub(crate) mod test_bodies;
