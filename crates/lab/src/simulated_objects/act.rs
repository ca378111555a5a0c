//! What is asked of a simulated store: drawn from a seed, small in number of names so
//! that acts meet each other.

use object::bucket::Versioning;
use world::entropy::{Entropy, Seeded};

/// A body: a number, repeated. No two writes have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The number.
    pub number: u32,
    /// Bytes.
    pub length: u32,
}

impl Stamp {
    /// The body.
    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = self.word().repeat(self.length.div_ceil(4) as usize);
        bytes.truncate(self.length as usize);
        bytes
    }

    /// Whether these bytes are the body.
    pub fn is(self, bytes: &[u8]) -> bool {
        let word = self.word();
        let (words, rest) = bytes.as_chunks::<4>();
        let whole = words.iter().all(|found| *found == word) && word.starts_with(rest);
        bytes.len() == self.length as usize && whole
    }

    fn word(self) -> [u8; 4] {
        self.number.wrapping_mul(0x9e37_79b1).to_le_bytes()
    }
}

/// A tag, as it is kept: longer than a sector, so that it is torn as well.
pub fn tag_text(tag: u8) -> String {
    format!("{tag}.").repeat(200)
}

/// A version that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    /// As a user means it.
    Plain,
    /// The null version.
    Null,
    /// The one at this place of those that there are, from the newest on.
    Nth(usize),
}

/// One change that is asked for. Buckets and keys by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A bucket is made.
    Create { bucket: u8, versioning: Versioning },
    /// A bucket goes.
    Remove { bucket: u8 },
    /// A bucket keeps versions, or does no more.
    Versions { bucket: u8, versioning: Versioning },
    /// Something is written; maybe only where nothing is.
    Put { bucket: u8, key: u8, body: Stamp, anew: bool },
    /// Something is deleted.
    Delete { bucket: u8, key: u8, meant: Meant },
    /// Something gets a tag.
    Tag { bucket: u8, key: u8, meant: Meant, tag: u8 },
    /// An upload begins.
    Begin { bucket: u8, key: u8 },
    /// A part comes for the newest upload of a key.
    Part { bucket: u8, key: u8, number: u16, body: Stamp },
    /// The newest upload of a key is finished with all its parts.
    Complete { bucket: u8, key: u8 },
    /// The newest upload of a key is given up.
    Abort { bucket: u8, key: u8 },
}

/// What is done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These changes, in one batch.
    Batch(Vec<Act>),
    /// What is to be done beside changes, so many times.
    Tick(u32),
    /// The index is written down.
    Close,
}

/// Draws steps.
#[derive(Clone, Debug)]
pub struct Drawing {
    entropy: Seeded,
    stamp: u32,
    /// The most changes in a batch.
    batch: u64,
}

impl Drawing {
    /// From a seed.
    pub fn new(entropy: Seeded, batch: u64) -> Self {
        Self { entropy, stamp: 0, batch }
    }

    /// The next step.
    pub fn step(&mut self) -> Step {
        match self.entropy.below(10) {
            0 => Step::Tick(1 + self.entropy.below(4) as u32),
            1 if self.entropy.below(2) == 0 => Step::Close,
            _ => {
                let count = 1 + self.entropy.below(self.batch);
                Step::Batch((0..count).map(|_| self.act()).collect())
            }
        }
    }

    fn stamp(&mut self) -> Stamp {
        self.stamp += 1;
        let length = match self.entropy.below(8) {
            0 => 0,
            1..=4 => 1 + self.entropy.below(40),
            5 | 6 => 300 + self.entropy.below(3000),
            _ => 65_537 + self.entropy.below(9000),
        };
        Stamp { number: self.stamp, length: length as u32 }
    }

    fn meant(&mut self) -> Meant {
        match self.entropy.below(4) {
            0 | 1 => Meant::Plain,
            2 => Meant::Null,
            _ => Meant::Nth(self.entropy.below(3) as usize),
        }
    }

    fn versioning(&mut self) -> Versioning {
        [Versioning::Off, Versioning::On, Versioning::Suspended][self.entropy.below(3) as usize]
    }

    /// The next act.
    pub fn act(&mut self) -> Act {
        let (bucket, key) = (self.entropy.below(2) as u8, self.entropy.below(3) as u8);
        match self.entropy.below(24) {
            0 => Act::Create { bucket, versioning: self.versioning() },
            1 => Act::Remove { bucket },
            2 => Act::Versions { bucket, versioning: self.versioning() },
            3..=10 => {
                let anew = self.entropy.below(4) == 0;
                Act::Put { bucket, key, body: self.stamp(), anew }
            }
            11..=15 => Act::Delete { bucket, key, meant: self.meant() },
            16 | 17 => {
                let tag = self.entropy.below(250) as u8;
                Act::Tag { bucket, key, meant: self.meant(), tag }
            }
            18 | 19 => Act::Begin { bucket, key },
            20 | 21 => {
                let number = 1 + self.entropy.below(3) as u16;
                Act::Part { bucket, key, number, body: self.stamp() }
            }
            22 => Act::Complete { bucket, key },
            _ => Act::Abort { bucket, key },
        }
    }
}
