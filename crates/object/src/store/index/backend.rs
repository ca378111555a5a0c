//! The file of the index, as redb sees it: each block of 4 KiB lies beside a checksum
//! of its own, so that a damaged page is an error and never a wrong answer. The first
//! block is redb's header, which it writes in place and which has checksums inside.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use world::files::File;

use crate::store::sum::Crc32c;

const BLOCK: u64 = 4096;
/// A block, its CRC32C with its number, and four bytes that say that it was written.
const STRIDE: u64 = BLOCK + 8;
const WRITTEN: [u8; 4] = *b"BPIX";
/// What is reserved at once.
const RESERVE: u64 = 16 << 20;

thread_local! {
    /// What was read last, to be read into again: a page that is not in memory is the
    /// most that an answer waits for.
    static RAW: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The file, and what is known of it.
pub struct Pages<T> {
    file: T,
    /// Its length, as redb sees it.
    length: AtomicU64,
    /// Bytes from here on were never written.
    written: AtomicU64,
    reserved: Mutex<u64>,
    damaged: AtomicBool,
    synced: AtomicU64,
}

/// What redb is given.
pub struct Backend<T>(pub Arc<Pages<T>>);

impl<T: File> Pages<T> {
    /// Takes a file.
    pub fn new(file: T) -> io::Result<Arc<Self>> {
        let length = file.length()? / STRIDE * BLOCK;
        // All of it may be, by those who had it before.
        let written = AtomicU64::new(file.length()?);
        Ok(Arc::new(Self {
            file,
            length: AtomicU64::new(length),
            written,
            reserved: Mutex::new(0),
            damaged: AtomicBool::new(false),
            synced: AtomicU64::new(0),
        }))
    }

    /// A page was not what was written, or nobody knows whether it is: after a sync that
    /// failed, reads may show what is not on the medium.
    pub fn damaged(&self) -> bool {
        self.damaged.load(Ordering::Acquire)
    }

    /// How often it was synced.
    pub fn syncs(&self) -> u64 {
        self.synced.load(Ordering::Relaxed)
    }

    /// Makes sure that pages which are not written yet find room: redb takes no more
    /// changes once a write failed.
    pub fn reserve(&self, ahead: u64) -> io::Result<()> {
        let wanted = self.written.load(Ordering::Acquire) + ahead;
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        while *reserved < wanted {
            let mut more = RESERVE;
            if self.file.allocate(*reserved, more).is_err() {
                // There is less than that, and perhaps enough.
                more = wanted - *reserved;
                self.file.allocate(*reserved, more)?;
            }
            *reserved += more;
        }
        Ok(())
    }

    fn sum(block: u64, data: &[u8]) -> [u8; 4] {
        let mut sum = Crc32c::new();
        sum.update(data);
        sum.update(&block.to_le_bytes());
        sum.finish().to_le_bytes()
    }

    /// Reads whole blocks.
    fn read_blocks(&self, first: u64, into: &mut [u8]) -> io::Result<()> {
        let length = into.len() / BLOCK as usize * STRIDE as usize;
        RAW.with_borrow_mut(|raw| {
            if raw.len() < length {
                raw.resize(length, 0);
            }
            let raw = &mut raw[..length];
            self.file.read_at(first * STRIDE, raw)?;
            self.take_blocks(first, raw, into)
        })
    }

    /// Copies blocks out of what was read, when they are what was written.
    fn take_blocks(&self, first: u64, raw: &[u8], into: &mut [u8]) -> io::Result<()> {
        let pairs = raw.chunks_exact(STRIDE as usize).zip(into.chunks_exact_mut(BLOCK as usize));
        for (number, (raw, into)) in (first..).zip(pairs) {
            let (data, beside) = raw.split_at(BLOCK as usize);
            let good = number == 0
                || (beside[4..] == WRITTEN && beside[..4] == Self::sum(number, data))
                || raw.iter().all(|byte| *byte == 0);
            if !good {
                self.damaged.store(true, Ordering::Release);
                let what = format!("page {number} of the index is damaged");
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            into.copy_from_slice(data);
        }
        Ok(())
    }

    fn write_blocks(&self, first: u64, data: &[u8]) -> io::Result<()> {
        let mut raw = Vec::with_capacity(data.len() / BLOCK as usize * STRIDE as usize);
        for (number, block) in (first..).zip(data.chunks_exact(BLOCK as usize)) {
            raw.extend_from_slice(block);
            raw.extend_from_slice(&Self::sum(number, block));
            raw.extend_from_slice(&WRITTEN);
        }
        self.written.fetch_max(first * STRIDE + raw.len() as u64, Ordering::AcqRel);
        self.file.write_at(first * STRIDE, &raw)
    }

    fn check(&self, offset: u64, length: usize) -> io::Result<()> {
        let end = offset.checked_add(length as u64);
        match end.is_some_and(|end| end <= self.length.load(Ordering::Acquire)) {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.check(offset, into.len())?;
        if offset.is_multiple_of(BLOCK) && (into.len() as u64).is_multiple_of(BLOCK) {
            return self.read_blocks(offset / BLOCK, into);
        }
        let first = offset / BLOCK;
        let end = (offset + into.len() as u64).div_ceil(BLOCK);
        let mut blocks = vec![0; ((end - first) * BLOCK) as usize];
        self.read_blocks(first, &mut blocks)?;
        let skip = (offset - first * BLOCK) as usize;
        into.copy_from_slice(&blocks[skip..skip + into.len()]);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check(offset, data.len())?;
        let end = offset + data.len() as u64;
        if end <= BLOCK {
            // The header: not one byte more than redb says.
            self.written.fetch_max(end, Ordering::AcqRel);
            return self.file.write_at(offset, data);
        }
        if offset.is_multiple_of(BLOCK) && (data.len() as u64).is_multiple_of(BLOCK) {
            return self.write_blocks(offset / BLOCK, data);
        }
        let (first, last) = (offset / BLOCK, end.div_ceil(BLOCK));
        let mut blocks = vec![0; ((last - first) * BLOCK) as usize];
        self.read_blocks(first, &mut blocks)?;
        let skip = (offset - first * BLOCK) as usize;
        blocks[skip..skip + data.len()].copy_from_slice(data);
        self.write_blocks(first, &blocks)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let before = self.length.load(Ordering::Acquire);
        self.file.set_length(length.div_ceil(BLOCK) * STRIDE)?;
        if length < before {
            let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
            *reserved = (*reserved).min(length / BLOCK * STRIDE);
        }
        self.length.store(length, Ordering::Release);
        Ok(())
    }
}

impl<T> std::fmt::Debug for Backend<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Backend")
    }
}

impl<T: File> redb::StorageBackend for Backend<T> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.length.load(Ordering::Acquire))
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_length(length)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.synced.fetch_add(1, Ordering::Relaxed);
        let synced = self.0.file.sync();
        synced.inspect_err(|_| self.0.damaged.store(true, Ordering::Release))
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
