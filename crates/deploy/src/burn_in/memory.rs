//! Memory: most of what is free is filled with a pattern that depends on the
//! place, read again, and filled with its complement: finds stuck bits and
//! address lines that are tied together. Not a memory tester of hours, but what
//! a broken module usually does not survive.

use super::Until;
use crate::settings::Roots;

/// Bytes allocated at once, so that a failure to get more does no harm.
const PIECE: usize = 16 << 20;
/// What is left to the kernel and the rest of the agent.
const RESERVE: u64 = 192 << 20;
/// Share of what is free, in percent, that is worked on.
const SHARE: u64 = 75;

/// Works through memory until the time is over; at least one whole pass over what it got.
pub fn test(roots: &Roots, until: &Until) -> Result<String, String> {
    let text = std::fs::read_to_string(roots.proc("meminfo")).unwrap_or_default();
    let free = available(&text).ok_or("the kernel does not say how much memory is free")?;
    let wanted = (free.saturating_sub(RESERVE) / 100 * SHARE) as usize;
    let mut pieces: Vec<Vec<u64>> = Vec::new();
    for _ in 0..(wanted / PIECE).max(1) {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(PIECE / 8).is_err() || (!until.goes_on() && !pieces.is_empty()) {
            break;
        }
        piece.resize(PIECE / 8, 0);
        pieces.push(piece);
    }
    let mut passed = 0u64;
    for round in 0u64.. {
        for (number, piece) in pieces.iter_mut().enumerate() {
            let salt = ((number as u64) << 40) | round;
            check(piece, salt)?;
            passed += PIECE as u64;
            if !until.goes_on() {
                let (mib, rate) =
                    ((pieces.len() * PIECE) >> 20, passed as f64 / until.seconds() / 1e6);
                return Ok(format!("{mib} MiB, {rate:.0} MB checked a second"));
            }
        }
        if pieces.is_empty() {
            break;
        }
    }
    Err("there is no memory to test".to_owned())
}

fn check(piece: &mut [u64], salt: u64) -> Result<(), String> {
    for flip in [0, u64::MAX] {
        let pattern = |place: usize| {
            (place as u64 ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ flip
        };
        for (place, word) in piece.iter_mut().enumerate() {
            *word = pattern(place);
        }
        // Otherwise the compiler may know what it just wrote.
        let piece = std::hint::black_box(&*piece);
        for (place, word) in piece.iter().enumerate() {
            if *word != pattern(place) {
                return Err(format!(
                    "a word read as {word:016x} after {:016x} was written",
                    pattern(place)
                ));
            }
        }
    }
    Ok(())
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read() {
        let text = "MemTotal:  100 kB\nMemAvailable:    12 kB\n";
        assert_eq!(available(text), Some(12 << 10));
        assert_eq!(available("MemAvailable: many\n"), None);
    }

    #[test]
    fn good_memory_passes() {
        check(&mut vec![0; 4096], 7).unwrap();
    }
}
