//! The kernels of x86-64: XTS and CRC32C in one pass, once for each width of vector.
//!
//! Eight vectors are in flight, which hides the latency of the AES instructions. Tweaks
//! are multiplied by x^8, x^16 or x^32 from batch to batch: a shift by bytes and one
//! carry-less multiplication. The checksum is folded (Gopal et al., "Fast CRC
//! Computation for Generic Polynomials Using PCLMULQDQ", 2009) from the registers that
//! hold the ciphertext anyway, on execution ports that AES leaves idle.

use std::arch::x86_64::*;

use super::crc::POLYNOMIAL;
use super::lanes;
use super::rounds::{Keys, Rounds};
use crate::BLOCK;

/// Vectors in flight.
const BATCH: usize = 8;
/// Running sums of a fused checksum. Enough to hide the latency of the multiplication
/// behind AES.
const SUMS: usize = 4;

/// x^n modulo the polynomial, lowest degree in the highest bit.
const fn power(n: usize) -> i64 {
    let (mut value, mut at) = (1_u32 << 31, 0);
    while at < n {
        value = (value >> 1) ^ (POLYNOMIAL & (value & 1).wrapping_neg());
        at += 1;
    }
    value as i64
}

/// What moves sixteen bytes forward by so many bytes. A product of numbers whose lowest
/// degree is in the highest bit comes out multiplied by x, and the factor stands in the
/// low half of 64 bits, so x^33 is taken off.
#[target_feature(enable = "avx")]
#[inline]
fn forward<const BYTES: usize>() -> __m128i {
    let factors = const { (power(8 * BYTES + 64 - 33), power(8 * BYTES - 33)) };
    _mm_set_epi64x(factors.1, factors.0)
}

/// Goes on with the register of the checksum, byte by byte and eight at a time.
///
/// # Safety
/// `length` bytes at `from` can be read.
#[target_feature(enable = "sse4.2")]
pub(super) unsafe fn short(register: u32, from: *const u8, length: usize) -> u32 {
    let mut register = u64::from(register);
    let words = length / 8;
    for word in 0..words {
        // SAFETY: inside `length`.
        let word = unsafe { from.cast::<u64>().add(word).read_unaligned() };
        register = _mm_crc32_u64(register, word);
    }
    let mut register = register as u32;
    for at in words * 8..length {
        // SAFETY: inside `length`.
        register = _mm_crc32_u8(register, unsafe { *from.add(at) });
    }
    register
}

/// The register after the twelve bytes that a block's checksum begins with.
#[inline]
#[target_feature(enable = "sse4.2")]
pub(super) fn begin(first: u64, second: u32) -> u32 {
    _mm_crc32_u32(_mm_crc32_u64(u64::from(u32::MAX), first) as u32, second)
}

/// The number of a data unit, encrypted: the tweak of its first AES block.
#[inline]
#[target_feature(enable = "avx,aes")]
fn tweak(keys: &Keys, unit: u64) -> __m128i {
    let mut tweak = _mm_xor_si128(_mm_cvtsi64_si128(unit as i64), keys[0].vector());
    for key in &keys[1..14] {
        tweak = _mm_aesenc_si128(tweak, key.vector());
    }
    _mm_aesenclast_si128(tweak, keys[14].vector())
}

/// Brings memory near, line by line: it is only a hint, of any address.
#[inline]
fn bring<const BYTES: usize>(from: *const u8) {
    for line in (0..BYTES).step_by(64) {
        // SAFETY: it reads nothing and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(line).cast()) };
    }
}

