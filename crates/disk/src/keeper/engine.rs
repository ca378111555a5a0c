//! One engine as the keeper sees it: a child, the descriptor that tells of its death,
//! and the channel to it, which is the child's standard input.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::wire::Channel;

/// How engines are started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    /// Which of all that this keeper started, from 1.
    pub generation: u64,
    /// The child.
    pub child: Child,
    /// Readable when it is dead.
    pub death: OwnedFd,
    /// To it.
    pub channel: Channel,
    /// When it was started, nanoseconds of the machine.
    pub started: u64,
    /// It said that it serves.
    pub serves: bool,
    /// It said that it ends in good order.
    pub leaving: bool,
}

impl Engine {
    /// Starts one.
    pub fn start(launch: &Launch, program: Option<&Path>, generation: u64) -> io::Result<Self> {
        let (ours, theirs) = Channel::pair()?;
        let mut child = Command::new(program.unwrap_or(&launch.program))
            .args(&launch.arguments)
            .stdin(Stdio::from(theirs.into_fd()))
            // A Ctrl-C at the terminal is for the keeper, which then asks the engine.
            .process_group(0)
            .spawn()?;
        let pid = Pid::from_child(&child);
        let death = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from);
        let death = death.inspect_err(|_| drop((child.kill(), child.wait())))?;
        let started = world::clock::monotonic_nanos();
        let (serves, leaving) = (false, false);
        Ok(Self { generation, child, death, channel: ours, started, serves, leaving })
    }

    /// Ends it now and waits until it is gone.
    pub fn end(mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            tracing::warn!(generation = self.generation, %error, "an engine could not be ended");
        }
    }
}
