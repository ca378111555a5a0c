//! Replies that are kept: small hot ones, whole, as they go to the socket. Each core has
//! its own. What stays is chosen by S3-FIFO (Yang and others, SOSP 2023): a small queue
//! that most things only pass through, a main queue for what was asked for again, and a
//! memory of names that were thrown out lately.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use bytes::Bytes;

use crate::step::Proof;

/// A reply as it is kept.
#[derive(Debug)]
pub struct Kept {
    /// Its name.
    pub name: Arc<[u8]>,
    /// Why it is true.
    pub proof: Proof,
    /// Its status.
    pub status: u16,
    /// Status line, fields and length.
    pub head: Box<[u8]>,
    /// The content.
    pub body: Bytes,
    frequency: u8,
    main: bool,
}

/// What one entry costs beside its bytes: maps, queues, the allocator.
const BESIDE: usize = 256;
/// The small queue's share of all bytes, as a divisor.
const SMALL: usize = 10;
/// Names that were asked for lately, at least.
const KNOCKS: usize = 4096;

impl Kept {
    /// A reply to be kept.
    pub fn new(name: &[u8], proof: Proof, status: u16, head: &[u8], body: &[u8]) -> Self {
        let (name, head, body) = (name.into(), head.into(), Bytes::copy_from_slice(body));
        Self { name, proof, status, head, body, frequency: 0, main: false }
    }
    fn cost(&self) -> usize {
        self.head.len() + self.body.len() + self.name.len() + BESIDE
    }
}

/// The replies of one core.
#[derive(Debug)]
pub struct Cache {
    most: usize,
    entries: Vec<Option<Kept>>,
    free: Vec<usize>,
    by_name: HashMap<Arc<[u8]>, usize>,
    small: Queue,
    main: Queue,
    ghosts: VecDeque<u64>,
    ghostly: HashSet<u64>,
    hashing: RandomState,
    /// Who was asked for while there was no room: a few bits of each name, by others.
    knocks: Box<[u32]>,
}

#[derive(Debug, Default)]
struct Queue {
    order: VecDeque<usize>,
    bytes: usize,
}

