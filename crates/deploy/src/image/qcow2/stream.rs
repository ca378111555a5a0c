//! A qcow2 file as it passes: each range of it that means something is waited
//! for, taken whole, and written to its place on the disk.

use std::collections::BTreeMap;
use std::io::Read as _;

use model::agent::AgentFailure;
use sha2::{Digest as _, Sha256};

use super::header::{Header, LENGTH, Packing};
use super::tables::{self, Region, Use};
use crate::failure;
use crate::image::aligned::is_zero;
use crate::image::target::Sink;

/// Most ranges that are waited for at once: bounds memory to about a gigabyte,
/// which an image of a terabyte needs whose tables are all at its front.
const WAITED_MOST: usize = 1 << 24;

/// The state between two pieces of the file.
#[derive(Debug)]
pub struct Stream {
    header: Option<Header>,
    /// Ranges that are waited for, by place; the number keeps two at one place apart.
    waited: BTreeMap<(u64, u64), Region>,
    registered: u64,
    /// Bytes of the file from `base` on that something may still need.
    window: Vec<u8>,
    base: u64,
    /// One bit a cluster of the guest: it has been written.
    filled: Vec<u64>,
    plain: Vec<u8>,
}

impl Stream {
    /// Learns everything from the file as it passes.
    pub const fn learning() -> Self {
        Self {
            header: None,
            waited: BTreeMap::new(),
            registered: 0,
            window: Vec::new(),
            base: 0,
            filled: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// With the tables fetched before by `fetch(place, length)`. They are
    /// compared with those that pass, since only the latter are in the checksum.
    pub fn prepared(
        mut fetch: impl FnMut(u64, u64) -> Result<Vec<u8>, AgentFailure>,
    ) -> Result<Self, AgentFailure> {
        let mut stream = Self::learning();
        let header = parse(&fetch(0, LENGTH as u64)?)?;
        stream.begin(header);
        let first = tables::first(&header);
        let table = exact(fetch(first.start, first.length)?, first)?;
        stream.wait_for(seen(first, &table))?;
        for second in tables::in_first(&header, &table) {
            let Use::Second(index) = second.is else { continue };
            let table = exact(fetch(second.start, second.length)?, second)?;
            stream.wait_for(seen(second, &table))?;
            for region in tables::in_second(&header, index, &table) {
                stream.wait_for(region)?;
            }
        }
        Ok(stream)
    }

    /// The next bytes of the file.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<(), AgentFailure> {
        self.window.extend_from_slice(bytes);
        if self.header.is_none() && self.base == 0 && self.window.len() >= LENGTH {
            let header = parse(&self.window)?;
            self.begin(header);
            self.wait_for(tables::first(&header))?;
        }
        self.take_complete(false, sink)?;
        self.let_go();
        Ok(())
    }

    /// The file has ended: what was never written must read as zeros. Returns the disk's size.
    pub fn finish(&mut self, sink: &mut dyn Sink) -> Result<u64, AgentFailure> {
        self.take_complete(true, sink)?;
        let Some(header) = self.header else {
            return Err(failure::refused("the file is too short for a qcow2 header"));
        };
        if let Some(region) = self.waited.values().next() {
            return Err(failure::refused(format!("the file ends before byte {}", region.start)));
        }
        let mut from = 0;
        for guest in 0..=header.clusters() {
            if guest == header.clusters() || self.is_filled(guest) {
                let (start, end) = (from * header.cluster(), guest * header.cluster());
                if start < end {
                    sink.clear(start, end.min(header.size) - start)?;
                }
                from = guest + 1;
            }
        }
        Ok(header.size)
    }

    fn begin(&mut self, header: Header) {
        self.filled = vec![0; header.clusters().div_ceil(64) as usize];
        self.plain = vec![0; header.cluster() as usize];
        self.header = Some(header);
    }

    fn is_filled(&self, guest: u64) -> bool {
        self.filled[(guest / 64) as usize] & (1 << (guest % 64)) != 0
    }

    fn wait_for(&mut self, region: Region) -> Result<(), AgentFailure> {
        if region.start < self.base {
            return Err(failure::refused(
                "the image's tables lie behind its data; send it without outer compression, \
                 or rewrite it with qemu-img convert",
            ));
        }
        if self.waited.len() >= WAITED_MOST {
            return Err(failure::refused("the image has too many clusters before their tables"));
        }
        self.registered += 1;
        self.waited.insert((region.start, self.registered), region);
        Ok(())
    }

    /// Takes every range that has passed whole; at the end, the last packed one as far as it goes.
    fn take_complete(&mut self, ended: bool, sink: &mut dyn Sink) -> Result<(), AgentFailure> {
        let here = self.base + self.window.len() as u64;
        while let Some((key, region)) = self.waited.first_key_value().map(|(k, r)| (*k, *r)) {
            let short = region.start.saturating_add(region.length) > here;
            let last = ended && region.start < here && matches!(region.is, Use::Packed(_));
            if short && !last {
                break;
            }
            self.waited.remove(&key);
            let from = (region.start - self.base) as usize;
            let to = ((region.start + region.length).min(here) - self.base) as usize;
            // Lent out, so that what is found in it can be waited for.
            let window = std::mem::take(&mut self.window);
            let taken = self.take(region, &window[from..to], sink);
            self.window = window;
            taken?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        region: Region,
        bytes: &[u8],
        sink: &mut dyn Sink,
    ) -> Result<(), AgentFailure> {
        let header = self.header.expect("ranges are known only after the header");
        let found = match region.is {
            Use::First => tables::in_first(&header, bytes),
            Use::Second(index) => tables::in_second(&header, index, bytes),
            Use::Seen(digest) if Sha256::digest(bytes)[..] == digest => Vec::new(),
            Use::Seen(_) => {
                return Err(failure::checksum("the image's tables changed while it was fetched"));
            }
            Use::Data(guest) => return self.write(&header, guest, bytes, sink),
            Use::Packed(guest) => {
                let mut plain = std::mem::take(&mut self.plain);
                let done = unpack(header.packing, bytes, &mut plain)
                    .and_then(|()| self.write(&header, guest, &plain, sink));
                self.plain = plain;
                return done;
            }
        };
        found.into_iter().try_for_each(|region| self.wait_for(region))
    }

    fn write(
        &mut self,
        header: &Header,
        guest: u64,
        bytes: &[u8],
        sink: &mut dyn Sink,
    ) -> Result<(), AgentFailure> {
        if is_zero(bytes) {
            return Ok(());
        }
        let at = guest * header.cluster();
        assert!(at < header.size, "tables are read only as far as the disk goes");
        let length = (header.size - at).min(bytes.len() as u64) as usize;
        sink.put(at, &bytes[..length])?;
        self.filled[(guest / 64) as usize] |= 1 << (guest % 64);
        Ok(())
    }

    /// Drops the bytes that nothing waits for.
    fn let_go(&mut self) {
        if self.header.is_none() {
            return;
        }
        let here = self.base + self.window.len() as u64;
        let needed = self.waited.first_key_value().map_or(here, |((start, _), _)| *start).min(here);
        self.window.drain(..(needed - self.base) as usize);
        self.base = needed;
    }
}

fn parse(bytes: &[u8]) -> Result<Header, AgentFailure> {
    let mut padded = [0; LENGTH];
    let length = bytes.len().min(LENGTH);
    padded[..length].copy_from_slice(&bytes[..length]);
    Header::parse(&padded).map_err(|error| failure::refused(error.to_string()))
}

fn exact(bytes: Vec<u8>, region: Region) -> Result<Vec<u8>, AgentFailure> {
    match bytes.len() as u64 == region.length {
        true => Ok(bytes),
        false => Err(failure::refused(format!("the file ends in a table at {}", region.start))),
    }
}

fn seen(region: Region, table: &[u8]) -> Region {
    Region { is: Use::Seen(Sha256::digest(table).into()), ..region }
}

/// One packed cluster. Whatever follows it in its last sector is not ours.
fn unpack(packing: Packing, bytes: &[u8], plain: &mut [u8]) -> Result<(), AgentFailure> {
    let done = match packing {
        Packing::Deflate => flate2::bufread::DeflateDecoder::new(bytes).read_exact(plain),
        Packing::Zstd => zstd::stream::read::Decoder::with_buffer(bytes)
            .and_then(|decoder| decoder.single_frame().read_exact(plain)),
    };
    done.map_err(|error| failure::refused(format!("a packed cluster cannot be unpacked: {error}")))
}
