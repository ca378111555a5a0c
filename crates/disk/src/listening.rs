//! Sockets that the service listens on: made once, deposited with the keeper, and
//! served by whichever engine runs.

use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

/// Tells a thread that waits in `poll` to stop.
#[derive(Clone, Debug)]
pub struct Stop {
    file: Arc<OwnedFd>,
}

impl Stop {
    /// Not yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self { file: Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?) })
    }
    /// Now, and for good.
    pub fn now(&self) {
        crate::shared::knock(self.file.as_fd());
    }
    /// Readable when it is time.
    pub fn file(&self) -> rustix::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A socket at a path, for our user only. One that a dead process left there goes.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Ok(found) = std::fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            let why = format!("{} is there and is no socket", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        if UnixStream::connect(path).is_ok() {
            let why = format!("somebody serves {} already", path.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, why));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Hands out connections until it is told to stop.
pub fn accept(listener: &UnixListener, stop: &Stop, mut each: impl FnMut(UnixStream)) {
    if let Err(error) = listener.set_nonblocking(true) {
        tracing::error!(%error, "a socket cannot be served");
        return;
    }
    loop {
        let mut fds =
            [PollFd::new(listener, PollFlags::IN), PollFd::new(&stop.file, PollFlags::IN)];
        if let Err(error) = rustix::io::retry_on_intr(|| poll(&mut fds, None)) {
            tracing::error!(%error, "a socket cannot be waited for");
            return;
        }
        if !fds[1].revents().is_empty() {
            return;
        }
        match listener.accept() {
            Ok((stream, _)) => {
                if stream.set_nonblocking(false).is_ok() {
                    each(stream);
                }
            }
            // Another engine was quicker, or the client has gone.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Out of descriptors, mostly: not at full speed.
                let pause = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
                let _ = poll(&mut [PollFd::new(&stop.file, PollFlags::IN)], Some(&pause));
            }
        }
    }
}
