//! What AES-256-XTS alone reaches on one core: the bound that a path with encryption
//! can be held against.

#![allow(unsafe_code, reason = "the cipher works on guests' memory and takes addresses")]

use std::hint::black_box;
use std::io;

use serde_json::{Value, json};
use volume::seal::XtsKey;

use super::queue::BLOCK;
use super::ticks::{self, Scale};

/// Blocks that it goes over: more than the nearest cache, as the data of a queue is.
const BLOCKS: usize = 64;

/// Encrypts and decrypts in turns for so long; blocks a second, each counted once.
pub fn alone(nanos: u64) -> io::Result<Value> {
    let secret: [u8; 64] = std::array::from_fn(|place| place as u8);
    let key = XtsKey::new(&secret).map_err(io::Error::other)?;
    let from: Vec<u8> = (0..BLOCKS * BLOCK).map(|place| (place * 7) as u8).collect();
    let mut to = vec![0_u8; BLOCKS * BLOCK];
    let mut scale = Scale::begin();
    let began = ticks::now();
    let end = began + scale.ticks(nanos);
    let mut count = 0_u64;
    while ticks::now() < end {
        for block in 0..BLOCKS {
            let (from, to) = (&from[block * BLOCK..][..BLOCK], &mut to[block * BLOCK..][..BLOCK]);
            // SAFETY: both are a block long.
            unsafe { key.encrypt_block(count, from.as_ptr(), to.as_mut_ptr()) };
            black_box(&to[0]);
            // SAFETY: as above.
            unsafe { key.decrypt_block(count, from.as_ptr(), to.as_mut_ptr()) };
            black_box(&to[0]);
            count += 2;
        }
    }
    let ticks = ticks::now() - began;
    scale.refine();
    let seconds = scale.nanos(ticks) as f64 / 1e9;
    let kernel = format!("{:?}", key.kernel());
    Ok(json!({ "name": "cipher", "blocks": (count as f64 / seconds).round(), "kernel": kernel }))
}
