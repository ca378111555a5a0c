//! What AES-256-XTS alone reaches on one core: the bound that a path with encryption
//! can be held against.

#![allow(unsafe_code, reason = "the cipher works on guests' memory and takes addresses")]

use std::hint::black_box;
use std::io;

use serde_json::{Value, json};
use volume::seal::XtsKey;

use super::queue::BLOCK;
use super::ticks::{self, Scale};

/// Blocks that it goes over near at hand: more than the nearest cache, as the data of a
/// queue is.
const QUEUE: usize = 64;
/// Blocks of a memory like that of a volume: 1 GiB, more than any cache.
const MEMORY: usize = 262_144;

/// Encrypts and decrypts in turns for so long, first between memory that stays in the
/// cache, then between a queue's blocks and random ones of a large memory, as a volume's
/// data moves. Blocks a second of both, each counted once.
pub fn alone(nanos: u64) -> io::Result<Value> {
    let key = key()?;
    let near = rate(&key, nanos, QUEUE);
    let far = rate(&key, nanos, MEMORY);
    let kernel = kernel()?;
    Ok(json!({ "name": "cipher", "blocks": near, "blocks_in_memory": far, "kernel": kernel }))
}

fn key() -> io::Result<XtsKey> {
    let secret: [u8; 64] = std::array::from_fn(|place| place as u8);
    XtsKey::new(&secret).map_err(io::Error::other)
}

/// Which of the ways to encrypt this processor has, or whoever plays it.
pub fn kernel() -> io::Result<String> {
    Ok(format!("{:?}", key()?.kernel()))
}

/// Blocks a second between a queue's blocks and random ones of so many.
fn rate(key: &XtsKey, nanos: u64, blocks: usize) -> f64 {
    let mut queue: Vec<u8> = (0..QUEUE * BLOCK).map(|place| (place * 7) as u8).collect();
    // Written once, so that all of it is there.
    let mut memory = vec![1_u8; blocks * BLOCK];
    let mut scale = Scale::begin();
    let began = ticks::now();
    let end = began + scale.ticks(nanos);
    let (mut count, mut random) = (0_u64, 1_u64);
    while ticks::now() < end {
        for block in 0..QUEUE {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let place = (random >> 33) as usize % blocks;
            let near = &mut queue[block * BLOCK..][..BLOCK];
            let far = &mut memory[place * BLOCK..][..BLOCK];
            if block % 2 == 0 {
                // SAFETY: both are a block long.
                unsafe { key.encrypt_block(count, near.as_ptr(), far.as_mut_ptr()) };
            } else {
                // SAFETY: as above.
                unsafe { key.decrypt_block(count, far.as_ptr(), near.as_mut_ptr()) };
            }
            black_box((&near[0], &far[0]));
            count += 1;
        }
    }
    let ticks = ticks::now() - began;
    scale.refine();
    let seconds = scale.nanos(ticks) as f64 / 1e9;
    (count as f64 / seconds).round()
}
