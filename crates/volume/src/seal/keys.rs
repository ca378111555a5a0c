//! Keys of volumes: made, wrapped for the directory, and found again by whose a block is.
//!
//! Each volume has a key of its own for each of its key epochs. It is kept wrapped by a
//! key of the key provider (AES-256-GCM, NIST SP 800-38D), bound to the volume and the
//! epoch: a wrapped key that was moved to another volume does not open. Without the
//! wrapped key nobody can read what was written under it, so deleting it erases a volume.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use model::secret::Sealed;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use thiserror::Error;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::crc;
use super::xts::{self, SameHalves, XtsKey};
use crate::units::{BLOCK, Lba, Origin};

/// Length of a nonce in bytes.
pub const NONCE: usize = NONCE_LEN;

/// A key as it is kept: of no use without the key provider.
pub type WrappedKey = Sealed;

/// A key of the key provider: it wraps keys of volumes. Wiped when dropped.
#[derive(ZeroizeOnDrop)]
pub struct WrappingKey {
    #[zeroize(skip)]
    name: String,
    secret: [u8; 32],
}

/// The key of a volume: 64 random bytes. Wiped when dropped, and never shown.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct VolumeKey([u8; xts::KEY]);

/// Whose key a wrapped one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The volume.
    pub volume: Uuid,
    /// Which of its keys, from 1.
    pub epoch: u32,
}

/// Why a wrapped key does not open.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Another key of the key provider is needed.
    #[error("the key is wrapped by {needed:?}, not by {given:?}")]
    OtherKey {
        /// The one that it says.
        needed: String,
        /// The one that was tried.
        given: String,
    },
    /// It was changed, belongs to another volume or epoch, or the wrapping key is wrong.
    #[error("the wrapped key does not open: it was changed, or belongs to another volume")]
    NotAuthentic,
    /// What was wrapped is no key.
    #[error("what was wrapped is no key of a volume")]
    NoKey,
}

impl WrappingKey {
    /// A key of the key provider, with the provider's name for it.
    pub fn new(name: impl Into<String>, secret: [u8; 32]) -> Self {
        Self { name: name.into(), secret }
    }

    /// The provider's name for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, &self.secret).expect("32 bytes are a key");
        LessSafeKey::new(key)
    }
}

impl fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<key {:?}>", self.name)
    }
}

impl Owner {
    /// What a wrapped key is bound to.
    fn bound(&self) -> Aad<[u8; 20]> {
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(self.volume.as_bytes());
        bytes[16..].copy_from_slice(&self.epoch.to_le_bytes());
        Aad::from(bytes)
    }
}

impl VolumeKey {
    /// A key of 64 random bytes, which the caller has from an entropy source.
    ///
    /// # Errors
    /// [`SameHalves`], which random bytes do not have.
    pub fn new(random: [u8; xts::KEY]) -> Result<Self, SameHalves> {
        let key = Self(random);
        key.expand()?;
        Ok(key)
    }

    /// The key, ready to be used.
    ///
    /// # Errors
    /// [`SameHalves`]; not for keys that were made or unwrapped here.
    pub fn expand(&self) -> Result<XtsKey, SameHalves> {
        XtsKey::new(&self.0)
    }

    /// Wraps it. The nonce is random and never used again with the same wrapping key.
    pub fn wrap(&self, by: &WrappingKey, owner: Owner, nonce: [u8; NONCE]) -> WrappedKey {
        let mut bytes = Zeroizing::new(self.0);
        let tag = by
            .cipher()
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                owner.bound(),
                bytes.as_mut_slice(),
            )
            .expect("64 bytes are not too long");
        let ciphertext = [&nonce[..], bytes.as_slice(), tag.as_ref()].concat();
        WrappedKey { key: by.name.clone(), ciphertext: ciphertext.into() }
    }

    /// Opens a wrapped key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn unwrap(sealed: &WrappedKey, by: &WrappingKey, owner: Owner) -> Result<Self, KeyError> {
        if sealed.key != by.name {
            return Err(KeyError::OtherKey { needed: sealed.key.clone(), given: by.name.clone() });
        }
        let bytes = sealed.ciphertext.as_ref();
        let (nonce, wrapped) = bytes.split_first_chunk::<NONCE>().ok_or(KeyError::NotAuthentic)?;
        let mut wrapped = Zeroizing::new(wrapped.to_vec());
        let opened = by
            .cipher()
            .open_in_place(Nonce::assume_unique_for_key(*nonce), owner.bound(), &mut wrapped)
            .map_err(|_| KeyError::NotAuthentic)?;
        let key = Self(<[u8; xts::KEY]>::try_from(&*opened).map_err(|_| KeyError::NoKey)?);
        key.expand().map_err(|_| KeyError::NoKey)?;
        Ok(key)
    }
}

