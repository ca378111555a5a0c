//! What a pool or a raw volume lies on: a file, a block device or memory. Opened past
//! the page cache where it can be, and by one process at a time.
//!
//! The lock is `flock(LOCK_EX)`. The kernel lets go of it when the last descriptor is
//! gone, and I/O in flight holds one: whoever gets the lock after a crash knows that
//! the dead process's writes have ended.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, FallocateFlags, FlockOperation, MemfdFlags, OFlags, StatxFlags};
use rustix::io::Errno;
use thiserror::Error;

/// The block that everything of a pool is aligned to; a medium that wants more is
/// read through the page cache.
const BLOCK: u32 = 4096;

/// What is between two tries to get the lock. Guests wait for it after a crash.
const LOCK_STEP: Duration = Duration::from_micros(250);

/// Why a medium cannot be had.
#[derive(Debug, Error)]
pub enum MediumError {
    /// There is something already.
    #[error("{path} exists already and is left as it is")]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Another process has it, or had it when it died and its I/O goes on.
    #[error("{path} is in use by another process")]
    Busy {
        /// Where.
        path: PathBuf,
    },
    /// Neither a file nor a block device.
    #[error("{path} is neither a file nor a block device")]
    Kind {
        /// Where.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{path}: cannot {what}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// What kind of thing a medium is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediumKind {
    /// A file. It can grow.
    File,
    /// A block device.
    Device,
    /// Memory behind a descriptor. Goes with its last holder.
    Memory,
}

/// How a medium is opened.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// For writing as well.
    pub write: bool,
    /// Past the page cache, if the medium can do that.
    pub direct: bool,
    /// How long to wait for another process to let go of it.
    pub lock_within: Duration,
}

impl Default for Opening {
    fn default() -> Self {
        Self { write: true, direct: true, lock_within: Duration::ZERO }
    }
}

/// An open medium. Whoever has one has its lock.
#[derive(Debug)]
pub struct Medium {
    file: File,
    path: PathBuf,
    kind: MediumKind,
    size: u64,
    alignment: u32,
    direct: bool,
}

