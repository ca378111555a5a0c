//! Randomness: from the kernel for keys and ids, from a seed for simulations.

use model::Timestamp;
use model::id::Id;

/// A source of random bytes.
pub trait Entropy: Send {
    /// Fills the buffer.
    fn fill(&mut self, buffer: &mut [u8]);

    /// 64 random bits.
    fn next(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number below `limit`, which must not be 0. The bias is at most `limit / 2^64`.
    fn below(&mut self, limit: u64) -> u64 {
        assert!(limit > 0, "nothing is below 0");
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// Whether something happens that happens so many times in a million.
    fn chance(&mut self, per_million: u32) -> bool {
        self.below(1_000_000) < u64::from(per_million)
    }

    /// `N` random bytes.
    fn bytes<const N: usize>(&mut self) -> [u8; N]
    where
        Self: Sized,
    {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

/// A new id, by the given time and randomness.
pub fn new_id<N>(now: Timestamp, entropy: &mut dyn Entropy) -> Id<N> {
    let mut random = [0; 10];
    entropy.fill(&mut random);
    Id::new(now, random)
}

/// Twice `N` random hexadecimal digits, for tokens.
pub fn new_token<const N: usize>(entropy: &mut dyn Entropy) -> String {
    let mut random = [0; N];
    entropy.fill(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The kernel's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, buffer: &mut [u8]) {
        let mut filled = 0;
        while filled < buffer.len() {
            let got = rustix::rand::getrandom(
                &mut buffer[filled..],
                rustix::rand::GetRandomFlags::empty(),
            );
            match got {
                Ok(count) => filled += count,
                Err(rustix::io::Errno::INTR) => {}
                // Without randomness no key can be made; going on would be worse than stopping.
                Err(error) => panic!("the kernel gives no randomness: {error}"),
            }
        }
    }
}

/// Randomness from a seed: SplitMix64 (Steele, Lea and Flood, 2014). Not for keys.
#[derive(Clone, Debug)]
pub struct Seeded {
    state: u64,
}

impl Seeded {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Another source that depends on this one's seed and a label, and on nothing
    /// that has been drawn meanwhile elsewhere.
    pub fn fork(&mut self, label: u64) -> Self {
        Self { state: self.next() ^ label.wrapping_mul(0x9e37_79b9_7f4a_7c15) }
    }
}

impl Entropy for Seeded {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_another_seed_others() {
        let draw = |seed| {
            let mut source = Seeded::new(seed);
            [source.next(), source.below(10), u64::from(source.chance(500_000)), source.next()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn the_kernel_fills_the_whole_buffer() {
        let mut buffer = [0; 1024];
        SystemEntropy.fill(&mut buffer);
        assert!(buffer[1000..].iter().any(|byte| *byte != 0));
    }
}
