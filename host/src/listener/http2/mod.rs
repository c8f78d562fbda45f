//! HTTP/2 on a client's connection (RFC 9113), our own from the frames up.
//!
//! One task serves a connection: it reads many frames at once, asks the handlers of all streams that were woken, and writes all frames that
//! are ready in one piece. Everything a client can make us keep or do has a limit; a client that goes beyond is told why
//! and cut off. Malformed requests never reach the handler: their stream is reset.

mod allowance;
mod connection;
mod control;
mod frame;
mod inbound;
mod inbox;
mod outbound;
mod request;
mod stall;
mod streams;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use super::registry::Ticket;
use super::{Handle, Settings};
use crate::exchange::Client;

pub use allowance::Allowance;
pub(super) use frame::PREFACE;

/// How HTTP/2 is spoken on a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http2 {
    /// Whether it is spoken at all: over TLS by ALPN, in cleartext to who begins with its preface.
    pub enabled: bool,
    /// Streams at once per connection; further ones are refused (REFUSED_STREAM).
    pub streams_max: u32,
    /// What a client may send on a stream before we take it, in bytes; at least 65 535.
    pub stream_window_bytes: u32,
    /// The same for all streams of a connection together.
    pub connection_window_bytes: u32,
    /// How long a client may take over a header block, let a request body rest, or leave a response unread.
    pub stall_timeout: Duration,
    /// Streams that a client may reset or break before they are answered (CVE-2023-44487).
    pub resets: Allowance,
    /// Frames that carry nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty ones. Each stream and each frame of data
    /// that we send gives some back.
    pub controls: Allowance,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            enabled: true,
            // As in nginx and HAProxy; browsers use no more than 100.
            streams_max: 128,
            stream_window_bytes: 128 * 1024,
            connection_window_bytes: 512 * 1024,
            stall_timeout: Duration::from_secs(15),
            // A page of many images that is scrolled through quickly stays below it.
            resets: Allowance { burst: 200, per_second: 30 },
            controls: Allowance { burst: 500, per_second: 100 },
        }
    }
}

/// Serves a connection until it ends. `read` is what has been read of it already, the preface included. Draining, it
/// finishes the streams that are open and takes no more.
pub(super) async fn serve<S, H>(
    stream: S,
    read: BytesMut,
    handler: Rc<H>,
    client: Arc<Client>,
    settings: Rc<Settings>,
    ticket: Ticket,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Handle,
{
    let mut connection = connection::Connection::new(stream, read, handler, client, settings);
    poll_fn(|cx| {
        ticket.remember(cx);
        connection.poll(cx, ticket.draining())
    })
    .await;
}
