//! Where small content lies, and what is told of it: for many more objects than whole
//! replies could be kept of. What heads have in common is kept once; what is left of each
//! takes less than a hundred bytes. Each core has its own.
//!
//! A table of sets, eight places each: the eight hashes of a set fill one line of the
//! processor's cache, so a reply is found with two or three lines of memory. Names are not
//! kept but 128 bits of a hash of them, under two keys that nobody knows.

use std::hash::{BuildHasher as _, RandomState};

use crate::step::{Proof, Stored};

/// Places of a set.
const WAYS: usize = 8;
/// Words of a place beside its hash.
const WORDS: usize = 10;
/// Bytes of a set.
const SET: usize = WAYS * 8 * (WORDS + 1);
/// Heads that have something of their own. More of them take each other's place.
const HEADS: usize = 64;

/// The places of one core.
#[derive(Debug)]
pub struct Places {
    /// The first half of each hash; 0: nothing is there.
    hashes: Vec<u64>,
    /// The rest. Words, so that what nobody has written takes no memory.
    slots: Vec<[u64; WORDS]>,
    sets: u64,
    hashing: [RandomState; 2],
    heads: Vec<Head>,
    /// Which head, and which place of a full set, is looked at next.
    hand: usize,
    turn: usize,
}

/// What many replies begin with.
#[derive(Debug)]
struct Head {
    bytes: Box<[u8]>,
    /// How many were here before: what points at another one is of no use.
    generation: u32,
    /// Since the hand came by.
    used: bool,
}

/// A place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(usize);

fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn halves(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

fn pack(other: u64, proof: &Proof, stored: &Stored, head: (u32, u32)) -> [u64; WORDS] {
    let md5 = u128::from_le_bytes(stored.md5);
    [
        other,
        proof.stamp,
        proof.bucket_stamp,
        pair(proof.place, stored.length),
        pair(stored.segment, stored.sum),
        stored.offset,
        md5 as u64,
        (md5 >> 64) as u64,
        stored.modified.cast_unsigned(),
        pair(head.0, head.1),
    ]
}

impl Places {
    /// Empty ones, in so many bytes.
    pub fn new(bytes: usize) -> Self {
        let sets = bytes / SET;
        Self {
            hashes: vec![0; sets * WAYS],
            slots: vec![[0; WORDS]; sets * WAYS],
            sets: sets as u64,
            hashing: [RandomState::new(), RandomState::new()],
            heads: Vec::new(),
            hand: 0,
            turn: 0,
        }
    }

    fn hash(&self, name: &[u8]) -> (u64, u64) {
        // 0 says that nothing is there.
        (self.hashing[0].hash_one(name).max(1), self.hashing[1].hash_one(name))
    }

    /// The first place of a hash's set.
    fn set(&self, hash: u64) -> usize {
        ((u128::from(hash) * u128::from(self.sets)) >> 64) as usize * WAYS
    }

    fn of(&self, (hash, other): (u64, u64)) -> Option<usize> {
        let first = self.set(hash);
        let set = self.hashes.get(first..first + WAYS)?;
        let same = |at: &usize| set[*at] == hash && self.slots[first + at][0] == other;
        (0..WAYS).find(same).map(|at| first + at)
    }

    /// Finds what is known under a name.
    pub fn find(&mut self, name: &[u8]) -> Option<Place> {
        let at = self.of(self.hash(name))?;
        let (head, generation) = halves(self.slots[at][9]);
        let head = self.heads.get_mut(head as usize)?;
        head.used = true;
        (head.generation == generation).then_some(Place(at))
    }

    /// Why it is true.
    pub fn proof(&self, Place(at): Place) -> Proof {
        let slot = &self.slots[at];
        Proof { place: halves(slot[3]).0, stamp: slot[1], bucket_stamp: slot[2] }
    }

    /// What the reply begins with, and what is behind that.
    pub fn at(&self, Place(at): Place) -> (&[u8], Stored) {
        let slot = &self.slots[at];
        let (segment, sum) = halves(slot[4]);
        let stored = Stored {
            segment,
            sum,
            length: halves(slot[3]).1,
            offset: slot[5],
            md5: (u128::from(slot[6]) | u128::from(slot[7]) << 64).to_le_bytes(),
            modified: slot[8].cast_signed(),
        };
        (&self.heads[halves(slot[9]).0 as usize].bytes, stored)
    }

    /// Forgets what could not be used.
    pub fn forget(&mut self, Place(at): Place) {
        self.hashes[at] = 0;
    }

    /// Remembers something under a name, in place of what was known under it.
    pub fn insert(&mut self, name: &[u8], proof: &Proof, stored: &Stored, head: &[u8]) {
        if self.sets == 0 {
            return;
        }
        let hash = self.hash(name);
        let at = self.of(hash).unwrap_or_else(|| self.free(hash.0));
        let head = self.head(head);
        self.hashes[at] = hash.0;
        self.slots[at] = pack(hash.1, proof, stored, head);
    }

    /// A place of a hash's set: an empty one, or one that is given up.
    fn free(&mut self, hash: u64) -> usize {
        let first = self.set(hash);
        let empty = self.hashes[first..first + WAYS].iter().position(|hash| *hash == 0);
        first
            + empty.unwrap_or_else(|| {
                self.turn = (self.turn + 1) % WAYS;
                self.turn
            })
    }

    /// The number of a head, and its generation.
    fn head(&mut self, bytes: &[u8]) -> (u32, u32) {
        if let Some(at) = self.heads.iter().position(|head| *head.bytes == *bytes) {
            return (at as u32, self.heads[at].generation);
        }
        if self.heads.len() < HEADS {
            self.heads.push(Head { bytes: bytes.into(), generation: 0, used: false });
            return (self.heads.len() as u32 - 1, 0);
        }
        while std::mem::take(&mut self.heads[self.hand].used) {
            self.hand = (self.hand + 1) % HEADS;
        }
        let at = self.hand;
        self.hand = (self.hand + 1) % HEADS;
        let head = &mut self.heads[at];
        head.bytes = bytes.into();
        // A generation that comes again would find the wrong head: nothing old is left then.
        match head.generation.checked_add(1) {
            Some(next) => head.generation = next,
            None => {
                head.generation = 0;
                self.hashes.fill(0);
            }
        }
        (at as u32, self.heads[at].generation)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn thing(number: u32) -> (Proof, Stored) {
        let long = u64::from(number) << 33 | 7;
        let proof = Proof { place: number, stamp: long, bucket_stamp: !long };
        let stored = Stored {
            segment: !number,
            length: number ^ 5,
            offset: long ^ 9,
            sum: number.wrapping_mul(77),
            md5: u128::from(number).wrapping_mul(u128::MAX / 3).to_le_bytes(),
            modified: -i64::from(number),
        };
        (proof, stored)
    }

    fn seen(places: &mut Places, name: &[u8]) -> Option<(Proof, Stored, Vec<u8>)> {
        let place = places.find(name)?;
        let (head, stored) = places.at(place);
        Some((places.proof(place), stored, head.to_vec()))
    }

    #[test]
    fn what_is_remembered_is_what_was_said() {
        let mut places = Places::new(1 << 20);
        for number in 0..500_u32 {
            let (proof, stored) = thing(number);
            places.insert(&number.to_be_bytes(), &proof, &stored, &[(number % 3) as u8]);
        }
        for number in 0..500_u32 {
            let (proof, stored) = thing(number);
            let found = seen(&mut places, &number.to_be_bytes());
            assert_eq!(found, Some((proof, stored, vec![(number % 3) as u8])));
        }
        let place = places.find(&7_u32.to_be_bytes()).expect("it is there");
        places.forget(place);
        assert_eq!(places.find(&7_u32.to_be_bytes()), None);
        assert_eq!(places.heads.len(), 3);
    }

    #[test]
    fn heads_of_their_own_do_not_drive_out_a_common_one() {
        // So large that no set of places is ever full: heads are what is short.
        let mut places = Places::new(32 << 20);
        let (proof, stored) = thing(1);
        places.insert(b"common", &proof, &stored, b"common");
        for number in 0..10_000_u32 {
            let name = number.to_be_bytes();
            places.insert(&name, &proof, &stored, &name);
            assert!(places.find(b"common").is_some());
        }
        // One whose head is gone is not found, and never with another's head.
        let there = (0..10_000_u32).filter(|number| {
            let found = seen(&mut places, &number.to_be_bytes());
            assert!(found.as_ref().is_none_or(|found| found.2 == number.to_be_bytes()));
            found.is_some()
        });
        assert!(there.count() < HEADS);
    }

    #[test]
    fn without_room_nothing_is_remembered() {
        let mut places = Places::new(SET - 1);
        let (proof, stored) = thing(1);
        places.insert(b"a", &proof, &stored, b"");
        assert_eq!(places.find(b"a"), None);
    }

    proptest! {
        #[test]
        fn nothing_is_found_that_was_not_said(
            said in proptest::collection::vec((0_u32..200, 0_u32..1000, any::<bool>()), 0..600)
        ) {
            // Three sets: they are full soon.
            let mut places = Places::new(3 * SET);
            let mut model = HashMap::new();
            for (name, number, forget) in said {
                let name = name.to_be_bytes();
                if forget {
                    if let Some(place) = places.find(&name) {
                        places.forget(place);
                    }
                    model.remove(&name);
                } else {
                    let (proof, stored) = thing(number);
                    places.insert(&name, &proof, &stored, &[(number % 5) as u8]);
                    model.insert(name, number);
                    prop_assert!(places.find(&name).is_some());
                }
            }
            for name in 0..200_u32 {
                let name = name.to_be_bytes();
                if let Some((proof, stored, head)) = seen(&mut places, &name) {
                    let number = model.get(&name).copied();
                    let wanted = number.map(|number| (thing(number), vec![(number % 5) as u8]));
                    prop_assert_eq!(Some(((proof, stored), head)), wanted);
                }
            }
        }
    }
}