impl Cache {
    /// An empty one for so many bytes; 0 keeps nothing.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            entries: Vec::new(),
            free: Vec::new(),
            by_name: HashMap::new(),
            small: Queue::default(),
            main: Queue::default(),
            ghosts: VecDeque::new(),
            ghostly: HashSet::new(),
            hashing: RandomState::new(),
            knocks: vec![0; KNOCKS].into_boxed_slice(),
        }
    }

    /// Finds a reply and counts that it was asked for.
    pub fn find(&mut self, name: &[u8]) -> Option<usize> {
        let place = *self.by_name.get(name)?;
        let entry = self.entries[place].as_mut().expect("what has a name is there");
        entry.frequency = (entry.frequency + 1).min(3);
        Some(place)
    }

    /// The reply at a place that [`Cache::find`] gave, nothing else done in between.
    pub fn at(&self, place: usize) -> &Kept {
        self.entries[place].as_ref().expect("it was found")
    }

    /// Whether something so large would be kept at all.
    pub fn takes(&self, bytes: usize) -> bool {
        bytes + BESIDE <= self.most / 4
    }

    /// Whether a reply so large is worth its place. While there is room, every one is; then,
    /// those that are asked for again soon. Else a walk through more objects than there is
    /// room for would copy each of them, and throw out another, for nothing.
    pub fn welcomes(&mut self, name: &[u8], bytes: usize) -> bool {
        if !self.takes(bytes) {
            return false;
        }
        if self.small.bytes + self.main.bytes + bytes + BESIDE <= self.most
            || self.by_name.contains_key(name)
        {
            return true;
        }
        let hash = self.hashing.hash_one(name);
        let (place, bits) = (hash as usize % KNOCKS, (hash >> 32) as u32 | 1);
        std::mem::replace(&mut self.knocks[place], bits) == bits
    }

    /// Keeps a reply, in place of the one with its name.
    pub fn insert(&mut self, mut kept: Kept) {
        if !self.takes(kept.head.len() + kept.body.len()) {
            return;
        }
        if let Some(place) = self.by_name.get(&kept.name) {
            // What changed takes its predecessor's place in its queue.
            let old = self.entries[*place].as_mut().expect("what has a name is there");
            let queue = if old.main { &mut self.main } else { &mut self.small };
            kept.main = old.main;
            kept.frequency = old.frequency;
            kept.name = old.name.clone();
            queue.bytes = queue.bytes - old.cost() + kept.cost();
            *old = kept;
        } else {
            let hash = self.hashing.hash_one(&kept.name);
            kept.main = self.ghostly.remove(&hash);
            self.place(kept);
        }
        while self.small.bytes + self.main.bytes > self.most {
            self.evict();
        }
    }

    fn place(&mut self, kept: Kept) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        let queue = if kept.main { &mut self.main } else { &mut self.small };
        queue.bytes += kept.cost();
        queue.order.push_back(place);
        self.by_name.insert(kept.name.clone(), place);
        self.entries[place] = Some(kept);
    }

    fn evict(&mut self) {
        if self.small.bytes * SMALL >= self.most || self.main.order.is_empty() {
            self.evict_small();
        } else {
            self.evict_main();
        }
    }

    /// The oldest of the small queue: into the main one when it was asked for again.
    fn evict_small(&mut self) {
        let place = self.small.order.pop_front().expect("something is too much");
        let entry = self.entries[place].as_mut().expect("queues name what is there");
        let cost = entry.cost();
        self.small.bytes -= cost;
        if entry.frequency > 1 {
            entry.frequency = 0;
            entry.main = true;
            self.main.bytes += cost;
            self.main.order.push_back(place);
            return;
        }
        let hash = self.hashing.hash_one(&entry.name);
        self.remove(place);
        self.ghosts.push_back(hash);
        self.ghostly.insert(hash);
        self.forget_ghosts();
    }

    /// As many names as entries are remembered.
    fn forget_ghosts(&mut self) {
        while self.ghosts.len() > self.by_name.len().max(16) {
            let oldest = self.ghosts.pop_front().expect("there are some");
            self.ghostly.remove(&oldest);
        }
    }

    /// The oldest of the main queue that was not asked for since its last turn.
    fn evict_main(&mut self) {
        let place = self.main.order.pop_front().expect("something is too much");
        let entry = self.entries[place].as_mut().expect("queues name what is there");
        if entry.frequency > 0 {
            entry.frequency -= 1;
            self.main.order.push_back(place);
            return;
        }
        self.main.bytes -= entry.cost();
        self.remove(place);
        self.forget_ghosts();
    }

    fn remove(&mut self, place: usize) {
        let entry = self.entries[place].take().expect("it is there");
        self.by_name.remove(&entry.name);
        self.free.push(place);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(name: u32, bytes: usize) -> Kept {
        let proof = Proof { place: 1, stamp: 1, bucket_stamp: 1 };
        Kept::new(&name.to_be_bytes(), proof, 200, b"head", &vec![0; bytes])
    }

    fn has(cache: &mut Cache, name: u32) -> bool {
        cache.find(&name.to_be_bytes()).is_some()
    }

    #[test]
    fn what_is_asked_for_again_outlives_what_only_passes() {
        let mut cache = Cache::new(100 * 1300);
        for name in 0..8 {
            cache.insert(kept(name, 1000));
            assert!(has(&mut cache, name) && has(&mut cache, name));
        }
        for name in 1000..3000 {
            cache.insert(kept(name, 1000));
        }
        assert!((0..8).all(|name| has(&mut cache, name)));
        assert!(!has(&mut cache, 1500));
    }

    #[test]
    fn without_room_only_what_is_asked_for_again_is_welcome() {
        let mut cache = Cache::new(10 * 1300);
        let name = |name: u32| name.to_be_bytes();
        let asked = (0..1000).filter(|number| {
            let welcome = cache.welcomes(&name(*number), 1000);
            if welcome {
                cache.insert(kept(*number, 1000));
            }
            welcome
        });
        assert!((8..20).contains(&asked.count()), "as many as there is room for");
        assert!(cache.welcomes(&name(0), 1000), "it is there already");
        assert!(!cache.welcomes(&name(5000), 1000) && cache.welcomes(&name(5000), 1000));
        assert!(!cache.welcomes(&name(5001), 1 << 20), "too large");
    }

    #[test]
    fn a_new_reply_takes_the_old_ones_place() {
        let mut cache = Cache::new(1 << 20);
        cache.insert(kept(1, 10));
        cache.insert(kept(1, 20));
        let place = cache.find(&1_u32.to_be_bytes()).expect("kept");
        assert_eq!(cache.at(place).body.len(), 20);
        assert_eq!(cache.by_name.len(), 1);
        cache.insert(kept(2, 1 << 20));
        assert!(!has(&mut cache, 2), "too large for what there is");
        assert!(!Cache::new(0).takes(0));
    }

    proptest! {
        #[test]
        fn its_bytes_are_counted_and_bounded(
            asks in proptest::collection::vec((0_u32..60, 0_usize..3000, any::<bool>()), 0..400)
        ) {
            let mut cache = Cache::new(40_000);
            for (name, bytes, look) in asks {
                if look {
                    has(&mut cache, name);
                } else {
                    cache.insert(kept(name, bytes));
                }
                let there: usize = cache.entries.iter().flatten().map(Kept::cost).sum();
                prop_assert_eq!(there, cache.small.bytes + cache.main.bytes);
                prop_assert!(there <= 40_000);
                let queued = cache.small.order.len() + cache.main.order.len();
                prop_assert_eq!(queued, cache.by_name.len());
                prop_assert!(cache.ghosts.len() <= cache.by_name.len().max(16));
            }
        }
    }
}
