//! Clients that do this and that, all at once, on the same few keys.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use super::body::Stamp;
use super::client::Request;
use super::site::{Guest, KEPT, Key, PLAIN, RACES, SOURCES, Site};

/// Objects that can be copied.
const COPIED: usize = 8;
/// So many tries to make the same object.
const RUNNERS: u64 = 4;
/// Objects that were made once and are looked at again.
const RACED: usize = 2000;

/// Chance, from a seed.
#[derive(Clone, Copy, Debug)]
pub struct Chance(pub u64);

impl Chance {
    /// A number below another.
    pub fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % most.max(1)
    }

    /// The length of a body: around all limits within the store, mostly short.
    fn length(&mut self) -> usize {
        match self.below(20) {
            0 => 0,
            1..=12 => 1 + self.below(4000),
            13..=16 => 60_000 + self.below(12_000),
            17 | 18 => 128 * 1024 + self.below(10_000),
            _ => 300_000 + self.below(1_000_000),
        }
    }
}

/// Makes the buckets, and what is copied. None: it cannot be.
pub fn prepare(site: &Site) -> Option<()> {
    let mut guest = Guest::new(site);
    for bucket in [PLAIN, KEPT, RACES, SOURCES] {
        let wish = Request { method: "PUT", bucket, ..Request::default() };
        guest.ask(&wish).filter(|answer| answer.good())?;
    }
    let body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let query = vec![("versioning", String::new())];
    let wish = Request { method: "PUT", bucket: KEPT, query, body, ..Request::default() };
    guest.ask(&wish).filter(|answer| answer.good())?;
    for number in 0..COPIED {
        let stamp = Stamp { number: site.number(), length: [100, 70_000, 400_000][number % 3] };
        let (name, body) = (format!("s{number}"), stamp.bytes());
        let body = body.as_slice();
        let wish =
            Request { method: "PUT", bucket: SOURCES, key: &name, body, ..Request::default() };
        guest.ask(&wish).filter(|answer| answer.good())?;
        site.sources.lock().unwrap_or_else(PoisonError::into_inner).push((name, stamp));
    }
    Some(())
}

/// What one client does until it is over.
pub fn run(site: &Site, seed: u64) {
    let mut guest = Guest::new(site);
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let plain = site.keys.iter().filter(|key| key.bucket == PLAIN).count();
    while !site.over.load(Ordering::Acquire) {
        if site.paused.load(Ordering::Acquire) || site.down.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        let key = site.keys[chance.below(plain)].clone();
        let kept = site.keys[plain + chance.below(site.keys.len() - plain)].clone();
        match chance.below(100) {
            0..=34 => guest.put(&key, chance.length()),
            35..=44 => guest.delete(&key),
            45..=49 => {
                let sources = site.sources.lock().unwrap_or_else(PoisonError::into_inner);
                let source = sources[chance.below(sources.len())].clone();
                drop(sources);
                guest.copy(&key, &source);
            }
            50..=52 => {
                // Long ones are rare: the others wait for the medium meanwhile.
                let parts = 1 + usize::from(chance.below(8) == 0);
                let last = 1 + chance.below(100_000);
                guest.parts(&key, parts, last);
            }
            53..=57 => guest.create(&race(site), 1 + chance.below(3000)),
            58..=59 => guest.list(PLAIN, 7 + chance.below(100)),
            60..=71 => guest.put(&kept, chance.length() / 4),
            72..=74 => guest.delete(&kept),
            75..=78 => guest.delete_version(&kept, chance.below(8)),
            79..=83 => guest.some_version(&kept, chance.below(1 << 20)),
            84..=88 => drop(guest.get(&kept)),
            _ => drop(guest.get(&key)),
        }
    }
}

/// What several clients try to make now.
fn race(site: &Site) -> Arc<Key> {
    let mut races = site.races.lock().unwrap_or_else(PoisonError::into_inner);
    let number = site.number() / RUNNERS;
    let name = format!("r{number:08}");
    if let Some(last) = races.iter().rev().take(4).find(|key| key.name == name) {
        return last.clone();
    }
    if races.len() >= RACED {
        races.drain(..RACED / 4);
    }
    let key = Key::new(RACES, name);
    races.push(key.clone());
    key
}
