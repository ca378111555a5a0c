//! All kernels give the same bytes, and the right ones.

use aes::Aes256;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockEncrypt, KeyInit};
use proptest::prelude::*;

use super::crc;
use super::kernel::Kernel;
use super::xts::{KEY, SameHalves, XtsKey};
use crate::BLOCK;

/// XTS as IEEE 1619 section 5.3 says it, one AES block after the other.
fn plainly(key: &[u8; KEY], lba: u64, block: &[u8]) -> Vec<u8> {
    let cipher = |key| Aes256::new(GenericArray::from_slice(key));
    let (data, tweaks) = (cipher(&key[..32]), cipher(&key[32..]));
    let mut tweak = [0; 16];
    tweak[..8].copy_from_slice(&lba.to_le_bytes());
    tweaks.encrypt_block(GenericArray::from_mut_slice(&mut tweak));
    let mut out = Vec::new();
    for plain in block.chunks(16) {
        let mut bytes: Vec<u8> = plain.iter().zip(&tweak).map(|(a, b)| a ^ b).collect();
        data.encrypt_block(GenericArray::from_mut_slice(&mut bytes));
        out.extend(bytes.iter().zip(&tweak).map(|(a, b)| a ^ b));
        let mut carry = 0;
        for byte in &mut tweak {
            (*byte, carry) = ((*byte << 1) | carry, *byte >> 7);
        }
        tweak[0] ^= 0x87 * carry;
    }
    out
}

fn keys(key: &[u8; KEY]) -> Vec<XtsKey> {
    let make = |kernel| XtsKey::with_kernel(key, kernel).expect("its halves differ");
    Kernel::available().map(make).collect()
}

/// A block as media that are memory have it.
#[repr(align(64))]
struct Aligned([u8; BLOCK]);

/// Encrypts from `skew` bytes into a buffer to `skew` bytes into another.
fn encrypted(key: &XtsKey, lba: u64, seed: u32, block: &[u8], skew: usize) -> (Vec<u8>, u32) {
    let mut from = vec![0; skew];
    from.extend_from_slice(block);
    let mut to = vec![0; skew + BLOCK];
    // SAFETY: both are a block long after `skew`.
    let crc = unsafe {
        let (from, to) = (from.as_ptr().add(skew), to.as_mut_ptr().add(skew));
        key.encrypt_and_check(lba, seed, from, to)
    };
    (to.split_off(skew), crc)
}

/// Decrypts in place, and gives the checksum of what was there.
fn decrypted(key: &XtsKey, lba: u64, seed: u32, block: &[u8]) -> (Vec<u8>, u32) {
    let mut bytes = block.to_vec();
    let at = bytes.as_mut_ptr();
    // SAFETY: a block, in place.
    let crc = unsafe { key.decrypt_and_check(lba, seed, at, at) };
    (bytes, crc)
}

fn from_hex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// The key of vectors 10 to 14 of IEEE 1619-2007, annex B.
fn published() -> [u8; KEY] {
    let hex = "2718281828459045235360287471352662497757247093699959574966967627\
               3141592653589793238462643383279502884197169399375105820974944592";
    from_hex(hex).try_into().expect("64 bytes")
}

#[test]
fn the_vectors_of_ieee_1619() {
    // Vectors 10 and 14 are of 512 bytes: how they begin and end. A longer unit begins
    // in the same way.
    let vectors = [
        (0xff, VECTOR_10_BEGINS, VECTOR_10_ENDS),
        (0xff_ffff_ffff, VECTOR_14_BEGINS, VECTOR_14_ENDS),
    ];
    let plain: Vec<u8> = (0..BLOCK).map(|at| at as u8).collect();
    for key in keys(&published()) {
        for (lba, begins, ends) in vectors {
            let (out, _) = encrypted(&key, lba, 0, &plain, 0);
            assert_eq!(out[..32], from_hex(begins), "{key:?}");
            assert_eq!(out[480..512], from_hex(ends), "{key:?}");
        }
    }
}

const VECTOR_10_BEGINS: &str = "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b";
const VECTOR_10_ENDS: &str = "773dad38014bd2092fa755c824bb5e54c4f36ffda9fcea70b9c6e693e148c151";
const VECTOR_14_BEGINS: &str = "64497e5a831e4a932c09be3e5393376daa599548b816031d224bbf50a818ed23";
const VECTOR_14_ENDS: &str = "6975be5e0b4efce51cd3e70c25a1fbbbd609d273ad5b0d59631c531f6a0a57b9";

