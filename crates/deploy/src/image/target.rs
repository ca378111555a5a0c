//! The disk that an image is written to.
//!
//! Power may be lost at any moment, and a half-written disk must never boot. So
//! both ends of the disk (the partition table and its backup) are cleared first,
//! held in memory while everything between them is written, and written last,
//! after all else is on the disk and verified.
//!
//! Everything between goes past the page cache (direct I/O) where the disk lets
//! us; runs of zeros are punched out where the disk promises that they read as
//! zeros afterwards, and written where it does not.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use model::agent::AgentFailure;
use rustix::fs::{FallocateFlags, fallocate};

use super::aligned::{Aligned, BLOCK, block_floor};
use super::sample::Samples;
use crate::failure;
use crate::kernel::block;

/// Bytes at each end of the disk that are written last.
pub const END: u64 = 1 << 20;
/// The smallest disk that makes sense: two ends and something between.
pub const SMALLEST: u64 = 4 * END;
/// Bytes that are gathered before they are written.
const RUN: usize = 1 << 20;
/// Zeros are punched in pieces of this size, so that a stop is heard between them.
const PUNCH: u64 = 1 << 30;

/// Where decoded images go: bytes by offset on the disk.
pub trait Sink {
    /// Data at this place.
    fn put(&mut self, offset: u64, data: &[u8]) -> Result<(), AgentFailure>;
    /// This range must read as zeros.
    fn clear(&mut self, offset: u64, length: u64) -> Result<(), AgentFailure>;
}

/// An open disk.
#[derive(Debug)]
pub struct Target {
    plain: File,
    direct: Option<File>,
    size: u64,
    sector: u32,
    head: Vec<u8>,
    tail: Vec<u8>,
    run: Aligned,
    run_at: u64,
    run_len: usize,
    can_punch: bool,
    written: u64,
    samples: Samples,
}

impl Target {
    /// Opens a disk (or a plain file that stands for one), alone.
    pub fn open(node: &Path) -> Result<Self, AgentFailure> {
        let named = |error| fault(&format!("cannot open {}", node.display()), &error);
        // On a block device O_EXCL means: nobody else has it mounted or claimed.
        let exclusive = libc::O_EXCL;
        let open = |flags| OpenOptions::new().read(true).write(true).custom_flags(flags).open(node);
        let plain = open(exclusive).map_err(named)?;
        let direct =
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(node);
        let size = size_of_disk(&plain).map_err(named)?;
        if size < SMALLEST {
            return Err(failure::disk(format!("{} has only {size} bytes", node.display())));
        }
        let tail_at = block_floor(size - END);
        Ok(Self {
            sector: block::sector_size(&plain).unwrap_or(512),
            plain,
            direct: direct.ok(),
            size,
            head: vec![0; END as usize],
            tail: vec![0; (size - tail_at) as usize],
            run: Aligned::zeroed(RUN),
            run_at: END,
            run_len: 0,
            can_punch: true,
            written: 0,
            samples: Samples::default(),
        })
    }

    /// Capacity in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }
    /// Logical sector in bytes.
    pub const fn sector(&self) -> u32 {
        self.sector
    }
    /// Bytes of data put so far; zeros are not counted.
    pub const fn written(&self) -> u64 {
        self.written
    }
    /// The ends of the disk as they will be written: the first MiB, the last.
    pub const fn ends(&mut self) -> (&mut Vec<u8>, &mut Vec<u8>) {
        (&mut self.head, &mut self.tail)
    }
    fn tail_at(&self) -> u64 {
        self.size - self.tail.len() as u64
    }

    /// Clears both ends, on the disk and in memory: from now on it does not boot.
    pub fn make_unbootable(&mut self) -> Result<(), AgentFailure> {
        self.head.fill(0);
        self.tail.fill(0);
        self.write_ends()
    }

    /// Everything but the ends is on the disk when this returns.
    pub fn settle(&mut self) -> Result<(), AgentFailure> {
        self.flush()?;
        self.plain.sync_all().map_err(|error| fault("cannot synchronise the disk", &error))
    }

    /// Reads back a sample of what was written; returns how many bytes were compared.
    pub fn check_samples(&self) -> Result<u64, AgentFailure> {
        block::forget_cache(&self.plain);
        self.samples.check(|at, buffer| self.read_blocks(at, buffer))
    }

    /// Writes the ends: the first sector last of all. Now it boots.
    pub fn commit(&mut self) -> Result<(), AgentFailure> {
        self.settle()?;
        self.write_ends()?;
        // Only asked for: without partitions in the kernel the disk is as good.
        let _ = block::reread_partitions(&self.plain);
        Ok(())
    }

    fn write_ends(&self) -> Result<(), AgentFailure> {
        let write = || -> io::Result<()> {
            self.plain.write_all_at(&self.tail, self.tail_at())?;
            self.plain.write_all_at(&self.head[BLOCK..], BLOCK as u64)?;
            self.plain.sync_all()?;
            self.plain.write_all_at(&self.head[..BLOCK], 0)?;
            self.plain.sync_all()
        };
        write().map_err(|error| fault("cannot write the partition table", &error))
    }

