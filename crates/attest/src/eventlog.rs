//! The firmware's event log: what was measured into which PCR, in order (TCG PC
//! Client Platform Firmware Profile, section 10; the crypto-agile format with a
//! "Spec ID Event03" header and `TCG_PCR_EVENT2` entries).
//!
//! The log itself proves nothing: it is text from a machine that may lie. It
//! becomes evidence when its digests, extended in order, give the PCR values that
//! a TPM signed. Even then only the *digests* are proven; the event data beside
//! them is believed where hashing it gives the digest (see [`Backing`]).

mod describe;
mod kind;

use std::collections::BTreeMap;

pub use kind::EventKind;

use crate::digest::{Sha256Value, sha256};
use crate::quoted::PCR_COUNT;
use crate::refusal::Refusal;

/// The longest log that is read. Firmware makes room for 64 to 256 KiB.
pub const MAX_LOG: usize = 1 << 20;
/// The most events that are read. Servers log 100 to 300.
pub const MAX_EVENTS: usize = 4096;
/// The most hash algorithms that a log may use; a TPM has five at the most.
const MAX_ALGORITHMS: usize = 8;
/// `TPM_ALG_SHA256`.
const SHA256: u16 = 0x000b;
/// Signature of the header event.
const SPEC_ID: &[u8; 16] = b"Spec ID Event03\0";
/// Signature of the event that tells at which locality the TPM was started.
const STARTUP_LOCALITY: &[u8; 16] = b"StartupLocality\0";

/// A parsed log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventLog {
    /// Events that were extended into a PCR, in order.
    pub events: Vec<Event>,
    /// Locality of `TPM2_Startup`: what PCR 0 starts from.
    pub startup_locality: u8,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The PCR that it was extended into, 0 to 23.
    pub pcr: u8,
    /// Type.
    pub kind: EventKind,
    /// What was extended, SHA-256 bank.
    pub digest: [u8; 32],
    /// What it measures, for people; one line, bounded.
    pub what: String,
    /// How far `what` can be believed.
    pub backing: Backing,
}

/// Whether the event data is what was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Hashing the data gives the digest.
    Proven,
    /// It should, by the specification, and does not.
    Differs,
    /// The data only describes what was hashed (an image, a section's content).
    Opaque,
}

impl EventLog {
    /// Reads a log to its last byte. An empty one has no events.
    ///
    /// # Errors
    /// `Malformed`, with the number of the event (from 0, the header) that does not parse.
    pub fn parse(log: &[u8]) -> Result<EventLog, Refusal> {
        if log.is_empty() {
            return Ok(EventLog::default());
        }
        if log.len() > MAX_LOG {
            return Err(Refusal::malformed(format!(
                "the event log is longer than {MAX_LOG} bytes"
            )));
        }
        let mut cursor = Cursor(log);
        let algorithms = header(&mut cursor)
            .map_err(|wrong| Refusal::malformed(format!("event 0 of the event log: {wrong}")))?;
        let mut parsed = EventLog::default();
        for number in 1.. {
            if cursor.0.is_empty() {
                break;
            }
            if number > MAX_EVENTS {
                let message = format!("the event log has more than {MAX_EVENTS} events");
                return Err(Refusal::malformed(message));
            }
            parsed.read_event(&mut cursor, &algorithms).map_err(|wrong| {
                Refusal::malformed(format!("event {number} of the event log: {wrong}"))
            })?;
        }
        Ok(parsed)
    }

