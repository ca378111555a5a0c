//! The head of the log: where records are appended, a batch at a time.

use std::io;
use std::sync::Arc;

use world::files::{File, Files};

use super::StoreError;
use super::record::{self, HEADER, Header, PREFACE, Preface, Record};
use super::segments::{Kind, Segment, Segments};
use crate::entry::{Location, Sequence};

/// How an append came out.
#[derive(Debug)]
pub enum Failure {
    /// There was no room; everything is as it was before.
    Full,
    /// Nobody knows what is on the medium.
    Medium(io::Error),
}

/// The open log segment, and the batch that is being put together.
pub struct Log<F: Files> {
    segment: Option<Arc<Segment<F::File>>>,
    /// Where the next batch begins.
    pub end: u64,
    /// The number that the next batch has.
    pub batch: u64,
    limit: u64,
    /// A write to the open segment failed: it takes no more batches.
    spent: bool,
    reserved: u64,
    buffer: Vec<u8>,
    starts: Vec<usize>,
}

impl<F: Files> Log<F> {
    /// The first batch opens a new segment: what a crash left behind is never written
    /// after.
    pub fn new(batch: u64, limit: u64) -> Self {
        let (buffer, starts) = (Vec::new(), Vec::new());
        Self { segment: None, end: 0, batch, limit, spent: false, reserved: 0, buffer, starts }
    }

    /// The number of the open segment.
    pub fn number(&self) -> Option<u32> {
        self.segment.as_ref().map(|segment| segment.number)
    }

    /// Makes sure that there is a segment for the next batch.
    pub fn prepare(&mut self, files: &Segments<F>, next: (u64, u32)) -> Result<(), Failure> {
        assert!(self.buffer.is_empty(), "a segment is changed between batches");
        if self.segment.is_some() && self.end < self.limit && !self.spent {
            return Ok(());
        }
        if let Some(old) = self.segment.as_ref().filter(|_| self.spent) {
            // What was half written must be gone before anything can follow it.
            files.sync(&old.file).map_err(Failure::Medium)?;
        }
        let segment = match files.create(Kind::Log) {
            Ok(segment) => segment,
            // The old one grows beyond its limit until there is room for another.
            Err(_) if self.segment.is_some() && !self.spent => return Ok(()),
            Err(error) => return Err(classify(error)),
        };
        let preface = Preface {
            number: segment.number,
            next_sequence: next.0,
            next_bucket: next.1,
            next_segment: files.next(),
        };
        if let Err(error) = segment.file.write_at(0, &preface.bytes()) {
            files.remove(&segment).map_err(Failure::Medium)?;
            let go_on = self.segment.is_some() && !self.spent;
            return if go_on { Ok(()) } else { Err(classify(error)) };
        }
        if let Some(old) = self.segment.take() {
            old.sealed.store(true, std::sync::atomic::Ordering::Release);
        }
        files.sync_names().map_err(Failure::Medium)?;
        (self.segment, self.end, self.spent) = (Some(segment), PREFACE as u64, false);
        self.reserved = 0;
        Ok(())
    }

    /// Reserves room ahead: what only deletes finds some then when the medium is full.
    pub fn reserve(&mut self, ahead: u64) -> io::Result<()> {
        let Some(segment) = &self.segment else { return Ok(()) };
        if self.end + ahead > self.reserved {
            segment.file.allocate(self.end, ahead * 2)?;
            self.reserved = self.end + ahead * 2;
        }
        Ok(())
    }

    /// Records of the batch.
    pub fn records(&self) -> usize {
        self.starts.len()
    }

    /// Adds a record to the batch.
    pub fn append(&mut self, sequence: Sequence, record: &Record, body: &[u8]) -> Location {
        let start = self.buffer.len();
        let length = record::append(&mut self.buffer, sequence, record, body);
        self.place(start, length)
    }

    /// Adds a record as it was read.
    pub fn append_raw(&mut self, raw: &[u8]) -> Location {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(raw);
        self.place(start, u32::try_from(raw.len()).expect("a record is shorter than 4 GiB"))
    }

