//! Bytes on the medium that change by themselves: what is read of such an object is an
//! error, and all others are as they were.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, ensure};

use super::body::Stamp;
use super::client::Request;
use super::load::Chance;
use super::service::Service;
use super::site::{Guest, Key, Site};

/// Objects that are damaged.
const DAMAGED: usize = 24;
/// The shortest of them.
const SHORTEST: usize = 100;

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Damage {
    /// Objects of which a byte was changed.
    pub injected: u64,
    /// Of those, answered with an error.
    pub found: u64,
    /// Of those, handed out, whatever they had.
    pub returned: u64,
    /// Others that were not as before.
    pub others: u64,
}

/// Damages objects while the gateway rests, and reads everything.
pub fn corrupt(service: &mut Service, site: &Site, seed: u64) -> Result<Damage> {
    let mut chance = Chance(seed.wrapping_mul(0x5851_f42d_4c95_7f2d) | 1);
    let mut guest = Guest::new(site);
    let mut there: Vec<(Arc<Key>, Stamp)> = Vec::new();
    for key in &site.keys {
        // Copies share what they say they are.
        let own = guest.get(key).filter(|(number, stamp)| *number == stamp.number);
        let long = own.filter(|(_, stamp)| stamp.length >= SHORTEST);
        there.extend(long.map(|(_, stamp)| (key.clone(), stamp)));
    }
    ensure!(there.len() > DAMAGED, "only {} objects could be damaged", there.len());
    service.end()?;
    let damaged: Vec<(Arc<Key>, Stamp)> =
        (0..DAMAGED).map(|_| there.swap_remove(chance.below(there.len()))).collect();
    let flipped = flip(&service.data, &damaged, &mut chance)?;
    ensure!(flipped == DAMAGED, "only {flipped} of {DAMAGED} bodies were found on the medium");
    service.again()?;
    let mut guest = Guest::new(site);
    let mut damage = Damage { injected: DAMAGED as u64, ..Damage::default() };
    for (key, _) in &damaged {
        match status(site, key) {
            Some(200) => damage.returned += 1,
            _ => damage.found += 1,
        }
    }
    for (key, stamp) in &there {
        damage.others += u64::from(guest.get(key).is_none_or(|(_, found)| found != *stamp));
    }
    // What is damaged can be written anew.
    for (key, _) in &damaged {
        guest.put(key, 5000);
        damage.others += u64::from(guest.get(key).is_none());
    }
    Ok(damage)
}

/// How an object is answered with a connection of its own. None: it ends amid it.
fn status(site: &Site, key: &Key) -> Option<u16> {
    let mut client = super::client::Client::new(site.account.clone());
    let (bucket, name) = (key.bucket, key.name.as_str());
    let wish = Request { method: "GET", bucket, key: name, ..Request::default() };
    client.ask(&wish).ok().map(|answer| answer.status)
}

/// Turns a bit of each of these bodies over, wherever it lies. How many of them were found.
fn flip(data: &Path, bodies: &[(Arc<Key>, Stamp)], chance: &mut Chance) -> Result<usize> {
    let marks: HashMap<[u8; 8], (Stamp, usize)> = bodies
        .iter()
        .map(|(_, stamp)| (stamp.mark(), (*stamp, chance.below(stamp.length))))
        .collect();
    // Most places are none, which their first two bytes say already.
    let mut begins = vec![false; 1 << 16];
    for mark in marks.keys() {
        begins[usize::from(u16::from_le_bytes([mark[0], mark[1]]))] = true;
    }
    let mut found = HashSet::new();
    for path in segments(data)? {
        let bytes = fs::read(&path)?;
        // In the log, a body lies anywhere behind its head; else where a page begins.
        let step = if path.extension().is_some_and(|ending| ending == "log") { 1 } else { 4096 };
        for at in (0..bytes.len().saturating_sub(8)).step_by(step) {
            if !begins[usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))] {
                continue;
            }
            let mark: [u8; 8] = bytes[at..at + 8].try_into().expect("there are eight");
            let Some((stamp, place)) = marks.get(&mark) else { continue };
            let Some(byte) = bytes.get(at + place) else { continue };
            let file = fs::OpenOptions::new().write(true).open(&path)?;
            file.write_all_at(&[byte ^ 1 << chance.below(8)], (at + place) as u64)?;
            found.insert(stamp.number);
        }
    }
    Ok(found.len())
}

/// The files of segments, wherever they lie below.
fn segments(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(segments(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "log" || ending == "data") {
            found.push(path);
        }
    }
    Ok(found)
}
