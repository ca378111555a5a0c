//! What io_uring this kernel gives us. The best way is tried first; each worse one
//! costs some speed and nothing else.

use std::io;

use io_uring::IoUring;
use thiserror::Error;

/// Why there is no ring, or why it does not go on.
#[derive(Debug, Error)]
pub enum RingError {
    /// The kernel has no io_uring for us.
    #[error(
        "the kernel refuses io_uring ({0}); see the sysctl kernel.io_uring_disabled, and the \
         seccomp profile of the container"
    )]
    Refused(io::Error),
    /// It has one that is too old.
    #[error("the kernel's io_uring is too old: Linux 6.0 or later is needed")]
    Old,
    /// The table of files is full.
    #[error("a ring has only {0} places for files")]
    Files(u32),
    /// The table of memory is full.
    #[error("a ring has only {0} places for memory")]
    Memory(u32),
    /// A call failed.
    #[error("the ring failed to {what}: {source}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl RingError {
    pub(super) fn failed(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Failed { what, source }
    }
}

/// How completions reach us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One thread submits, and the kernel's part of a completion runs when it asks.
    Deferred,
    /// The kernel's part runs at our next system call, without an interrupt.
    Cooperative,
    /// The kernel interrupts us when it likes.
    Plain,
}

impl Way {
    /// From the best to the worst.
    pub const ALL: [Way; 3] = [Way::Deferred, Way::Cooperative, Way::Plain];

    /// What it means, for logs.
    pub fn sentence(self) -> &'static str {
        match self {
            Way::Deferred => "completions are worked off when the lane asks for them",
            Way::Cooperative => {
                "the kernel refuses deferred completions (Linux 6.1 has them); they are worked \
                 off at any system call, which costs a little"
            }
            Way::Plain => {
                "the kernel refuses deferred and cooperative completions; each interrupts the \
                 lane, which costs some speed"
            }
        }
    }

    fn build(self, entries: u32) -> io::Result<IoUring> {
        let mut builder = IoUring::builder();
        // Completions of polls come on their own: there are more of them than of
        // submissions. An entry that is wrong must not stop those behind it.
        builder.setup_clamp().setup_cqsize(entries * 4).setup_submit_all();
        match self {
            Way::Deferred => {
                builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
            }
            Way::Cooperative => {
                builder.setup_coop_taskrun().setup_taskrun_flag();
            }
            Way::Plain => {}
        }
        builder.build(entries)
    }
}

/// A ring by the best way the kernel takes, beginning with `from`.
pub(super) fn build(entries: u32, from: Way) -> Result<(IoUring, Way), RingError> {
    let mut refusal = None;
    for way in Way::ALL.into_iter().skip_while(|way| *way != from) {
        match way.build(entries) {
            Ok(ring) => {
                let params = ring.params();
                let enough = params.is_feature_ext_arg()
                    && params.is_feature_nodrop()
                    && params.is_feature_submit_stable();
                return if enough { Ok((ring, way)) } else { Err(RingError::Old) };
            }
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refusal = Some(error),
            Err(error) => return Err(RingError::Refused(error)),
        }
    }
    Err(refusal.map_or(RingError::Old, RingError::Refused))
}

/// What this kernel allows, for `doctor` and for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// How completions come.
    pub way: Way,
    /// Whether files can be registered.
    pub files: bool,
    /// Whether memory can be registered.
    pub memory: bool,
}

/// Asks the kernel, by making a small ring and dropping it.
pub fn probe() -> Result<Abilities, RingError> {
    let (ring, way) = build(8, Way::Deferred)?;
    let files = ring.submitter().register_files_sparse(1).is_ok();
    let memory = ring.submitter().register_buffers_sparse(1).is_ok();
    Ok(Abilities { way, files, memory })
}