    fn place(&mut self, start: usize, length: u32) -> Location {
        let segment = self.number().expect("a batch is prepared");
        self.starts.push(start);
        Location { segment, offset: self.end + start as u64, length }
    }

    /// Bytes of the batch.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// Forgets the batch.
    pub fn abort(&mut self) {
        self.buffer.clear();
        self.starts.clear();
    }

    /// Writes the batch and makes it last.
    pub fn flush(&mut self, files: &Segments<F>) -> Result<(), Failure> {
        if self.starts.is_empty() {
            return Ok(());
        }
        let count = self.starts.len() as u32;
        for (place, start) in self.starts.iter().enumerate() {
            record::seal(&mut self.buffer[*start..], self.batch, place as u32, count);
        }
        let segment = self.segment.clone().expect("a batch is prepared");
        if let Err(error) = segment.file.write_at(self.end, &self.buffer) {
            return Err(self.back(&segment, error));
        }
        files.sync(&segment.file).map_err(Failure::Medium)?;
        self.end += self.buffer.len() as u64;
        self.batch += 1;
        self.abort();
        if self.buffer.capacity() > 8 << 20 {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Takes back what was half written. The next batch goes to another segment, so that
    /// no remains can follow it.
    fn back(&mut self, segment: &Segment<F::File>, error: io::Error) -> Failure {
        match segment.file.set_length(self.end) {
            Ok(()) => {
                self.spent = true;
                classify(error)
            }
            Err(error) => Failure::Medium(error),
        }
    }

    /// Reads a record that the store knows of: it may be of the batch that is being put
    /// together. Its body comes behind its head.
    pub fn read(&self, files: &Segments<F>, at: Location) -> Result<(Header, Vec<u8>), StoreError> {
        if self.number() == Some(at.segment) && at.offset >= self.end {
            let start = (at.offset - self.end) as usize;
            let bytes = self.buffer[start..start + at.length as usize].to_vec();
            let header = Header::read(&bytes).expect("what was appended is a record");
            return Ok((header, bytes));
        }
        read(files, at)
    }
}

fn classify(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Failure::Full,
        _ => Failure::Medium(error),
    }
}

/// Reads a whole record and verifies it.
pub fn read<F: Files>(files: &Segments<F>, at: Location) -> Result<(Header, Vec<u8>), StoreError> {
    let segment = files.need(at.segment)?;
    let mut bytes = vec![0; at.length as usize];
    segment.file.read_at(at.offset, &mut bytes)?;
    let header = check(&bytes, at)?;
    if !header.body_holds(&bytes) {
        return Err(damaged(at));
    }
    Ok((header, bytes))
}

/// Reads a record without its body, when that is much; verifies what it reads.
pub fn read_head<F: Files>(
    files: &Segments<F>,
    at: Location,
    guess: usize,
) -> Result<(Header, Vec<u8>), StoreError> {
    let segment = files.need(at.segment)?;
    let mut bytes = vec![0; guess.clamp(HEADER, 1 << 16).min(at.length as usize)];
    segment.file.read_at(at.offset, &mut bytes)?;
    let head = Header::read(&bytes).ok_or_else(|| damaged(at))?.head();
    if head > at.length as usize {
        return Err(damaged(at));
    }
    if let Some(more) = head.checked_sub(bytes.len()).filter(|more| *more > 0) {
        let have = bytes.len();
        bytes.resize(have + more, 0);
        segment.file.read_at(at.offset + have as u64, &mut bytes[have..])?;
    }
    check(&bytes, at).map(|header| (header, bytes))
}

fn check(bytes: &[u8], at: Location) -> Result<Header, StoreError> {
    let header = Header::read(bytes).filter(|header| header.length() == u64::from(at.length));
    header.filter(|header| header.holds(bytes)).ok_or_else(|| damaged(at))
}

/// What is said of a record that is not what was written.
pub fn damaged(at: Location) -> StoreError {
    StoreError::Damaged(format!("the record at {:08x}:{}", at.segment, at.offset))
}
