//! Which instructions the processor has.

use std::sync::atomic::{AtomicU8, Ordering};

/// A way to encrypt and to check blocks. All give the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kernel {
    /// Any processor.
    Portable = 1,
    /// AES-NI and PCLMULQDQ: an AES block in an instruction.
    #[cfg(target_arch = "x86_64")]
    Single,
    /// VAES and VPCLMULQDQ with AVX2: two AES blocks in an instruction.
    #[cfg(target_arch = "x86_64")]
    Double,
    /// VAES and VPCLMULQDQ with AVX-512: four AES blocks in an instruction.
    #[cfg(target_arch = "x86_64")]
    Quad,
}

/// What was found; 0 before anybody looked.
static BEST: AtomicU8 = AtomicU8::new(0);

impl Kernel {
    /// All, the slowest first.
    #[cfg(target_arch = "x86_64")]
    const ALL: &[Kernel] = &[Kernel::Portable, Kernel::Single, Kernel::Double, Kernel::Quad];
    /// All, the slowest first.
    #[cfg(not(target_arch = "x86_64"))]
    const ALL: &[Kernel] = &[Kernel::Portable];

    /// The fastest that this processor can run.
    #[inline]
    pub fn best() -> Kernel {
        let found = BEST.load(Ordering::Relaxed);
        match Self::ALL.get(usize::from(found).wrapping_sub(1)) {
            Some(kernel) => *kernel,
            None => Self::look(),
        }
    }

    /// Those that this processor can run, the slowest first.
    pub fn available() -> impl Iterator<Item = Kernel> {
        Self::ALL.iter().copied().filter(|kernel| kernel.runs_here())
    }

    #[cold]
    fn look() -> Kernel {
        let best = Self::available().last().expect("the portable one runs everywhere");
        BEST.store(best as u8, Ordering::Relaxed);
        best
    }

    /// Whether this processor can run it.
    #[cfg(target_arch = "x86_64")]
    pub fn runs_here(self) -> bool {
        let single = || {
            is_x86_feature_detected!("avx")
                && is_x86_feature_detected!("sse4.2")
                && is_x86_feature_detected!("aes")
                && is_x86_feature_detected!("pclmulqdq")
        };
        let double = || {
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("vaes")
                && is_x86_feature_detected!("vpclmulqdq")
        };
        match self {
            Kernel::Portable => true,
            Kernel::Single => single(),
            Kernel::Double => single() && double(),
            Kernel::Quad => {
                single()
                    && double()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
        }
    }

    /// Whether this processor can run it.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn runs_here(self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_one_that_runs() {
        assert!(Kernel::best().runs_here());
        assert_eq!(Kernel::available().last(), Some(Kernel::best()));
        assert_eq!(Kernel::ALL[Kernel::best() as usize - 1], Kernel::best());
    }
}
