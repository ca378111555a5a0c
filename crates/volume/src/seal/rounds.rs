//! The round keys of AES-256 (FIPS 197), by the instructions made for it.

use std::arch::x86_64::*;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Keys of rounds, in the order that they are used in.
pub(super) type Keys = [Round; 15];

/// The key of a round.
#[derive(Clone, Copy, Zeroize)]
#[repr(C, align(16))]
pub(super) struct Round([u8; 16]);

/// All that is expanded from the two keys of XTS.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Rounds {
    pub encrypt: Keys,
    pub decrypt: Keys,
    pub tweak: Keys,
}

impl Rounds {
    /// Expands a data key and a tweak key.
    #[target_feature(enable = "avx,aes")]
    pub fn expand(key: &[u8; 64]) -> Self {
        let encrypt = expand(&key[..32]);
        let decrypt = std::array::from_fn(|round| match round {
            0 | 14 => encrypt[14 - round],
            // Of the equivalent inverse cipher, FIPS 197 section 5.3.5.
            _ => inverse(encrypt[14 - round]),
        });
        Self { encrypt, decrypt, tweak: expand(&key[32..]) }
    }
}

impl Round {
    /// As a vector.
    #[inline]
    #[target_feature(enable = "avx")]
    pub fn vector(&self) -> __m128i {
        // SAFETY: sixteen bytes, aligned.
        unsafe { _mm_load_si128((&raw const self.0).cast()) }
    }
}

#[target_feature(enable = "avx")]
fn round(vector: __m128i) -> Round {
    let mut round = Round([0; 16]);
    // SAFETY: sixteen bytes, aligned.
    unsafe { _mm_store_si128((&raw mut round.0).cast(), vector) };
    round
}

#[target_feature(enable = "avx,aes")]
fn inverse(key: Round) -> Round {
    round(_mm_aesimc_si128(key.vector()))
}

/// FIPS 197 section 5.2.
#[target_feature(enable = "avx,aes")]
fn expand(key: &[u8]) -> Keys {
    let mut keys = [Round([0; 16]); 15];
    keys[0].0.copy_from_slice(&key[..16]);
    keys[1].0.copy_from_slice(&key[16..]);
    two::<0x01>(&mut keys, 2);
    two::<0x02>(&mut keys, 4);
    two::<0x04>(&mut keys, 6);
    two::<0x08>(&mut keys, 8);
    two::<0x10>(&mut keys, 10);
    two::<0x20>(&mut keys, 12);
    let next = _mm_aeskeygenassist_si128::<0x40>(keys[13].vector());
    keys[14] = round(mixed(keys[12].vector(), _mm_shuffle_epi32::<0xFF>(next)));
    keys
}

/// The two keys from `at` on.
#[target_feature(enable = "avx,aes")]
fn two<const RCON: i32>(keys: &mut Keys, at: usize) {
    let first = _mm_aeskeygenassist_si128::<RCON>(keys[at - 1].vector());
    keys[at] = round(mixed(keys[at - 2].vector(), _mm_shuffle_epi32::<0xFF>(first)));
    let second = _mm_aeskeygenassist_si128::<0>(keys[at].vector());
    keys[at + 1] = round(mixed(keys[at - 1].vector(), _mm_shuffle_epi32::<0xAA>(second)));
}

/// Each word plus those below it, plus a word.
#[target_feature(enable = "avx")]
fn mixed(key: __m128i, word: __m128i) -> __m128i {
    let key = _mm_xor_si128(key, _mm_slli_si128::<4>(key));
    let key = _mm_xor_si128(key, _mm_slli_si128::<8>(key));
    _mm_xor_si128(key, word)
}
