//! The stored form of an encrypted body, and how it is written and read.
//!
//! `salt (32) ‖ unit ‖ unit ‖ … ‖ last unit`: a unit is 64 KiB of content (the last one
//! 1 byte to 64 KiB; none at all for an empty body) followed by its tag of 16 bytes.
//! The nonce is the unit's number (96 bits, big endian). The associated data says
//! nothing: how long a body is, is known from its record, and a unit that was moved
//! does not open under another number or another body's key.

use std::collections::VecDeque;
use std::ops::Range;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use world::SystemEntropy;
use world::entropy::Entropy as _;

use super::wrap::BodyKey;
use crate::step::Open;

/// Content of a unit, in bytes.
pub const UNIT: usize = 64 * 1024;
/// A unit's tag, in bytes.
pub const TAG: usize = 16;
/// What a body begins with, in bytes.
pub const SALT: usize = 32;

const SEALED_UNIT: u64 = (UNIT + TAG) as u64;

/// How many bytes are stored for so much content.
pub fn sealed_length(content: u64) -> u64 {
    SALT as u64 + content + content.div_ceil(UNIT as u64) * TAG as u64
}

fn nonce(unit: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&unit.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn unit_key(key: &BodyKey, salt: &[u8]) -> LessSafeKey {
    let derived = key.of_body(salt);
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, derived.as_ref()).expect("32 bytes"))
}

/// Seals a body as it comes.
pub struct Sealer {
    key: LessSafeKey,
    salt: Option<[u8; SALT]>,
    unit: u64,
    held: Vec<u8>,
}

impl Sealer {
    /// Begins a body under a key. Its salt is new.
    pub fn new(key: &BodyKey) -> Self {
        let mut salt = [0; SALT];
        SystemEntropy.fill(&mut salt);
        Self { key: unit_key(key, &salt), salt: Some(salt), unit: 0, held: Vec::new() }
    }

    /// Takes content; appends what is to be stored.
    pub fn take(&mut self, mut content: &[u8], into: &mut Vec<u8>) {
        while !content.is_empty() {
            let fits = (UNIT - self.held.len()).min(content.len());
            if self.held.is_empty() && fits == UNIT {
                self.seal(&content[..UNIT], into);
            } else {
                self.held.extend_from_slice(&content[..fits]);
                if self.held.len() == UNIT {
                    let held = std::mem::take(&mut self.held);
                    self.seal(&held, into);
                    self.held = held;
                    self.held.clear();
                }
            }
            content = &content[fits..];
        }
    }

    /// All of it came: appends the rest.
    pub fn finish(mut self, into: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            self.seal(&held, into);
        }
        into.extend(self.salt.take().into_iter().flatten());
    }

    fn seal(&mut self, content: &[u8], into: &mut Vec<u8>) {
        into.extend(self.salt.take().into_iter().flatten());
        let start = into.len();
        into.extend_from_slice(content);
        let sealed =
            self.key.seal_in_place_separate_tag(nonce(self.unit), Aad::empty(), &mut into[start..]);
        into.extend_from_slice(sealed.expect("a unit is short enough").as_ref());
        self.unit += 1;
    }
}

/// What is read for a range of content: stored bytes in order, and what opens them.
pub struct Plan {
    /// Ranges of the stored body, counted from its first byte, parts in a row.
    pub stored: Vec<Range<u64>>,
    /// Turns them into the content that was asked for, no byte more.
    pub opener: Opener,
}

/// What the opener expects next.
enum Frame {
    Salt,
    /// A unit: its number, stored length, and which of its content is wanted.
    Unit {
        number: u64,
        length: usize,
        wanted: Range<usize>,
    },
}

/// Plans the reading of a range of content. `parts`: the content's length of each
/// stored body (one for an object that was written in one go).
///
/// # Panics
/// When the range is not within the content.
pub fn plan(key: BodyKey, parts: &[u64], range: Range<u64>) -> Plan {
    assert!(range.start <= range.end && range.end <= parts.iter().sum(), "a range is within");
    let mut stored = Vec::new();
    let mut frames = VecDeque::new();
    let (mut content, mut offset) = (0, 0);
    for part in parts {
        let from = range.start.clamp(content, content + part) - content;
        let to = range.end.clamp(content, content + part) - content;
        if from < to {
            plan_part(*part, from..to, offset, &mut stored, &mut frames);
        }
        content += part;
        offset += sealed_length(*part);
    }
    let opener = Opener { key, frames, unit_key: None, held: Vec::new() };
    Plan { stored, opener }
}

fn plan_part(
    size: u64,
    wanted: Range<u64>,
    offset: u64,
    stored: &mut Vec<Range<u64>>,
    frames: &mut VecDeque<Frame>,
) {
    let unit = UNIT as u64;
    let (first, last) = (wanted.start / unit, (wanted.end - 1) / unit);
    frames.push_back(Frame::Salt);
    for number in first..=last {
        let begin = number * unit;
        let end = (begin + unit).min(size);
        let inside = wanted.start.max(begin) - begin..wanted.end.min(end) - begin;
        frames.push_back(Frame::Unit {
            number,
            length: (end - begin) as usize + TAG,
            wanted: inside.start as usize..inside.end as usize,
        });
    }
    let units = offset + SALT as u64;
    let begin = units + first * SEALED_UNIT;
    let end = units + (last * SEALED_UNIT + SEALED_UNIT).min(sealed_length(size) - SALT as u64);
    if first == 0 {
        stored.push(offset..end);
    } else {
        stored.extend([offset..units, begin..end]);
    }
}

/// Opens a planned read. Stored bytes may come in pieces of any length.
pub struct Opener {
    key: BodyKey,
    frames: VecDeque<Frame>,
    unit_key: Option<LessSafeKey>,
    held: Vec<u8>,
}

impl Open for Opener {
    fn open(&mut self, mut stored: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
        while !stored.is_empty() {
            let length = match self.frames.front() {
                None => return Err("more is stored than was planned".to_owned()),
                Some(Frame::Salt) => SALT,
                Some(Frame::Unit { length, .. }) => *length,
            };
            let fits = (length - self.held.len()).min(stored.len());
            self.held.extend_from_slice(&stored[..fits]);
            stored = &stored[fits..];
            if self.held.len() == length {
                let mut held = std::mem::take(&mut self.held);
                let opened = self.frame(&mut held, into);
                held.clear();
                self.held = held;
                opened?;
            }
        }
        Ok(())
    }

    fn unit(&self) -> usize {
        UNIT + TAG
    }
}

impl Opener {
    fn frame(&mut self, held: &mut [u8], into: &mut Vec<u8>) -> Result<(), String> {
        match self.frames.pop_front() {
            None => Err("nothing was planned".to_owned()),
            Some(Frame::Salt) => {
                self.unit_key = Some(unit_key(&self.key, held));
                Ok(())
            }
            Some(Frame::Unit { number, wanted, .. }) => {
                let key = self.unit_key.as_ref().expect("a salt is planned before units");
                let content = key
                    .open_in_place(nonce(number), Aad::empty(), held)
                    .map_err(|_| format!("unit {number} of the body does not open"))?;
                into.extend_from_slice(&content[wanted]);
                Ok(())
            }
        }
    }
}
