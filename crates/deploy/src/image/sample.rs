//! A sample of what was written, to be read back from the disk before it is
//! called good. Digests are kept, not data; as the image grows the sample thins
//! out evenly, so that it always covers the whole disk with bounded memory.

use std::io;

use model::agent::AgentFailure;
use sha2::{Digest as _, Sha256};

use super::aligned::{Aligned, BLOCK};
use crate::failure;

/// At most so many pieces are kept.
const MOST: usize = 128;

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: u64,
    length: usize,
    digest: [u8; 32],
}

/// The sample.
#[derive(Debug, Default)]
pub struct Samples {
    kept: Vec<Sample>,
    seen: u64,
    /// One piece in `1 << thinning` is kept.
    thinning: u32,
}

impl Samples {
    /// A piece was written, in whole blocks.
    pub fn wrote(&mut self, at: u64, data: &[u8]) {
        self.forget(at, data.len() as u64);
        let chosen = self.seen.trailing_zeros() >= self.thinning || self.seen == 0;
        self.seen += 1;
        if !chosen {
            return;
        }
        if self.kept.len() == MOST {
            self.thinning += 1;
            let mut odd = false;
            self.kept.retain(|_| {
                odd = !odd;
                odd
            });
        }
        self.kept.push(Sample { at, length: data.len(), digest: Sha256::digest(data).into() });
    }

    /// A range no longer holds what was written there.
    pub fn forget(&mut self, at: u64, length: u64) {
        let end = at + length;
        self.kept.retain(|kept| kept.at >= end || kept.at + kept.length as u64 <= at);
    }

    /// Reads every piece again; returns the bytes compared.
    pub fn check(
        &self,
        read: impl Fn(u64, &mut [u8]) -> io::Result<()>,
    ) -> Result<u64, AgentFailure> {
        let mut compared = 0;
        for sample in &self.kept {
            assert!(sample.length.is_multiple_of(BLOCK), "pieces are whole blocks");
            let mut buffer = Aligned::zeroed(sample.length);
            read(sample.at, &mut buffer).map_err(|error| {
                failure::disk(format!("cannot read back byte {}: {error}", sample.at))
            })?;
            if Sha256::digest(&buffer[..])[..] != sample.digest {
                return Err(failure::disk(format!(
                    "the disk does not hold what was written at byte {}",
                    sample.at
                )));
            }
            compared += sample.length as u64;
        }
        Ok(compared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_bounded_and_finds_a_lie() {
        let mut samples = Samples::default();
        for piece in 0..5000u64 {
            samples.wrote(piece * BLOCK as u64, &[piece as u8; BLOCK]);
        }
        assert!(samples.kept.len() <= MOST && samples.kept.len() >= MOST / 4);
        let honest = samples.check(|at, buffer| {
            buffer.fill((at / BLOCK as u64) as u8);
            Ok(())
        });
        assert_eq!(honest.unwrap(), (samples.kept.len() * BLOCK) as u64);
        assert!(samples.check(|_, _| Ok(())).is_err());
    }

    #[test]
    fn forgets_what_was_overwritten() {
        let mut samples = Samples::default();
        samples.wrote(0, &[1; BLOCK]);
        samples.forget(0, 1);
        assert!(samples.kept.is_empty());
    }
}
