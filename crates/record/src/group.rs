//! Group commit: how many waiting transactions go into one database transaction.
//!
//! One fsync costs the same for one transaction as for a hundred. The writer
//! therefore takes all that wait, up to these limits, and never waits for more:
//! while it writes one batch the next one gathers by itself, so the batches grow
//! with the load and a lone transaction is not held up.

use crate::Transaction;

/// How much goes into one batch at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transactions.
    pub transactions: usize,
    /// Changes in all transactions together.
    pub changes: usize,
    /// Bytes in all transactions together, by [`Transaction::bytes`].
    pub bytes: usize,
}

impl Limits {
    /// What a cell uses: a batch takes some ten milliseconds to write.
    pub const CELL: Limits = Limits { transactions: 512, changes: 4_096, bytes: 4 << 20 };

    /// How many of the waiting transactions, from the first, go into the next
    /// batch. None only when none waits: a transaction that is larger than a
    /// batch goes alone, for it cannot be divided.
    pub fn take<'a>(&self, waiting: impl IntoIterator<Item = &'a Transaction>) -> usize {
        let (mut taken, mut changes, mut bytes) = (0, 0, 0);
        for transaction in waiting {
            changes += transaction.changes.len();
            bytes += transaction.bytes();
            let over = changes > self.changes || bytes > self.bytes;
            if taken == self.transactions || (over && taken > 0) {
                break;
            }
            taken += 1;
        }
        taken
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::CELL
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;
    use crate::Change;

    fn transaction(changes: usize, key_bytes: usize) -> Transaction {
        let change = Change::IdempotentForgotten { key: "k".repeat(key_bytes) };
        Transaction {
            at: Timestamp::from_micros(0),
            actor: String::new(),
            request: None,
            changes: vec![change; changes],
        }
    }

    #[test]
    fn takes_all_that_wait_within_the_limits() {
        let limits = Limits { transactions: 3, changes: 10, bytes: 1_000 };
        assert_eq!(limits.take(&[]), 0);
        assert_eq!(limits.take(&vec![transaction(1, 1); 2]), 2);
        assert_eq!(limits.take(&vec![transaction(1, 1); 9]), 3);
        assert_eq!(limits.take(&vec![transaction(4, 1); 3]), 2);
        assert_eq!(limits.take(&vec![transaction(1, 400); 3]), 2);
    }

    #[test]
    fn what_is_too_large_goes_alone() {
        let limits = Limits { transactions: 3, changes: 10, bytes: 1_000 };
        let large = [transaction(1, 5_000), transaction(1, 1)];
        assert_eq!(limits.take(&large), 1);
        let later = [transaction(1, 1), transaction(1, 5_000)];
        assert_eq!(limits.take(&later), 1);
        let empty = Limits { transactions: 1, changes: 0, bytes: 0 };
        assert_eq!(empty.take(&large), 1);
    }
}