impl Medium {
    /// Makes a new file of this size and opens it. What is there already is refused,
    /// never overwritten. `reserve` takes the room on its file system now; otherwise
    /// it is taken as it is written.
    pub fn create(
        path: &Path,
        size: u64,
        reserve: bool,
        opening: Opening,
    ) -> Result<Self, MediumError> {
        let made =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
        let file = match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(MediumError::Exists { path: path.to_owned() });
            }
            other => other.map_err(|source| refused(path, "make it", source))?,
        };
        let sized = resize(&file, 0, size, reserve).and_then(|()| file.sync_all());
        if let Err(source) = sized {
            // Half a pool is no pool: the name is free for the next try.
            let _ = std::fs::remove_file(path);
            return Err(refused(path, "give it its size", source));
        }
        drop(file);
        Self::open(path, opening)
    }

    /// Opens what is there.
    pub fn open(path: &Path, opening: Opening) -> Result<Self, MediumError> {
        let kind = kind_of(path)?;
        let (file, direct) = open_within(path, kind, opening)?;
        let medium = Self::of(file, path.to_owned(), kind, direct)?;
        medium.lock(opening.lock_within)?;
        if opening.direct && !medium.direct {
            tracing::info!(path = %path.display(), "the medium goes through the page cache");
        }
        Ok(medium)
    }

    /// Takes a descriptor over that another process opened. The lock came with it.
    pub fn adopt(descriptor: OwnedFd, path: PathBuf) -> Result<Self, MediumError> {
        let file = File::from(descriptor);
        let kind = file.metadata().map_err(|source| refused(&path, "look at it", source))?;
        let kind = match kind.file_type() {
            kind if kind.is_block_device() => MediumKind::Device,
            kind if kind.is_file() => MediumKind::File,
            _ => return Err(MediumError::Kind { path }),
        };
        let flags = rustix::fs::fcntl_getfl(&file)
            .map_err(|errno| refused(&path, "ask for its flags", errno.into()))?;
        Self::of(file, path, kind, flags.contains(OFlags::DIRECT))
    }

    /// Memory as a medium, for tests. It has no lock.
    pub fn memory(name: &str, size: u64) -> Result<Self, MediumError> {
        let path = PathBuf::from(format!("memory:{name}"));
        let made = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC);
        let file = File::from(made.map_err(|errno| refused(&path, "make it", errno.into()))?);
        resize(&file, 0, size, false).map_err(|source| refused(&path, "size it", source))?;
        Self::of(file, path, MediumKind::Memory, false)
    }

    fn of(file: File, path: PathBuf, kind: MediumKind, direct: bool) -> Result<Self, MediumError> {
        let size = size_of(&file).map_err(|source| refused(&path, "ask for its size", source))?;
        let alignment = if direct { alignment_of(&file, kind) } else { 1 };
        Ok(Self { file, path, kind, size, alignment, direct })
    }

    /// Waits for the lock of this medium, so long.
    #[expect(clippy::disallowed_methods, reason = "this waits for another process, in real time")]
    fn lock(&self, within: Duration) -> Result<(), MediumError> {
        let began = std::time::Instant::now();
        loop {
            match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if began.elapsed() < within => std::thread::sleep(LOCK_STEP),
                Err(Errno::WOULDBLOCK) => {
                    return Err(MediumError::Busy { path: self.path.clone() });
                }
                Err(errno) => return Err(refused(&self.path, "lock it", errno.into())),
            }
        }
    }

    /// Its descriptor, for a ring.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// What it is.
    pub fn kind(&self) -> MediumKind {
        self.kind
    }
    /// Its size in bytes, as it was opened or last grown.
    pub fn size(&self) -> u64 {
        self.size
    }
    /// Whether it is read and written past the page cache.
    pub fn direct(&self) -> bool {
        self.direct
    }
    /// What offsets, lengths and addresses of its I/O are multiples of, in bytes: 1
    /// through the page cache.
    pub fn alignment(&self) -> u32 {
        self.alignment
    }

    /// Makes a file or memory larger. The new bytes are zeros.
    pub fn grow(&mut self, size: u64, reserve: bool) -> Result<(), MediumError> {
        assert!(size >= self.size, "a medium only grows");
        if self.kind == MediumKind::Device {
            // Somebody else makes a device larger; this looks at what it is now.
            self.size =
                size_of(&self.file).map_err(|source| self.refused("ask its size", source))?;
            if self.size < size {
                let short = io::Error::from(io::ErrorKind::StorageFull);
                return Err(self.refused("find so many bytes on it", short));
            }
            return Ok(());
        }
        resize(&self.file, self.size, size, reserve)
            .and_then(|()| self.file.sync_all())
            .map_err(|source| self.refused("make it larger", source))?;
        self.size = size;
        Ok(())
    }

    /// Gives a range back to what is below; it reads as zeros. `false` when that
    /// cannot be done here, and then nothing has changed.
    pub fn discard(&self, at: u64, length: u64) -> Result<bool, MediumError> {
        let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        loop {
            match rustix::fs::fallocate(&self.file, mode, at, length) {
                Ok(()) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(false),
                Err(errno) => return Err(self.refused("discard a range", errno.into())),
            }
        }
    }

    /// Takes the room for a range from what is below now, so that later writes of it find
    /// it. What is there stays. `false` when that cannot be done here.
    pub fn reserve(&self, at: u64, length: u64) -> Result<bool, MediumError> {
        loop {
            match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, at, length) {
                Ok(()) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(false),
                Err(errno) => return Err(self.refused("take room for a range", errno.into())),
            }
        }
    }

    /// Reads exactly so many bytes, and waits: for recovery, not for requests. The
    /// buffer must be aligned as [`Medium::alignment`] says.
    pub fn read_now(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, at)
    }
    /// Writes exactly so many bytes, and waits.
    pub fn write_now(&self, at: u64, from: &[u8]) -> io::Result<()> {
        self.file.write_all_at(from, at)
    }
    /// Makes what was written durable, and waits.
    pub fn sync_now(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn refused(&self, what: &'static str, source: io::Error) -> MediumError {
        refused(&self.path, what, source)
    }
}