impl fmt::Debug for VolumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<key of a volume>")
    }
}

/// What the blocks of an origin go through.
#[derive(Debug)]
pub enum Cipher {
    /// A checksum alone.
    Plain,
    /// Encryption and a checksum.
    Xts(Box<XtsKey>),
}

/// What was read is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the checksum of the block is {seen:08x}, and should be {expected:08x}")]
pub struct Mismatch {
    /// Of what was written.
    pub expected: u32,
    /// Of what was read.
    pub seen: u32,
}

impl From<&VolumeKey> for Cipher {
    fn from(key: &VolumeKey) -> Self {
        let key = key.expand().expect("a volume's key was checked when it was made");
        Cipher::Xts(Box::new(key))
    }
}

impl Cipher {
    /// Turns a block of a front end into what is stored, and gives its checksum. Each
    /// byte at `from` is read once.
    ///
    /// # Safety
    /// 4096 bytes at `from` can be read and at `to` be written, at any alignment. They
    /// are the same or do not overlap. Others may change them at the same time.
    #[inline]
    pub unsafe fn seal(&self, lba: Lba, seed: u32, from: *const u8, to: *mut u8) -> u32 {
        match self {
            // SAFETY: by contract.
            Cipher::Plain => unsafe { crc::copy_and_check(seed, from, to) },
            // SAFETY: by contract.
            Cipher::Xts(key) => unsafe { key.encrypt_and_check(lba.0.into(), seed, from, to) },
        }
    }

    /// As [`Cipher::seal`], past the caches: for a medium that is memory. Meanwhile the
    /// block at `next`, which may be any address, is brought near.
    ///
    /// # Safety
    /// As of [`Cipher::seal`], and `to` is aligned to 64 bytes.
    #[inline]
    pub unsafe fn seal_past(
        &self,
        lba: Lba,
        seed: u32,
        from: *const u8,
        to: *mut u8,
        next: *const u8,
    ) -> u32 {
        match self {
            // SAFETY: by contract.
            Cipher::Plain => unsafe { crc::copy_past(seed, from, to, next) },
            // SAFETY: by contract.
            Cipher::Xts(key) => unsafe { key.encrypt_past(lba.0.into(), seed, from, to, next) },
        }
    }

    /// Turns what is stored into a block for a front end, if it is what was written.
    /// Meanwhile the block at `next`, which may be any address, is brought near.
    ///
    /// # Errors
    /// [`Mismatch`]; then there are zeros at `to`.
    ///
    /// # Safety
    /// As of [`Cipher::seal`].
    #[inline]
    pub unsafe fn open(
        &self,
        lba: Lba,
        seed: u32,
        expected: u32,
        from: *const u8,
        to: *mut u8,
        next: *const u8,
    ) -> Result<(), Mismatch> {
        let seen = match self {
            // SAFETY: by contract.
            Cipher::Plain => unsafe { crc::copy_and_bring(seed, from, to, next) },
            // SAFETY: by contract.
            Cipher::Xts(key) => unsafe {
                key.decrypt_and_bring(lba.0.into(), seed, from, to, next)
            },
        };
        if seen == expected {
            return Ok(());
        }
        // SAFETY: writable by contract.
        unsafe { std::ptr::write_bytes(to, 0, BLOCK) };
        Err(Mismatch { expected, seen })
    }
}

/// The ciphers of a pool, by whose a block is.
#[derive(Debug, Default)]
pub struct KeyRing(HashMap<Origin, Cipher, BuildHasherDefault<Spread>>);

impl KeyRing {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an origin's cipher in, and gives back the one it had.
    pub fn insert(&mut self, origin: Origin, cipher: Cipher) -> Option<Cipher> {
        self.0.insert(origin, cipher)
    }

    /// Forgets an origin's cipher. Its key is wiped when what is returned is dropped.
    pub fn remove(&mut self, origin: Origin) -> Option<Cipher> {
        self.0.remove(&origin)
    }

    /// An origin's cipher; none for one whose key was never opened, or was erased.
    #[inline]
    pub fn get(&self, origin: Origin) -> Option<&Cipher> {
        self.0.get(&origin)
    }
}

