//! A Unix socket to listen on, for clients of this machine: the file's permissions say who may connect, the kernel says who did.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use socket2::{Domain, SockAddr, Socket, Type};

use super::crowd::Crowd;
use super::registry::{self, Registry};
use super::{ACCEPT_PAUSE, Handle, Settings, connection};
use crate::shutdown::Draining;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// A bound Unix socket, not yet accepting.
#[derive(Debug)]
pub struct Local {
    settings: Settings,
    socket: std::os::unix::net::UnixListener,
    path: PathBuf,
    /// Which file is ours; another gateway may have put its own there since.
    inode: u64,
}

/// What becomes of a socket at the same path that somebody listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predecessor {
    /// It is replaced: it is about to end.
    Replaced,
    /// It stays, and there is no second one.
    Respected,
}

impl Local {
    /// Binds a socket with these permissions. What is left of a process that has ended is replaced; a file of another sort never.
    pub fn bind(settings: &Settings, path: &Path, mode: u32, predecessor: Predecessor) -> io::Result<Self> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
            }
            Ok(_) if predecessor == Predecessor::Respected && StdStream::connect(path).is_ok() => {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            Ok(_) | Err(_) => {}
        }
        // Made aside and renamed, so that there is no moment at which nobody listens.
        let mut aside = path.as_os_str().to_owned();
        aside.push(".new");
        let aside = PathBuf::from(aside);
        let _ = fs::remove_file(&aside);
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // Before there is a file, so that it never has wider permissions (on Linux it gets those of the socket).
        rustix::fs::fchmod(&socket, rustix::fs::Mode::from_raw_mode(mode & 0o777))?;
        socket.bind(&SockAddr::unix(&aside)?)?;
        fs::set_permissions(&aside, fs::Permissions::from_mode(mode & 0o777))?;
        socket.listen(BACKLOG)?;
        let inode = fs::symlink_metadata(&aside)?.ino();
        fs::rename(&aside, path)?;
        Ok(Self { settings: settings.clone(), socket: socket.into(), path: path.to_owned(), inode })
    }

    /// Like [`super::Listener::serve`]. The file goes away when the gateway drains.
    pub async fn serve<H: Handle>(self, handler: Rc<H>, mut draining: Draining) -> io::Result<()> {
        let socket = tokio::net::UnixListener::from_std(self.socket)?;
        let registry = Rc::new(Registry::default());
        let _evict = registry::Evict(Rc::clone(&registry));
        let door = Rc::new(connection::Door::new(&self.settings, handler, Rc::clone(&registry), Crowd::default()));
        loop {
            let room = registry.room(self.settings.connections_max);
            let accepted = async {
                room.await;
                socket.accept().await
            };
            let accepted = tokio::select! {
                biased;
                () = draining.wait() => break,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((stream, _)) => door.open_local(stream),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
        drop(socket);
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
        registry.drain();
        registry.empty().await;
        Ok(())
    }
}
