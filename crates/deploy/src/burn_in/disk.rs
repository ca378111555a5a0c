//! Disks: random reads over the whole disk, past the page cache, with their
//! latency. A read that fails, or takes seconds, is a disk to look at.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::time::Duration;

use tokio::time::Instant;

use super::Until;
use crate::backoff::random;
use crate::disks::FoundDisk;
use crate::image::aligned::{Aligned, block_floor};
use crate::image::target::size_of_disk;

/// Bytes a read.
const PIECE: usize = 128 << 10;
/// A single read slower than this fails the disk.
const SLOWEST: Duration = Duration::from_secs(10);
/// Latencies that are kept: enough for a 99th percentile.
const KEPT: usize = 1 << 16;

/// Reads until the time is over, at least once.
pub fn test(disk: &FoundDisk, until: &Until) -> Result<String, String> {
    let open = |flags| OpenOptions::new().read(true).custom_flags(flags).open(&disk.node);
    let file = open(libc::O_DIRECT).or_else(|_| open(0)).map_err(|error| error.to_string())?;
    let size = size_of_disk(&file).map_err(|error| error.to_string())?;
    let room = size.checked_sub(PIECE as u64).ok_or("the disk is too small to be tested")?;
    let mut buffer = Aligned::zeroed(PIECE);
    let mut latencies: Vec<Duration> = Vec::new();
    let mut reads = 0u64;
    loop {
        let at = block_floor(random() % (room + 1));
        let begun = Instant::now();
        file.read_exact_at(&mut buffer, at).map_err(|error| format!("byte {at}: {error}"))?;
        let took = begun.elapsed();
        if took > SLOWEST {
            return Err(format!("a read at byte {at} took {:.1} s", took.as_secs_f64()));
        }
        let place = (reads % KEPT as u64) as usize;
        match latencies.get_mut(place) {
            Some(kept) => *kept = took,
            None => latencies.push(took),
        }
        reads += 1;
        if !until.goes_on() {
            break;
        }
    }
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    let rate = reads as f64 * PIECE as f64 / until.seconds() / 1e6;
    Ok(format!(
        "{reads} reads, {rate:.0} MB/s, half within {:.2} ms, 99 % within {:.2} ms",
        at(50),
        at(99)
    ))
}
