//! Another process takes over: it inherits the listening sockets, says when it serves, and only then this one drains.
//!
//! Until then both accept from the same sockets, so that no connection is refused. A successor that does not come up is no
//! harm: this process goes on as if nothing had happened.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::control::Control;
use super::inherited::{READY, SOCKETS, notify};

/// How long a successor may take until it serves: it may have to compile every plugin.
const PATIENCE: Duration = Duration::from_secs(120);

/// The listening sockets, kept so that a successor can be given them. Taken away when the gateway drains: a socket that
/// nobody accepts from must not listen.
#[derive(Debug, Clone, Default)]
pub(super) struct Sockets(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    sockets: Vec<TcpListener>,
    /// Whether a successor is on its way.
    upgrading: bool,
    /// Whether one serves.
    succeeded: bool,
    gone: bool,
}

impl Sockets {
    /// Keeps one more.
    pub(super) fn keep(&self, socket: TcpListener) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.gone {
            kept.sockets.push(socket);
        }
    }

    /// Closes all of them.
    pub(super) fn close(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.sockets.clear();
        kept.gone = true;
    }

    /// Whether a successor serves.
    pub(super) fn has_successor(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).succeeded
    }

    /// Starts a successor; when it serves, `control` drains this gateway.
    pub(super) fn upgrade(&self, control: &Control) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.gone || kept.upgrading {
            return tracing::warn!("no second successor is started, and none while draining");
        }
        let started = successor(&kept.sockets);
        match started {
            Ok((mut child, ready)) => {
                let process = child.id();
                tracing::info!(process, "a successor is started");
                kept.upgrading = true;
                let (this, control) = (self.clone(), control.clone());
                let waiting = thread::Builder::new().name("upgrade".into()).spawn(move || {
                    let serves = await_successor(&mut child, ready);
                    let mut kept = this.0.lock().unwrap_or_else(PoisonError::into_inner);
                    (kept.upgrading, kept.succeeded) = (false, serves);
                    drop(kept);
                    if serves {
                        tracing::info!(process, "the successor serves");
                        notify(&format!("MAINPID={process}"));
                        control.drain();
                    } else {
                        tracing::error!(process, "the successor did not come up; this process goes on");
                    }
                });
                if let Err(error) = waiting {
                    tracing::error!(%error, "nobody can wait for the successor");
                }
            }
            Err(error) => tracing::error!(%error, "no successor: it cannot be started; this process goes on"),
        }
    }
}

/// Starts this program anew, as it lies on the disk now, with the same arguments.
fn successor(sockets: &[TcpListener]) -> io::Result<(Child, io::PipeReader)> {
    let (reader, writer) = io::pipe()?;
    // A copy of a descriptor is inherited by children, unlike the one it was copied from.
    let inherited = |descriptor: &dyn AsDescriptor| rustix::io::dup(descriptor.descriptor()).map_err(io::Error::from);
    let copies = sockets.iter().map(|socket| inherited(socket)).collect::<io::Result<Vec<OwnedFd>>>()?;
    let ready = inherited(&writer)?;
    let list: Vec<String> = copies.iter().map(|copy| copy.as_raw_fd().to_string()).collect();
    let child = Command::new(program()?)
        .args(std::env::args_os().skip(1))
        .env(SOCKETS, list.join(","))
        .env(READY, ready.as_raw_fd().to_string())
        .env_remove("LISTEN_FDS")
        .env_remove("LISTEN_PID")
        .spawn()?;
    Ok((child, reader))
}

trait AsDescriptor {
    fn descriptor(&self) -> rustix::fd::BorrowedFd<'_>;
}

impl<T: AsFd> AsDescriptor for T {
    fn descriptor(&self) -> rustix::fd::BorrowedFd<'_> {
        self.as_fd()
    }
}

/// The path of this program. One that was replaced while it ran is known to the kernel as `… (deleted)`; meant is what lies
/// there now.
fn program() -> io::Result<OsString> {
    let path = std::env::current_exe()?.into_os_string();
    Ok(match path.to_str().and_then(|path| path.strip_suffix(" (deleted)")) {
        Some(path) => path.into(),
        None => path,
    })
}

/// Waits until the successor serves; ends one that does not.
fn await_successor(child: &mut Child, mut ready: io::PipeReader) -> bool {
    let mut said = [0; 6];
    let timeout = Timespec { tv_sec: i64::try_from(PATIENCE.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
    // Closed without a word: the successor has ended.
    let stirred = poll(&mut [PollFd::new(&ready, PollFlags::IN)], Some(&timeout)).unwrap_or(0);
    if stirred > 0 && ready.read_exact(&mut said).is_ok() {
        return true;
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}