#[test]
fn halves_that_are_the_same_are_no_key() {
    assert_eq!(XtsKey::new(&[7; KEY]).err(), Some(SameHalves));
    let key = XtsKey::new(&published()).expect("a key");
    assert_eq!(format!("{key:?}"), format!("<key for {:?}>", Kernel::best()));
}

#[test]
fn every_bit_of_a_block_and_its_seed_is_in_the_checksum() {
    let block = [0x5A; BLOCK];
    let right = crc::checksum(1, &block);
    assert_ne!(crc::checksum(2, &block), right);
    for bit in 0..8 * BLOCK {
        let mut wrong = block;
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(crc::checksum(1, &wrong), right, "bit {bit}");
    }
}

fn arrays<const N: usize>() -> impl Strategy<Value = [u8; N]> {
    proptest::collection::vec(any::<u8>(), N).prop_map(|bytes| bytes.try_into().expect("N bytes"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn kernels_encrypt_and_decrypt_alike(
        key in arrays::<KEY>(), block in arrays::<BLOCK>(),
        lba: u64, seed: u32, skew in 0_usize..70,
    ) {
        let right = plainly(&key, lba, &block);
        let crc = crc::append(seed, &right);
        for key in keys(&key) {
            let (out, sum) = encrypted(&key, lba, seed, &block, skew);
            prop_assert!(out == right, "{:?}", key);
            prop_assert_eq!(sum, crc, "{:?}", key);
            let (back, sum) = decrypted(&key, lba, seed, &out);
            prop_assert!(back == block, "{:?}", key);
            prop_assert_eq!(sum, crc, "{:?}", key);
        }
    }

    #[test]
    fn without_a_checksum_the_bytes_are_the_same(block in arrays::<BLOCK>(), lba: u64) {
        for key in keys(&published()) {
            let (right, _) = encrypted(&key, lba, 0, &block, 0);
            let mut bytes = block;
            let at = bytes.as_mut_ptr();
            // SAFETY: a block, in place.
            unsafe { key.encrypt_block(lba, at, at) };
            prop_assert!(bytes[..] == right[..], "{:?}", key);
            // SAFETY: as above.
            unsafe { key.decrypt_block(lba, at, at) };
            prop_assert!(bytes == block, "{:?}", key);
        }
    }

    #[test]
    fn past_the_caches_the_bytes_are_the_same(
        block in arrays::<BLOCK>(), lba: u64, seed: u32, next: usize,
    ) {
        // A hint may be any address.
        let next = std::ptr::without_provenance(next);
        for key in keys(&published()) {
            let (right, sum) = encrypted(&key, lba, seed, &block, 0);
            let (mut stored, mut back) = (Aligned([0; BLOCK]), [0; BLOCK]);
            let to = stored.0.as_mut_ptr();
            // SAFETY: both are blocks, and the second is aligned.
            let seen = unsafe { key.encrypt_past(lba, seed, block.as_ptr(), to, next) };
            super::settle();
            prop_assert!(stored.0[..] == right[..] && seen == sum, "{:?}", key);
            let from = stored.0.as_ptr();
            // SAFETY: both are blocks.
            let seen = unsafe { key.decrypt_and_bring(lba, seed, from, back.as_mut_ptr(), next) };
            prop_assert!(back == block && seen == sum, "{:?}", key);
        }
    }

    #[test]
    fn kernels_check_alike(
        bytes in proptest::collection::vec(any::<u8>(), 0..9000), register: u32,
    ) {
        let right = crc::portable(register, &bytes);
        for kernel in Kernel::available() {
            // SAFETY: only those that run here.
            let seen = unsafe { crc::update_with(kernel, register, &bytes) };
            prop_assert_eq!(seen, right, "{:?}", kernel);
        }
    }

    #[test]
    fn kernels_copy_alike(block in arrays::<BLOCK>(), register: u32) {
        let right = crc::portable(register, &block);
        for kernel in Kernel::available() {
            let (mut to, mut past) = ([0; BLOCK], Aligned([0; BLOCK]));
            let (from, near, far) = (block.as_ptr(), to.as_mut_ptr(), past.0.as_mut_ptr());
            // SAFETY: only those that run here; all are a block, and the last is aligned.
            let (seen, far) = unsafe {
                let near = crc::copy_with::<false>(kernel, register, from, near, from);
                (near, crc::copy_with::<true>(kernel, register, from, far, from))
            };
            prop_assert_eq!((seen, far), (right, right), "{:?}", kernel);
            prop_assert!(to == block && past.0 == block, "{:?}", kernel);
        }
    }
}
