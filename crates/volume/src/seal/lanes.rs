//! Vectors of one, two and four AES blocks, with the same operations under the same
//! names, so that the kernels can be written once.

use std::arch::asm;
use std::arch::x86_64::*;

/// Functions that are compiled for some features and inlined where those are.
macro_rules! lanes {
    (
        $(#[$doc:meta])* $module:ident, $features:literal, $vector:ty, $blocks:literal;
        load $move:literal $class:ident; past $stream:ident;
        $(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block)*
    ) => {
        $(#[$doc])*
        pub(super) mod $module {
            use super::*;

            pub type Vector = $vector;
            /// AES blocks in a vector.
            pub const BLOCKS: usize = $blocks;
            /// Bytes that a tweak is shifted by from batch to batch: a bit a block, and a
            /// batch is of eight vectors.
            const BATCH: i32 = $blocks;
            const REST: i32 = 16 - $blocks;

            /// Reads memory that others may change: by one instruction, which the
            /// compiler neither repeats nor splits.
            ///
            /// # Safety
            /// A vector at `from` can be read.
            #[inline]
            #[target_feature(enable = $features)]
            pub unsafe fn load(from: *const u8) -> Vector {
                let vector;
                // SAFETY: readable by contract; the instruction does nothing else.
                unsafe {
                    asm!(
                        concat!($move, " {0}, [{1}]"),
                        lateout($class) vector, in(reg) from,
                        options(nostack, preserves_flags, readonly)
                    )
                };
                vector
            }

            /// Writes memory: past the caches, for what is not read soon, or as usual.
            ///
            /// # Safety
            /// A vector at `to` can be written; past the caches it is aligned.
            #[inline]
            #[target_feature(enable = $features)]
            pub unsafe fn store<const PAST: bool>(to: *mut u8, vector: Vector) {
                let to = to.cast::<Vector>();
                // SAFETY: writable by contract, and aligned where it must be.
                unsafe { if PAST { $stream(to, vector) } else { to.write_unaligned(vector) } }
            }

            $(
                #[inline]
                #[target_feature(enable = $features)]
                pub fn $name($($argument: $type),*) -> $result $body
            )*
        }
    };
}

lanes! {
    /// AES-NI.
    single, "avx,sse4.2,aes,pclmulqdq", __m128i, 1;
    load "vmovdqu" xmm_reg; past _mm_stream_si128;
    fn spread(one: __m128i) -> Vector { one }
    fn first(one: __m128i) -> Vector { one }
    fn blocks(a: Vector) -> [__m128i; BLOCKS] { [a] }
    fn xor(a: Vector, b: Vector) -> Vector { _mm_xor_si128(a, b) }
    fn xor3(a: Vector, b: Vector, c: Vector) -> Vector { xor(xor(a, b), c) }
    fn encrypt(a: Vector, key: Vector) -> Vector { _mm_aesenc_si128(a, key) }
    fn encrypt_last(a: Vector, key: Vector) -> Vector { _mm_aesenclast_si128(a, key) }
    fn decrypt(a: Vector, key: Vector) -> Vector { _mm_aesdec_si128(a, key) }
    fn decrypt_last(a: Vector, key: Vector) -> Vector { _mm_aesdeclast_si128(a, key) }
    fn multiply_low(a: Vector, b: Vector) -> Vector { _mm_clmulepi64_si128::<0x00>(a, b) }
    fn multiply_high(a: Vector, b: Vector) -> Vector { _mm_clmulepi64_si128::<0x11>(a, b) }
    fn multiply_upper(a: Vector, b: Vector) -> Vector { _mm_clmulepi64_si128::<0x01>(a, b) }
    fn up_a_half(a: Vector) -> Vector { _mm_slli_si128::<8>(a) }
    fn up_a_batch(a: Vector) -> Vector { _mm_slli_si128::<BATCH>(a) }
    fn down_a_batch(a: Vector) -> Vector { _mm_srli_si128::<REST>(a) }
    fn shift_up(a: Vector, from: i64) -> Vector { _mm_sll_epi64(a, _mm_cvtsi64_si128(from)) }
    fn shift_down(a: Vector, from: i64) -> Vector {
        _mm_srl_epi64(a, _mm_cvtsi64_si128(64 - from))
    }
}

lanes! {
    /// VAES with AVX2.
    double, "avx2,sse4.2,aes,pclmulqdq,vaes,vpclmulqdq", __m256i, 2;
    load "vmovdqu" ymm_reg; past _mm256_stream_si256;
    fn spread(one: __m128i) -> Vector { _mm256_broadcastsi128_si256(one) }
    fn first(one: __m128i) -> Vector { _mm256_zextsi128_si256(one) }
    fn blocks(a: Vector) -> [__m128i; BLOCKS] {
        [_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a)]
    }
    fn xor(a: Vector, b: Vector) -> Vector { _mm256_xor_si256(a, b) }
    fn xor3(a: Vector, b: Vector, c: Vector) -> Vector { xor(xor(a, b), c) }
    fn encrypt(a: Vector, key: Vector) -> Vector { _mm256_aesenc_epi128(a, key) }
    fn encrypt_last(a: Vector, key: Vector) -> Vector { _mm256_aesenclast_epi128(a, key) }
    fn decrypt(a: Vector, key: Vector) -> Vector { _mm256_aesdec_epi128(a, key) }
    fn decrypt_last(a: Vector, key: Vector) -> Vector { _mm256_aesdeclast_epi128(a, key) }
    fn multiply_low(a: Vector, b: Vector) -> Vector { _mm256_clmulepi64_epi128::<0x00>(a, b) }
    fn multiply_high(a: Vector, b: Vector) -> Vector { _mm256_clmulepi64_epi128::<0x11>(a, b) }
    fn multiply_upper(a: Vector, b: Vector) -> Vector { _mm256_clmulepi64_epi128::<0x01>(a, b) }
    fn up_a_half(a: Vector) -> Vector { _mm256_bslli_epi128::<8>(a) }
    fn up_a_batch(a: Vector) -> Vector { _mm256_bslli_epi128::<BATCH>(a) }
    fn down_a_batch(a: Vector) -> Vector { _mm256_bsrli_epi128::<REST>(a) }
    fn counts(from: i64) -> Vector { _mm256_set_epi64x(from + 1, from + 1, from, from) }
    fn shift_up(a: Vector, from: i64) -> Vector { _mm256_sllv_epi64(a, counts(from)) }
    fn shift_down(a: Vector, from: i64) -> Vector {
        _mm256_srlv_epi64(a, _mm256_sub_epi64(_mm256_set1_epi64x(64), counts(from)))
    }
}

lanes! {
    /// VAES with AVX-512.
    quad, "avx512f,avx512bw,avx512dq,avx512vl,sse4.2,aes,pclmulqdq,vaes,vpclmulqdq", __m512i, 4;
    load "vmovdqu64" zmm_reg; past _mm512_stream_si512;
    fn spread(one: __m128i) -> Vector { _mm512_broadcast_i32x4(one) }
    fn first(one: __m128i) -> Vector { _mm512_zextsi128_si512(one) }
    fn blocks(a: Vector) -> [__m128i; BLOCKS] {
        [
            _mm512_castsi512_si128(a),
            _mm512_extracti32x4_epi32::<1>(a),
            _mm512_extracti32x4_epi32::<2>(a),
            _mm512_extracti32x4_epi32::<3>(a),
        ]
    }
    fn xor(a: Vector, b: Vector) -> Vector { _mm512_xor_si512(a, b) }
    fn xor3(a: Vector, b: Vector, c: Vector) -> Vector {
        _mm512_ternarylogic_epi64::<0x96>(a, b, c)
    }
    fn encrypt(a: Vector, key: Vector) -> Vector { _mm512_aesenc_epi128(a, key) }
    fn encrypt_last(a: Vector, key: Vector) -> Vector { _mm512_aesenclast_epi128(a, key) }
    fn decrypt(a: Vector, key: Vector) -> Vector { _mm512_aesdec_epi128(a, key) }
    fn decrypt_last(a: Vector, key: Vector) -> Vector { _mm512_aesdeclast_epi128(a, key) }
    fn multiply_low(a: Vector, b: Vector) -> Vector { _mm512_clmulepi64_epi128::<0x00>(a, b) }
    fn multiply_high(a: Vector, b: Vector) -> Vector { _mm512_clmulepi64_epi128::<0x11>(a, b) }
    fn multiply_upper(a: Vector, b: Vector) -> Vector { _mm512_clmulepi64_epi128::<0x01>(a, b) }
    fn up_a_half(a: Vector) -> Vector { _mm512_bslli_epi128::<8>(a) }
    fn up_a_batch(a: Vector) -> Vector { _mm512_bslli_epi128::<BATCH>(a) }
    fn down_a_batch(a: Vector) -> Vector { _mm512_bsrli_epi128::<REST>(a) }
    fn counts(from: i64) -> Vector {
        let step = _mm512_set_epi64(3, 3, 2, 2, 1, 1, 0, 0);
        _mm512_add_epi64(_mm512_set1_epi64(from), step)
    }
    fn shift_up(a: Vector, from: i64) -> Vector { _mm512_sllv_epi64(a, counts(from)) }
    fn shift_down(a: Vector, from: i64) -> Vector {
        _mm512_srlv_epi64(a, _mm512_sub_epi64(_mm512_set1_epi64(64), counts(from)))
    }
}