fn refused(path: &Path, what: &'static str, source: io::Error) -> MediumError {
    MediumError::Io { path: path.to_owned(), what, source }
}

fn kind_of(path: &Path) -> Result<MediumKind, MediumError> {
    let found = std::fs::metadata(path).map_err(|source| refused(path, "look at it", source))?;
    match found.file_type() {
        kind if kind.is_file() => Ok(MediumKind::File),
        kind if kind.is_block_device() => Ok(MediumKind::Device),
        _ => Err(MediumError::Kind { path: path.to_owned() }),
    }
}

/// As [`open`], but a device that a process had which died is waited for: the kernel gives
/// it to nobody else before that process's I/O has let go of it.
#[expect(clippy::disallowed_methods, reason = "this waits for another process, in real time")]
fn open_within(
    path: &Path,
    kind: MediumKind,
    opening: Opening,
) -> Result<(File, bool), MediumError> {
    let began = std::time::Instant::now();
    loop {
        match open(path, kind, opening) {
            Err(MediumError::Busy { .. }) if began.elapsed() < opening.lock_within => {
                std::thread::sleep(LOCK_STEP);
            }
            other => return other,
        }
    }
}

/// Opens it, past the page cache if asked and possible; says whether it was.
fn open(path: &Path, kind: MediumKind, opening: Opening) -> Result<(File, bool), MediumError> {
    let mut flags = OFlags::CLOEXEC;
    if kind == MediumKind::Device && opening.write {
        // The kernel refuses a device that is mounted or part of something.
        flags |= OFlags::EXCL;
    }
    let attempt = |flags: OFlags| {
        OpenOptions::new()
            .read(true)
            .write(opening.write)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
    };
    if opening.direct
        && let Ok(file) = attempt(flags | OFlags::DIRECT)
        && alignment_of(&file, kind) <= BLOCK
        && reads(&file)
    {
        return Ok((file, true));
    }
    match attempt(flags) {
        Ok(file) => Ok((file, false)),
        Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {
            Err(MediumError::Busy { path: path.to_owned() })
        }
        Err(source) => Err(refused(path, "open it", source)),
    }
}

/// Whether an aligned block can be read: some file systems take the flag at open and
/// refuse later.
fn reads(file: &File) -> bool {
    #[repr(align(4096))]
    struct Block([u8; BLOCK as usize]);
    let mut block = Block([0; BLOCK as usize]);
    file.read_at(&mut block.0, 0).is_ok()
}

/// What direct I/O must be aligned to; a block where nobody says.
fn alignment_of(file: &File, kind: MediumKind) -> u32 {
    let found = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN);
    if let Ok(found) = found
        && found.stx_mask & StatxFlags::DIOALIGN.bits() != 0
        && found.stx_dio_offset_align > 0
    {
        return found.stx_dio_offset_align.max(found.stx_dio_mem_align);
    }
    let sector = (kind == MediumKind::Device).then(|| rustix::fs::ioctl_blksszget(file).ok());
    sector.flatten().unwrap_or(BLOCK)
}

/// The size of a file or device.
fn size_of(file: &File) -> io::Result<u64> {
    Ok(rustix::fs::seek(file, rustix::fs::SeekFrom::End(0))?)
}

fn resize(file: &File, from: u64, to: u64, reserve: bool) -> io::Result<()> {
    rustix::fs::ftruncate(file, to)?;
    if reserve && to > from {
        rustix::fs::fallocate(file, FallocateFlags::empty(), from, to - from)?;
    }
    Ok(())
}