macro_rules! kernels {
    ($module:ident, $features:literal) => {
        pub(super) mod $module {
            use super::lanes::$module::*;
            use super::*;

            /// Bytes in a vector.
            const SIZE: usize = 16 * BLOCKS;

            /// Encrypts a block, and goes on with the register of the checksum of what
            /// comes out, if that is wanted.
            ///
            /// # Safety
            /// 4096 bytes at `from` can be read and at `to` be written; they are the
            /// same or do not overlap. The processor has the features.
            #[target_feature(enable = $features)]
            pub unsafe fn encrypt_block<const CHECK: bool, const PAST: bool>(
                rounds: &Rounds,
                unit: u64,
                register: u32,
                from: *const u8,
                to: *mut u8,
                next: *const u8,
            ) -> u32 {
                let keys = &rounds.encrypt;
                let mut tweaks = tweaks(tweak(&rounds.tweak, unit));
                let mut sums = [spread(_mm_setzero_si128()); SUMS];
                let mut before = first(_mm_cvtsi32_si128(register as i32));
                for batch in 0..BLOCK / (BATCH * SIZE) {
                    let at = batch * BATCH * SIZE;
                    let mut data = [before; BATCH];
                    let key = spread(keys[0].vector());
                    for i in 0..BATCH {
                        // SAFETY: inside the block.
                        let plain = unsafe { load(from.add(at + i * SIZE)) };
                        data[i] = xor3(plain, tweaks[i], key);
                    }
                    bring::<{ BATCH * SIZE }>(next.wrapping_add(at));
                    for key in &keys[1..14] {
                        let key = spread(key.vector());
                        data.iter_mut().for_each(|data| *data = encrypt(*data, key));
                    }
                    let key = spread(keys[14].vector());
                    for i in 0..BATCH {
                        data[i] = encrypt_last(data[i], xor(tweaks[i], key));
                        tweaks[i] = advance(tweaks[i]);
                        // SAFETY: inside the block.
                        unsafe { store::<PAST>(to.add(at + i * SIZE), data[i]) };
                    }
                    if CHECK {
                        fold(&mut sums, &data, before);
                        before = spread(_mm_setzero_si128());
                    }
                }
                if CHECK { finish(&sums) } else { 0 }
            }

            /// Decrypts a block, and goes on with the register of the checksum of what
            /// goes in, if that is wanted.
            ///
            /// # Safety
            /// As of [`encrypt_block`].
            #[target_feature(enable = $features)]
            pub unsafe fn decrypt_block<const CHECK: bool, const PAST: bool>(
                rounds: &Rounds,
                unit: u64,
                register: u32,
                from: *const u8,
                to: *mut u8,
                next: *const u8,
            ) -> u32 {
                let keys = &rounds.decrypt;
                let mut tweaks = tweaks(tweak(&rounds.tweak, unit));
                let mut sums = [spread(_mm_setzero_si128()); SUMS];
                let mut before = first(_mm_cvtsi32_si128(register as i32));
                for batch in 0..BLOCK / (BATCH * SIZE) {
                    let at = batch * BATCH * SIZE;
                    let mut data = [before; BATCH];
                    for i in 0..BATCH {
                        // SAFETY: inside the block.
                        data[i] = unsafe { load(from.add(at + i * SIZE)) };
                    }
                    bring::<{ BATCH * SIZE }>(next.wrapping_add(at));
                    if CHECK {
                        fold(&mut sums, &data, before);
                        before = spread(_mm_setzero_si128());
                    }
                    let key = spread(keys[0].vector());
                    for i in 0..BATCH {
                        data[i] = xor3(data[i], tweaks[i], key);
                    }
                    for key in &keys[1..14] {
                        let key = spread(key.vector());
                        data.iter_mut().for_each(|data| *data = decrypt(*data, key));
                    }
                    let key = spread(keys[14].vector());
                    for i in 0..BATCH {
                        data[i] = decrypt_last(data[i], xor(tweaks[i], key));
                        tweaks[i] = advance(tweaks[i]);
                        // SAFETY: inside the block.
                        unsafe { store::<PAST>(to.add(at + i * SIZE), data[i]) };
                    }
                }
                if CHECK { finish(&sums) } else { 0 }
            }

            /// Goes on with the register of the checksum, and copies if that is wanted.
            ///
            /// # Safety
            /// `length` bytes at `from` can be read, and at `to` be written for a copy;
            /// they are the same or do not overlap. The processor has the features.
            #[target_feature(enable = $features)]
            pub unsafe fn check<const COPY: bool, const PAST: bool>(
                register: u32,
                from: *const u8,
                to: *mut u8,
                length: usize,
                next: *const u8,
            ) -> u32 {
                let batches = length / (BATCH * SIZE);
                let mut register = register;
                if batches > 0 {
                    let mut sums = [spread(_mm_setzero_si128()); BATCH];
                    let mut before = first(_mm_cvtsi32_si128(register as i32));
                    for batch in 0..batches {
                        let at = batch * BATCH * SIZE;
                        let mut data = [before; BATCH];
                        for i in 0..BATCH {
                            // SAFETY: inside `length`.
                            data[i] = unsafe { load(from.add(at + i * SIZE)) };
                            if COPY {
                                let to = to.wrapping_add(at + i * SIZE);
                                // SAFETY: inside `length`, for a copy.
                                unsafe { store::<PAST>(to, data[i]) };
                            }
                        }
                        if COPY {
                            bring::<{ BATCH * SIZE }>(next.wrapping_add(at));
                        }
                        fold(&mut sums, &data, before);
                        before = spread(_mm_setzero_si128());
                    }
                    register = finish(&sums);
                }
                let done = batches * BATCH * SIZE;
                // SAFETY: inside `length`.
                let rest = unsafe { from.add(done) };
                if COPY {
                    assert!(done == length, "copies are of whole blocks");
                    return register;
                }
                // SAFETY: inside `length`.
                unsafe { short(register, rest, length - done) }
            }

            /// The tweaks of the first batch: each AES block's is x times the one before.
            #[inline]
            #[target_feature(enable = $features)]
            fn tweaks(tweak: __m128i) -> [Vector; BATCH] {
                let tweak = spread(tweak);
                let modulus = spread(_mm_set_epi64x(0, 0x87));
                let mut tweaks = [tweak; BATCH];
                for i in 0..BATCH {
                    let by = (i * BLOCKS) as i64;
                    // What leaves a half: into the upper half, or around by the modulus.
                    let out = shift_down(tweak, by);
                    let up = xor(shift_up(tweak, by), up_a_half(out));
                    tweaks[i] = xor(up, multiply_upper(out, modulus));
                }
                tweaks
            }

            /// The tweak a batch later.
            #[inline]
            #[target_feature(enable = $features)]
            fn advance(tweak: Vector) -> Vector {
                let modulus = spread(_mm_set_epi64x(0, 0x87));
                xor(up_a_batch(tweak), multiply_low(down_a_batch(tweak), modulus))
            }

            /// Adds a batch to the sums; `before` to its first bytes.
            #[inline]
            #[target_feature(enable = $features)]
            fn fold<const N: usize>(
                sums: &mut [Vector; N],
                data: &[Vector; BATCH],
                before: Vector,
            ) {
                let by = match N {
                    SUMS => spread(forward::<{ SUMS * SIZE }>()),
                    _ => spread(forward::<{ BATCH * SIZE }>()),
                };
                for i in 0..BATCH {
                    let data = if i == 0 { xor(data[0], before) } else { data[i] };
                    let sum = sums[i % N];
                    sums[i % N] = xor3(multiply_low(sum, by), multiply_high(sum, by), data);
                }
            }

            /// What all sums come to: the register.
            #[inline]
            #[target_feature(enable = $features)]
            fn finish<const N: usize>(sums: &[Vector; N]) -> u32 {
                let add = |sum: Vector, by: Vector, to: Vector| {
                    xor3(multiply_low(sum, by), multiply_high(sum, by), to)
                };
                // From the front to the last four, and those together.
                let mut last = [sums[N - 4], sums[N - 3], sums[N - 2], sums[N - 1]];
                if N == BATCH {
                    let by = spread(forward::<{ 4 * SIZE }>());
                    for i in 0..4 {
                        last[i] = add(sums[i], by, last[i]);
                    }
                }
                let [one, two, three, four] = last;
                let one = add(one, spread(forward::<{ 2 * SIZE }>()), three);
                let two = add(two, spread(forward::<{ 2 * SIZE }>()), four);
                let mut sum = _mm_setzero_si128();
                for block in blocks(add(one, spread(forward::<SIZE>()), two)) {
                    let by = forward::<16>();
                    let low = _mm_clmulepi64_si128::<0x00>(sum, by);
                    let high = _mm_clmulepi64_si128::<0x11>(sum, by);
                    sum = _mm_xor_si128(_mm_xor_si128(low, high), block);
                }
                let low = _mm_crc32_u64(0, _mm_cvtsi128_si64(sum) as u64);
                _mm_crc32_u64(low, _mm_extract_epi64::<1>(sum) as u64) as u32
            }
        }
    };
}

kernels!(single, "avx,sse4.2,aes,pclmulqdq");
kernels!(double, "avx2,sse4.2,aes,pclmulqdq,vaes,vpclmulqdq");
kernels!(quad, "avx512f,avx512bw,avx512dq,avx512vl,sse4.2,aes,pclmulqdq,vaes,vpclmulqdq");
