//! The hash of a row, and the hash of many rows whatever their order.
//!
//! A row is hashed with SHA-256, field by field with its length, and the first
//! 128 bits are taken as a number. The hash of a set of rows is the sum of their
//! hashes, wrapping: a row is added or taken away in constant time, and equal
//! rows give an equal sum in whatever order they came. This finds bugs and bit
//! rot. It is no signature: sums can be forged by one who chooses the rows.

use sha2::{Digest, Sha256};

use crate::{EffectRow, IdempotentRow, ObjectRow, OperationRow, StepRow};

/// A row that can be hashed. No two tables may use the same first letter.
pub(crate) trait Hashed {
    /// The first 128 bits of the SHA-256 of the row.
    fn hashed(&self) -> u128;
}

/// The fields of one row on their way into the hash.
struct Fields(Sha256);

impl Fields {
    fn of(table: u8) -> Self {
        Fields(Sha256::new_with_prefix([table]))
    }
    fn text(mut self, text: &str) -> Self {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text);
        self
    }
    fn fixed(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.update(bytes);
        self
    }
    fn end(self) -> u128 {
        let digest = self.0.finalize();
        let (head, _) = digest.split_first_chunk::<16>().expect("SHA-256 has 32 bytes");
        u128::from_be_bytes(*head)
    }
}

impl Hashed for ObjectRow {
    fn hashed(&self) -> u128 {
        Fields::of(b'o')
            .text(&self.kind)
            .fixed(self.id)
            .text(&self.name)
            .fixed(self.generation.to_be_bytes())
            .text(&self.body)
            .end()
    }
}

impl Hashed for OperationRow {
    fn hashed(&self) -> u128 {
        Fields::of(b'p')
            .fixed(self.id)
            .text(&self.kind)
            .fixed(self.target)
            .text(&self.state)
            .text(&self.body)
            .end()
    }
}

impl Hashed for StepRow {
    fn hashed(&self) -> u128 {
        let index = self.index.to_be_bytes();
        Fields::of(b's').fixed(self.operation).fixed(index).text(&self.body).end()
    }
}

impl Hashed for EffectRow {
    fn hashed(&self) -> u128 {
        Fields::of(b'e')
            .fixed(self.id)
            .fixed(self.target)
            .fixed(self.sequence.to_be_bytes())
            .text(&self.body)
            .end()
    }
}

impl Hashed for IdempotentRow {
    fn hashed(&self) -> u128 {
        Fields::of(b'i')
            .text(&self.key)
            .text(&self.digest)
            .text(&self.reply)
            .fixed(self.expires.micros().to_be_bytes())
            .end()
    }
}