    /// Fails when a range is not on the disk.
    fn within(&self, offset: u64, length: u64) -> Result<(), AgentFailure> {
        match offset.checked_add(length) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(failure::disk(format!(
                "the image reaches to byte {}, the disk has {}",
                offset.saturating_add(length),
                self.size
            ))),
        }
    }

    /// The parts of a range in the head, between, and in the tail.
    fn split(&self, offset: u64, length: u64) -> [(u64, u64); 3] {
        let end = offset + length;
        let cut = |from: u64, to: u64| (from.min(to), to.saturating_sub(from));
        let tail_at = self.tail_at();
        [
            cut(offset, end.min(END)),
            cut(offset.max(END), end.min(tail_at)),
            cut(offset.max(tail_at), end),
        ]
    }

    /// Data between the ends: gathered into runs.
    fn gather(&mut self, mut at: u64, mut data: &[u8]) -> Result<(), AgentFailure> {
        while !data.is_empty() {
            if at != self.run_at + self.run_len as u64 || self.run_len == RUN {
                self.flush()?;
                self.begin_run(at)?;
            }
            let taken = data.len().min(RUN - self.run_len);
            self.run[self.run_len..self.run_len + taken].copy_from_slice(&data[..taken]);
            self.run_len += taken;
            at += taken as u64;
            data = &data[taken..];
        }
        Ok(())
    }

    /// A run begins at a whole block; what is before `at` in it stays as it is on the disk.
    fn begin_run(&mut self, at: u64) -> Result<(), AgentFailure> {
        assert!(self.run_len == 0, "the run before was written");
        self.run_at = block_floor(at);
        self.run_len = (at - self.run_at) as usize;
        match self.run_len {
            0 => Ok(()),
            _ => self.fill_block(self.run_at, 0, 0),
        }
    }

    /// Reads the block at `at` and puts what is behind its first `keep` bytes into the run.
    fn fill_block(&mut self, at: u64, place: usize, keep: usize) -> Result<(), AgentFailure> {
        let mut block = Aligned::zeroed(BLOCK);
        self.read_blocks(at, &mut block).map_err(|error| fault("cannot read", &error))?;
        self.run[place + keep..place + BLOCK].copy_from_slice(&block[keep..]);
        Ok(())
    }

    /// Writes the run that was gathered.
    fn flush(&mut self) -> Result<(), AgentFailure> {
        if self.run_len == 0 {
            return Ok(());
        }
        let over = self.run_len % BLOCK;
        if over != 0 {
            let place = self.run_len - over;
            self.fill_block(self.run_at + place as u64, place, over)?;
            self.run_len = place + BLOCK;
        }
        let data = &self.run[..self.run_len];
        assert!(self.run_at >= END && self.run_at + data.len() as u64 <= self.tail_at());
        self.write_blocks(self.run_at, data)
            .map_err(|error| fault(&format!("cannot write at byte {}", self.run_at), &error))?;
        self.samples.wrote(self.run_at, data);
        self.run_at += self.run_len as u64;
        self.run_len = 0;
        Ok(())
    }

    fn write_blocks(&self, at: u64, data: &[u8]) -> io::Result<()> {
        match &self.direct {
            Some(direct) => direct.write_all_at(data, at),
            None => self.plain.write_all_at(data, at),
        }
    }

    fn read_blocks(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        match &self.direct {
            Some(direct) => direct.read_exact_at(buffer, at),
            None => self.plain.read_exact_at(buffer, at),
        }
    }

    /// Zeros between the ends.
    fn clear_between(&mut self, mut at: u64, length: u64) -> Result<(), AgentFailure> {
        let end = at + length;
        self.flush()?;
        while at < end {
            let inner = block_floor(at) == at && end - at >= BLOCK as u64;
            let taken = match inner && self.can_punch {
                true => block_floor(end - at).min(PUNCH),
                false => (end - at).min(BLOCK as u64 - at % BLOCK as u64),
            };
            if inner && self.can_punch {
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                if fallocate(&self.plain, flags, at, taken).is_err() {
                    self.can_punch = false;
                    continue;
                }
                self.samples.forget(at, taken);
            } else {
                self.gather(at, &[0; BLOCK][..taken as usize])?;
            }
            at += taken;
        }
        Ok(())
    }
}

impl Sink for Target {
    fn put(&mut self, offset: u64, data: &[u8]) -> Result<(), AgentFailure> {
        self.within(offset, data.len() as u64)?;
        self.written += data.len() as u64;
        let [head, between, tail] = self.split(offset, data.len() as u64);
        let part = |(at, length): (u64, u64)| {
            let from = (at - offset) as usize;
            &data[from..from + length as usize]
        };
        if head.1 > 0 {
            self.head[head.0 as usize..(head.0 + head.1) as usize].copy_from_slice(part(head));
        }
        if between.1 > 0 {
            self.gather(between.0, part(between))?;
        }
        if tail.1 > 0 {
            let at = (tail.0 - self.tail_at()) as usize;
            self.tail[at..at + tail.1 as usize].copy_from_slice(part(tail));
        }
        Ok(())
    }

    fn clear(&mut self, offset: u64, length: u64) -> Result<(), AgentFailure> {
        self.within(offset, length)?;
        let [head, between, tail] = self.split(offset, length);
        if head.1 > 0 {
            self.head[head.0 as usize..(head.0 + head.1) as usize].fill(0);
        }
        if between.1 > 0 {
            self.clear_between(between.0, between.1)?;
        }
        if tail.1 > 0 {
            let at = (tail.0 - self.tail_at()) as usize;
            self.tail[at..at + tail.1 as usize].fill(0);
        }
        Ok(())
    }
}

/// Capacity of a disk or length of a file.
pub fn size_of_disk(file: &File) -> io::Result<u64> {
    Ok(rustix::fs::seek(file, rustix::fs::SeekFrom::End(0))?)
}

/// A disk's error in words.
pub fn fault(doing: &str, error: &io::Error) -> AgentFailure {
    failure::disk(format!("{doing}: {error}"))
}
