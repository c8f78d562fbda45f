//! Listening sockets that somebody opened for us, and the word to whoever waits for us: systemd, or the process we replace.
//!
//! A socket that is handed over never stops listening, so that no client is refused while one process takes over from
//! another. What is inherited is taken once, before any thread is started.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};

use rustix::io::FdFlags;
use rustix::net::sockopt;

/// The first descriptor that systemd hands over (sd_listen_fds(3)).
const FIRST: RawFd = 3;
/// The descriptors of the sockets that the process before us hands over, with commas between.
pub(super) const SOCKETS: &str = "PORTCULLIS_SOCKETS";
/// The descriptor of the pipe on which the process before us waits for a line.
pub(super) const READY: &str = "PORTCULLIS_READY";

/// What was inherited.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(SocketAddr, TcpListener)>,
    ready: Option<File>,
}

impl Inherited {
    /// What `environment` says was inherited. Descriptors that are no listening TCP sockets are told and left alone.
    ///
    /// # Safety
    ///
    /// Whatever the environment names must belong to nobody else in this process, which holds once, at its start.
    pub unsafe fn take(environment: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| environment(name).and_then(|text| text.parse::<RawFd>().ok());
        let mut descriptors: Vec<RawFd> =
            environment(SOCKETS).iter().flat_map(|list| list.split(',')).filter_map(|text| text.parse().ok()).collect();
        // Meant for another process if the number is not ours: one that we were started through.
        if number("LISTEN_PID") == i32::try_from(std::process::id()).ok() {
            descriptors.extend((FIRST..).take(number("LISTEN_FDS").and_then(|n| n.try_into().ok()).unwrap_or(0)));
        }
        let mut inherited = Self::default();
        for descriptor in descriptors.into_iter().filter(|descriptor| *descriptor >= FIRST) {
            // SAFETY: the caller promises that nobody else owns it.
            match listening(unsafe { owned(descriptor) }) {
                Ok(socket) => inherited.sockets.push(socket),
                Err(error) => tracing::warn!(descriptor, %error, "an inherited descriptor is not used"),
            }
        }
        if let Some(descriptor) = number(READY).filter(|descriptor| *descriptor >= FIRST) {
            // SAFETY: the caller promises that nobody else owns it.
            inherited.ready = unsafe { owned(descriptor) }.ok().map(File::from);
        }
        inherited
    }

    /// The sockets that listen on an address. One with port 0 has no address to be known by; it takes those of the same IP
    /// address that no other in `wanted` names.
    pub(super) fn sockets(&mut self, address: SocketAddr, wanted: &[SocketAddr]) -> Vec<TcpListener> {
        let meant = |known: SocketAddr| {
            known == address || (address.port() == 0 && known.ip() == address.ip() && !wanted.contains(&known))
        };
        let first = self.sockets.iter().map(|(known, _)| *known).find(|known| meant(*known));
        let (taken, left) = std::mem::take(&mut self.sockets).into_iter().partition(|(known, _)| Some(*known) == first);
        self.sockets = left;
        taken.into_iter().map(|(_, socket)| socket).collect()
    }

    /// Whether a process that runs is to end once this one serves.
    pub(super) fn succeeds(&self) -> bool {
        self.ready.is_some()
    }

    /// Tells whoever waits that clients are served. Closes the sockets that the configuration has no use for.
    pub(super) fn ready(&mut self) {
        for (address, _) in self.sockets.drain(..) {
            tracing::warn!(%address, "an inherited socket is closed: no listener has its address");
        }
        if let Some(mut pipe) = self.ready.take() {
            // A process that no longer waits has been told otherwise or is gone.
            let _ = pipe.write_all(b"ready\n");
        }
        notify("READY=1\nSTATUS=serving");
    }
}

/// Takes a descriptor over; children do not get it unless they are meant to.
///
/// # Safety
///
/// Nobody else may own it.
unsafe fn owned(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: only asked for its flags, and a closed descriptor is an error here.
    rustix::io::fcntl_getfd(unsafe { rustix::fd::BorrowedFd::borrow_raw(descriptor) })?;
    // SAFETY: it is open, and the caller promises that nobody else owns it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    rustix::io::fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
    Ok(descriptor)
}

fn listening(descriptor: io::Result<OwnedFd>) -> io::Result<(SocketAddr, TcpListener)> {
    let descriptor = descriptor?;
    if !sockopt::socket_acceptconn(&descriptor)? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen"));
    }
    let socket = TcpListener::from(descriptor);
    socket.set_nonblocking(true)?;
    Ok((socket.local_addr()?, socket))
}

/// Tells systemd how we are (sd_notify(3)). Does nothing where nobody asked to be told.
pub(super) fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let told = UnixDatagram::unbound().and_then(|socket| {
        let path = path.to_str().unwrap_or_default();
        let address = match path.strip_prefix('@') {
            Some(name) => UnixAddress::from_abstract_name(name)?,
            None => UnixAddress::from_pathname(path)?,
        };
        socket.send_to_addr(state.as_bytes(), &address)
    });
    if let Err(error) = told {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}
