//! The byte streams that HTTP is spoken on, and what the kernel can do for those that are plain sockets.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use crate::http::FilePiece;

/// Bytes of a file that the kernel is asked to send at once; then other connections have their turn.
const SENT_BYTES_MAX: u64 = 512 * 1024;

/// A connection's bytes in both directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {
    /// The socket that the bytes go through unchanged, if they do.
    fn plain(&self) -> Option<&TcpStream> {
        None
    }
}

impl Stream for TcpStream {
    fn plain(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Stream for Box<TlsStream<TcpStream>> {}

impl Stream for UnixStream {}

#[cfg(test)]
impl Stream for tokio::io::DuplexStream {}

/// Lets the kernel copy bytes of a file into a socket, without their passing through here. Gives how many; never 0.
pub(super) fn poll_send_file(socket: &TcpStream, piece: &FilePiece, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
    let count = usize::try_from(piece.length().min(SENT_BYTES_MAX)).unwrap_or(usize::MAX);
    loop {
        ready!(socket.poll_write_ready(cx))?;
        let mut offset = piece.offset();
        let sent = socket
            .try_io(Interest::WRITABLE, || Ok(rustix::fs::sendfile(socket, piece.file(), Some(&mut offset), count)?));
        match sent {
            // The file has become shorter than it was when its length was told.
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(sent) => return Poll::Ready(Ok(sent as u64)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}
