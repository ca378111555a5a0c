//! Reading a log segment from one end to the other.

use std::sync::Arc;

use world::files::File;

use super::StoreError;
use super::record::{HEADER, Header};

/// What is read at once.
const WINDOW: usize = 1 << 20;

/// A reader of one segment.
pub struct Scanner<T> {
    file: Arc<T>,
    /// Where it reads next.
    pub offset: u64,
    /// The segment's length.
    pub length: u64,
    window: Vec<u8>,
    start: u64,
}

/// What was found.
pub enum Found {
    /// A record, whole and verified, without its padding after the body.
    Record(Header, Vec<u8>),
    /// No record begins here.
    Bad,
    /// The segment ends here.
    End,
}

impl<T: File> Scanner<T> {
    /// Reads from here.
    pub fn new(file: Arc<T>, offset: u64) -> Result<Self, StoreError> {
        let length = file.length()?;
        Ok(Self { file, offset, length, window: Vec::new(), start: 0 })
    }

    /// Bytes of the segment; `None` beyond its end.
    fn bytes(&mut self, offset: u64, length: usize) -> Result<Option<&[u8]>, StoreError> {
        let end = offset + length as u64;
        if end > self.length {
            return Ok(None);
        }
        if offset < self.start || end > self.start + self.window.len() as u64 {
            let wanted = (length.max(WINDOW) as u64).min(self.length - offset) as usize;
            self.window.resize(wanted, 0);
            self.start = offset;
            if let Err(error) = self.file.read_at(offset, &mut self.window) {
                self.window.clear();
                return Err(error.into());
            }
        }
        let skip = (offset - self.start) as usize;
        Ok(Some(&self.window[skip..skip + length]))
    }

    fn record(&mut self, offset: u64) -> Result<Option<(Header, Vec<u8>)>, StoreError> {
        let Some(bytes) = self.bytes(offset, HEADER)? else { return Ok(None) };
        let Some(header) = Header::read(bytes) else { return Ok(None) };
        let Ok(length) = usize::try_from(header.length()) else { return Ok(None) };
        let Some(bytes) = self.bytes(offset, length)? else { return Ok(None) };
        let good = header.holds(bytes) && header.body_holds(bytes);
        Ok(good.then(|| (header, bytes.to_vec())))
    }

    /// The next record.
    pub fn next(&mut self) -> Result<Found, StoreError> {
        if self.offset >= self.length {
            return Ok(Found::End);
        }
        match self.record(self.offset)? {
            Some((header, bytes)) => {
                self.offset += header.length();
                Ok(Found::Record(header, bytes))
            }
            None => Ok(Found::Bad),
        }
    }

    /// Looks for the next record behind a place where none is; it must be of a later
    /// batch than this. `false` when there is none: the place stays.
    pub fn skip(&mut self, batch: u64) -> Result<bool, StoreError> {
        let mut offset = self.offset.next_multiple_of(8) + 8;
        while offset + HEADER as u64 <= self.length {
            let found = self.record(offset)?;
            if found.is_some_and(|(header, _)| header.batch > batch) {
                self.offset = offset;
                return Ok(true);
            }
            offset += 8;
        }
        Ok(false)
    }
}
