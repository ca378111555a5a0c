//! Processors: every core computes the same chain of SHA-256 and integer work
//! again and again. A core whose answer differs is broken.

use sha2::{Digest as _, Sha256};

use super::Until;

/// Links of the chain that is computed between two looks at the clock.
const LINKS: u32 = 2_000;
/// Most threads; more cores than this are not in one machine yet.
const THREADS_MOST: usize = 1024;

/// All cores at once. The figure is links a second over all.
pub fn test(until: &Until) -> Result<String, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MOST);
    let expected = chain();
    let counts: Vec<Result<u64, String>> = std::thread::scope(|scope| {
        let cores: Vec<_> =
            (0..threads).map(|core| scope.spawn(move || one(core, expected, until))).collect();
        let died = || Err("a core's test died".to_owned());
        cores.into_iter().map(|core| core.join().unwrap_or_else(|_| died())).collect()
    });
    let mut links = 0;
    for count in counts {
        links += count?;
    }
    let rate = links as f64 / until.seconds() / 1e6;
    Ok(format!("{threads} threads, {rate:.2} million checked SHA-256 a second"))
}

fn one(core: usize, expected: [u8; 32], until: &Until) -> Result<u64, String> {
    let mut links = 0;
    // Once at least, however short the span.
    loop {
        if chain() != expected {
            return Err(format!("thread {core} computed another result after {links} links"));
        }
        links += u64::from(LINKS);
        if !until.goes_on() {
            return Ok(links);
        }
    }
}

/// Hashes and multiplications that depend on each other.
fn chain() -> [u8; 32] {
    let mut state = [0x5a; 32];
    let mut mixed = 0x9e37_79b9_7f4a_7c15u64;
    for link in 0..std::hint::black_box(LINKS) {
        state = Sha256::digest(state).into();
        let word = u64::from_le_bytes(*state.first_chunk().expect("32 bytes"));
        mixed = (mixed ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(link % 63 + 1);
        mixed = mixed.wrapping_add(word / (u64::from(link) + 3));
        state[..8].copy_from_slice(&mixed.to_le_bytes());
    }
    state
}
