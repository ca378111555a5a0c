//! The signals that ask a process to end, as a descriptor that can be polled
//! (signalfd(2)). Here, since the system calls that block them have no safe wrapper.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd};

/// SIGTERM and SIGINT, blocked for this thread and those that it starts later.
#[derive(Debug)]
pub struct Signals {
    file: OwnedFd,
}

impl Signals {
    /// Blocks them. Call it before any other thread is started. A child gets none of it.
    pub fn block() -> io::Result<Self> {
        // SAFETY: the set is plain memory that these calls fill and read.
        let file = unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGTERM);
            libc::sigaddset(&mut set, libc::SIGINT);
            let failed = libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            if failed != 0 {
                return Err(io::Error::from_raw_os_error(failed));
            }
            libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if file < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made it, for us.
        Ok(Self { file: unsafe { OwnedFd::from_raw_fd(file) } })
    }

    /// Takes those that came; whether there was one.
    pub fn take(&self) -> bool {
        let mut information = [0; size_of::<libc::signalfd_siginfo>()];
        let mut any = false;
        while rustix::io::read(&self.file, &mut information).is_ok_and(|bytes| bytes > 0) {
            any = true;
        }
        any
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
