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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn objects(id: Uuid, other: Uuid) -> Vec<u128> {
        let row = |kind: &str, id, name: &str, generation, body: &str| {
            let (kind, name, body) = (kind.to_owned(), name.to_owned(), body.to_owned());
            ObjectRow { kind, id, name, generation, body }.hashed()
        };
        vec![
            row("k", id, "n", 1, "b"),
            row("x", id, "n", 1, "b"),
            row("k", other, "n", 1, "b"),
            row("k", id, "x", 1, "b"),
            row("k", id, "n", 2, "b"),
            row("k", id, "n", 1, "x"),
            row("", id, "kn", 1, "b"),
        ]
    }

    fn operations(id: Uuid, other: Uuid) -> Vec<u128> {
        let row = |id, kind: &str, target, state: &str, body: &str| {
            let (kind, state, body) = (kind.to_owned(), state.to_owned(), body.to_owned());
            OperationRow { id, kind, target, state, body }.hashed()
        };
        vec![
            row(id, "k", id, "s", "b"),
            row(other, "k", id, "s", "b"),
            row(id, "x", id, "s", "b"),
            row(id, "k", other, "s", "b"),
            row(id, "k", id, "x", "b"),
            row(id, "k", id, "s", "x"),
            row(id, "k", id, "sb", ""),
        ]
    }

    fn steps_and_effects(id: Uuid, other: Uuid) -> Vec<u128> {
        let step = |operation, index, body: &str| {
            StepRow { operation, index, body: body.to_owned() }.hashed()
        };
        let effect = |id, target, sequence, body: &str| {
            EffectRow { id, target, sequence, body: body.to_owned() }.hashed()
        };
        vec![
            step(id, 1, "b"),
            step(other, 1, "b"),
            step(id, 2, "b"),
            step(id, 1, "x"),
            effect(id, id, 1, "b"),
            effect(other, id, 1, "b"),
            effect(id, other, 1, "b"),
            effect(id, id, 2, "b"),
            effect(id, id, 1, "x"),
        ]
    }

    fn replies() -> Vec<u128> {
        let row = |key: &str, digest: &str, reply: &str, expires| {
            let (key, digest, reply) = (key.to_owned(), digest.to_owned(), reply.to_owned());
            let expires = Timestamp::from_micros(expires);
            IdempotentRow { key, digest, reply, expires }.hashed()
        };
        vec![
            row("k", "d", "r", 1),
            row("x", "d", "r", 1),
            row("k", "x", "r", 1),
            row("k", "d", "x", 1),
            row("k", "d", "r", -1),
            row("kd", "", "r", 1),
        ]
    }

    #[test]
    fn every_field_changes_the_hash() {
        let (id, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let all =
            [objects(id, other), operations(id, other), steps_and_effects(id, other), replies()]
                .concat();
        let different: BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }
}
