//! Keys of simulated volumes: made of their ids, wrapped and unwrapped as real ones.

use uuid::Uuid;
use volume::directory::Directory;
use volume::seal::VolumeKey;
use volume::seal::keys::{Cipher, KeyRing, NONCE, Owner, WrappedKey, WrappingKey};

/// The first key of a volume, open and wrapped. What is in an order has none of its own
/// volume when it needs none.
pub fn new(volume: Uuid) -> (VolumeKey, WrappedKey) {
    let (high, low) = volume.as_u64_pair();
    let part = |at: u64| (high ^ low.rotate_left(at as u32) ^ at << 56).to_le_bytes();
    let secret: Vec<u8> = (0..8).flat_map(part).collect();
    let secret = secret.try_into().expect("eight parts of eight bytes");
    let key = VolumeKey::new(secret).expect("its halves differ");
    let mut nonce = [0; NONCE];
    nonce[..8].copy_from_slice(&high.to_le_bytes());
    let sealed = key.wrap(&wrapping(), Owner { volume, epoch: 1 }, nonce);
    (key, sealed)
}

/// All keys of a pool. `Err`: one of them does not open.
pub fn of(directory: &Directory) -> Result<KeyRing, String> {
    let mut ring = KeyRing::new();
    for (origin, entry) in &directory.origins {
        let Some(sealed) = &entry.key else {
            ring.insert(*origin, Cipher::Plain);
            continue;
        };
        let volume = directory.entries.get(&entry.volume).ok_or("a key of no volume")?.id;
        let owner = Owner { volume, epoch: entry.key_epoch };
        let key = VolumeKey::unwrap(sealed, &wrapping(), owner).map_err(|error| error.to_string());
        ring.insert(*origin, Cipher::from(&key?));
    }
    Ok(ring)
}

fn wrapping() -> WrappingKey {
    WrappingKey::new("made up", [1; 32])
}