    fn read_event(&mut self, cursor: &mut Cursor<'_>, algorithms: &[(u16, u16)]) -> Parsed<()> {
        let (pcr, kind) = (cursor.u32()?, EventKind(cursor.u32()?));
        let digest = digests(cursor, algorithms)?;
        let data = cursor.sized()?;
        if kind == EventKind::NO_ACTION {
            // Not extended: it only informs. One of these changes how PCR 0 starts.
            if let Some([locality]) = data.strip_prefix(STARTUP_LOCALITY) {
                self.startup_locality = *locality;
            }
            return Ok(());
        }
        let pcr = u8::try_from(pcr).ok().filter(|pcr| *pcr < PCR_COUNT).ok_or("no such PCR")?;
        let digest = digest.ok_or("it has no SHA-256 digest")?;
        let (what, backing) = describe::describe(kind, data, &digest);
        self.events.push(Event { pcr, kind, digest, what, backing });
        Ok(())
    }

    /// The values that the log leads to, for each PCR that it has events of.
    pub fn replay(&self) -> BTreeMap<u8, [u8; 32]> {
        let mut values: BTreeMap<u8, Sha256Value> = BTreeMap::new();
        for event in &self.events {
            let start = self.start(event.pcr);
            let value = values.entry(event.pcr).or_insert(start);
            *value = sha256(&[&*value, &event.digest]);
        }
        values
    }

    /// What a PCR holds before its first event: zero, but for PCR 0, whose last
    /// byte is the locality of the start (section 10.4.5.3 of the profile).
    fn start(&self, pcr: u8) -> Sha256Value {
        let mut value = [0; 32];
        if pcr == 0 {
            value[31] = self.startup_locality;
        }
        value
    }

    /// Events of one PCR, in order.
    pub fn of(&self, pcr: u8) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.pcr == pcr)
    }
}

/// A piece of the log, or what is wrong with it.
type Parsed<T> = Result<T, &'static str>;

/// The header: `TCG_PCR_EVENT` of the old format, around the list of algorithms
/// with the lengths of their digests.
fn header(cursor: &mut Cursor<'_>) -> Parsed<Vec<(u16, u16)>> {
    let (_pcr, kind, _sha1) = (cursor.u32()?, cursor.u32()?, cursor.take(20)?);
    let mut data = Cursor(cursor.sized()?);
    if EventKind(kind) != EventKind::NO_ACTION || data.take(16)? != SPEC_ID {
        return Err("it is not a crypto-agile log (no Spec ID Event03)");
    }
    // Platform class, version and errata, size of UINTN.
    data.take(8)?;
    let count = data.u32()? as usize;
    if count > MAX_ALGORITHMS {
        return Err("more hash algorithms than a TPM has");
    }
    let mut algorithms = Vec::with_capacity(count);
    for _ in 0..count {
        algorithms.push((data.u16()?, data.u16()?));
    }
    if !algorithms.contains(&(SHA256, 32)) {
        return Err("the firmware does not log SHA-256");
    }
    Ok(algorithms)
}

/// `TPML_DIGEST_VALUES`; gives the SHA-256 one.
fn digests(cursor: &mut Cursor<'_>, algorithms: &[(u16, u16)]) -> Parsed<Option<Sha256Value>> {
    let count = cursor.u32()? as usize;
    if count > algorithms.len() {
        return Err("more digests than algorithms");
    }
    let mut found = None;
    for _ in 0..count {
        let algorithm = cursor.u16()?;
        let known = algorithms.iter().find(|(known, _)| *known == algorithm);
        let (_, length) = known.ok_or("a digest of an algorithm that the header does not name")?;
        let digest = cursor.take(usize::from(*length))?;
        if algorithm == SHA256 {
            found = Sha256Value::try_from(digest).ok();
        }
    }
    Ok(found)
}

/// Little-endian reader; nothing is believed about a length before it is checked.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Parsed<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(taken)
    }
    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or("it ends too early")?;
        self.0 = rest;
        Ok(*taken)
    }
    fn u16(&mut self) -> Parsed<u16> {
        self.array().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> Parsed<u32> {
        self.array().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Parsed<u64> {
        self.array().map(u64::from_le_bytes)
    }
    /// A 32-bit length and as many bytes.
    fn sized(&mut self) -> Parsed<&'a [u8]> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_| "it ends too early")?)
    }
}