/// Spreads origins, which are small numbers that nobody outside chooses.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }
    #[inline]
    fn write_u32(&mut self, number: u32) {
        // The golden ratio of 2^64, as Knuth has it: high and low bits are both used.
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Epoch;

    const OWNER: Owner = Owner { volume: Uuid::from_u128(7), epoch: 3 };

    fn volume_key() -> VolumeKey {
        VolumeKey::new(std::array::from_fn(|at| at as u8)).expect("a key")
    }

    fn provider() -> WrappingKey {
        WrappingKey::new("first", [9; 32])
    }

    #[test]
    fn a_wrapped_key_opens_for_whom_it_was_wrapped() {
        let sealed = volume_key().wrap(&provider(), OWNER, [1; NONCE]);
        assert_eq!(sealed.ciphertext.0.len(), NONCE + xts::KEY + 16);
        let key = VolumeKey::unwrap(&sealed, &provider(), OWNER).expect("it opens");
        assert_eq!(key.0, volume_key().0);
    }

    #[test]
    fn a_wrapped_key_opens_for_nobody_else() {
        let sealed = volume_key().wrap(&provider(), OWNER, [1; NONCE]);
        let refused = |sealed: &WrappedKey, owner| {
            VolumeKey::unwrap(sealed, &provider(), owner).expect_err("refused")
        };
        let other = Owner { epoch: 4, ..OWNER };
        assert_eq!(refused(&sealed, other), KeyError::NotAuthentic);
        let other = Owner { volume: Uuid::from_u128(8), ..OWNER };
        assert_eq!(refused(&sealed, other), KeyError::NotAuthentic);
        for at in 0..sealed.ciphertext.0.len() {
            let mut changed = sealed.clone();
            changed.ciphertext.0[at] ^= 1;
            assert_eq!(refused(&changed, OWNER), KeyError::NotAuthentic);
            changed.ciphertext.0.truncate(at);
            assert_eq!(refused(&changed, OWNER), KeyError::NotAuthentic);
        }
        let wrong = WrappingKey::new("first", [8; 32]);
        let error = VolumeKey::unwrap(&sealed, &wrong, OWNER).expect_err("refused");
        assert_eq!(error, KeyError::NotAuthentic);
        let second = WrappingKey::new("second", [9; 32]);
        let error = VolumeKey::unwrap(&sealed, &second, OWNER).expect_err("refused");
        assert!(matches!(error, KeyError::OtherKey { .. }));
    }

    #[test]
    fn keys_are_not_shown() {
        let shown = format!("{:?} {:?}", volume_key(), provider());
        assert_eq!(shown, "<key of a volume> <key \"first\">");
    }

    #[test]
    fn what_was_sealed_is_opened_and_what_was_changed_is_not() {
        let plain: [u8; BLOCK] = std::array::from_fn(|at| (at / 3) as u8);
        let seed = crc::seed(Origin(1), Lba(2), Epoch(3));
        for cipher in [Cipher::Plain, Cipher::from(&volume_key())] {
            let (mut stored, mut back) = ([0; BLOCK], [0; BLOCK]);
            // SAFETY: all are blocks.
            let crc = unsafe { cipher.seal(Lba(2), seed, plain.as_ptr(), stored.as_mut_ptr()) };
            assert_eq!(crc, crc::checksum(seed, &stored));
            let open = |seed, stored: &[u8; BLOCK], back: &mut [u8; BLOCK]| {
                // SAFETY: both are blocks.
                unsafe {
                    cipher.open(
                        Lba(2),
                        seed,
                        crc,
                        stored.as_ptr(),
                        back.as_mut_ptr(),
                        stored.as_ptr(),
                    )
                }
            };
            assert_eq!(open(seed, &stored, &mut back), Ok(()));
            assert!(back == plain);
            let other = crc::seed(Origin(1), Lba(3), Epoch(3));
            open(other, &stored, &mut back).expect_err("it is another's");
            assert!(back == [0; BLOCK]);
            let at = stored.as_mut_ptr();
            // SAFETY: a block, in place.
            unsafe { cipher.open(Lba(2), seed, crc, at, at, at) }.expect("as it was written");
            assert!(stored == plain);
            // SAFETY: as above.
            unsafe { cipher.open(Lba(2), seed, !crc, at, at, at) }.expect_err("as it was not");
            assert!(stored == [0; BLOCK]);
        }
    }

    #[test]
    fn a_ring_knows_what_it_was_given() {
        let mut ring = KeyRing::new();
        for origin in 1..1000 {
            assert!(ring.insert(Origin(origin), Cipher::Plain).is_none());
        }
        assert!(ring.get(Origin(999)).is_some() && ring.get(Origin(1000)).is_none());
        assert!(ring.remove(Origin(5)).is_some() && ring.get(Origin(5)).is_none());
    }
}
