//! What is recorded: transactions, their changes, and the rows they write.
//!
//! A transaction is what one command decided. Its changes become durable all
//! together or not at all, and each of them is one event. A change carries the
//! whole new row and not a difference, so that a fold needs nothing but the last
//! change of each row, and old events can be pruned.

use model::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The number of a change: 1, 2, 3 and so on, one for each change, without gaps.
/// 0 is the empty record.
pub type Revision = u64;

/// What one command decided: durable as a whole or not at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transaction {
    /// When it was decided.
    pub at: Timestamp,
    /// Who caused it: a person, a role or a machine, in the words of `control`.
    pub actor: String,
    /// The id of the request that caused it, where there was one.
    pub request: Option<String>,
    /// What changes, in this order. They take consecutive revisions.
    pub changes: Vec<Change>,
}

/// One change of one row: one event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// An object is inserted or replaced.
    Object(ObjectRow),
    /// An object is gone. Nothing happens when there was none.
    ObjectRemoved {
        /// Its kind.
        kind: String,
        /// Which.
        id: Uuid,
    },
    /// An operation is inserted or replaced.
    Operation(OperationRow),
    /// A step is inserted or replaced, by operation and index.
    Step(StepRow),
    /// An effect waits in the outbox to be carried out.
    EffectQueued(EffectRow),
    /// An effect has had its end and leaves the outbox.
    EffectSettled {
        /// Which.
        id: Uuid,
        /// How it ended: JSON. Kept in the event only.
        outcome: String,
    },
    /// A reply is remembered under the key of its request.
    Idempotent(IdempotentRow),
    /// A remembered reply has expired.
    IdempotentForgotten {
        /// The key of the request.
        key: String,
    },
    /// An operation is no longer kept. Its steps go by changes of their own.
    OperationForgotten {
        /// Which.
        id: Uuid,
    },
    /// A step is no longer kept.
    StepForgotten {
        /// Of which operation.
        operation: Uuid,
        /// Its number in the operation.
        index: u32,
    },
}

/// A resource of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRow {
    /// The word for its kind.
    pub kind: String,
    /// Which; unique within its kind.
    pub id: Uuid,
    /// Its name. Whether names are unique is for the writer to decide.
    pub name: String,
    /// The generation of its spec: its etag. At most [`i64::MAX`].
    pub generation: u64,
    /// All of it: JSON.
    pub body: String,
}

/// Long work on one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationRow {
    /// Which.
    pub id: Uuid,
    /// The word for the work.
    pub kind: String,
    /// The object that it is about.
    pub target: Uuid,
    /// The word for how it stands.
    pub state: String,
    /// All of it: JSON.
    pub body: String,
}

/// One step of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRow {
    /// Of which operation.
    pub operation: Uuid,
    /// Its number in the operation.
    pub index: u32,
    /// All of it: JSON.
    pub body: String,
}

/// Something that has to be done outside, waiting in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectRow {
    /// Which: the key by which the far side knows a repetition.
    pub id: Uuid,
    /// The object that it is for.
    pub target: Uuid,
    /// Effects for one target go out in this order. At most [`i64::MAX`].
    pub sequence: u64,
    /// What to do: JSON.
    pub body: String,
}

/// The remembered reply to a request, so that a repetition does nothing twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotentRow {
    /// The key that the client chose, with whatever scope the writer gives it.
    pub key: String,
    /// A digest of the request: the same key with another request is refused.
    pub digest: String,
    /// What was answered: JSON.
    pub reply: String,
    /// When it may be forgotten.
    pub expires: Timestamp,
}

/// A change as it was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// Its number.
    pub revision: Revision,
    /// When its transaction was decided.
    pub at: Timestamp,
    /// Who caused its transaction.
    pub actor: String,
    /// The request that caused its transaction, where there was one.
    pub request: Option<String>,
    /// The change.
    pub change: Change,
}

impl Transaction {
    /// The last revision of this transaction when its first one is `first`.
    /// A transaction without changes takes no revision.
    pub fn last(&self, first: Revision) -> Revision {
        assert!(first > 0, "revisions begin at 1");
        first - 1 + self.changes.len() as u64
    }

    /// Why no store can hold it, if so: a zero byte in a text (PostgreSQL has none)
    /// or a number above [`i64::MAX`]. Every store refuses the same.
    pub fn fault(&self) -> Option<&'static str> {
        let mut shared = [self.actor.as_str(), self.request.as_deref().unwrap_or("")].into_iter();
        if shared.any(|text| text.contains('\0')) {
            return Some("an actor or a request id holds a zero byte");
        }
        self.changes.iter().find_map(Change::fault)
    }

    /// About how many bytes it takes in the record, for [`crate::group`].
    pub fn bytes(&self) -> usize {
        let shared = self.actor.len() + self.request.as_ref().map_or(0, String::len) + 32;
        self.changes.iter().map(|change| shared + change.bytes()).sum()
    }
}

impl Change {
    fn fault(&self) -> Option<&'static str> {
        let (number, texts) = match self {
            Change::Object(row) => (row.generation, [&row.kind[..], &row.name, &row.body]),
            Change::ObjectRemoved { kind, .. } => (0, [&kind[..], "", ""]),
            Change::Operation(row) => (0, [&row.kind[..], &row.state, &row.body]),
            Change::Step(row) => (0, [&row.body[..], "", ""]),
            Change::EffectQueued(row) => (row.sequence, [&row.body[..], "", ""]),
            Change::EffectSettled { outcome, .. } => (0, [&outcome[..], "", ""]),
            Change::Idempotent(row) => (0, [&row.key[..], &row.digest, &row.reply]),
            Change::IdempotentForgotten { key } => (0, [&key[..], "", ""]),
            Change::OperationForgotten { .. } | Change::StepForgotten { .. } => (0, ["", "", ""]),
        };
        if number > i64::MAX as u64 {
            return Some("a generation or a sequence is too large");
        }
        texts.iter().any(|text| text.contains('\0')).then_some("a text holds a zero byte")
    }

    /// About how many bytes of text it carries.
    pub fn bytes(&self) -> usize {
        const ID: usize = 36;
        match self {
            Change::Object(row) => ID + row.kind.len() + row.name.len() + row.body.len(),
            Change::ObjectRemoved { kind, .. } => ID + kind.len(),
            Change::Operation(row) => 2 * ID + row.kind.len() + row.state.len() + row.body.len(),
            Change::Step(row) => ID + row.body.len(),
            Change::EffectQueued(row) => 2 * ID + row.body.len(),
            Change::EffectSettled { outcome, .. } => ID + outcome.len(),
            Change::Idempotent(row) => row.key.len() + row.digest.len() + row.reply.len(),
            Change::IdempotentForgotten { key } => key.len(),
            Change::OperationForgotten { .. } | Change::StepForgotten { .. } => ID,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00000000-0000-0000-0000-000000000001";

    /// The text of every change as it lies in the records of users. A record that
    /// was written once must be read for ever: a change of these texts needs a new
    /// schema version and a way to read the old one.
    #[test]
    fn events_keep_their_form() {
        let id = Uuid::from_u128(1);
        let text = |text: &str| text.to_owned();
        let golden = [
            (
                Change::Object(ObjectRow {
                    kind: text("machine"),
                    id,
                    name: text("m1"),
                    generation: 2,
                    body: text("{\"a\":1}"),
                }),
                r#"{"object":{"kind":"machine","id":"ID","name":"m1","generation":2,"body":"{\"a\":1}"}}"#,
            ),
            (
                Change::ObjectRemoved { kind: text("machine"), id },
                r#"{"object-removed":{"kind":"machine","id":"ID"}}"#,
            ),
            (
                Change::Operation(OperationRow {
                    id,
                    kind: text("deploy"),
                    target: id,
                    state: text("running"),
                    body: text("{}"),
                }),
                r#"{"operation":{"id":"ID","kind":"deploy","target":"ID","state":"running","body":"{}"}}"#,
            ),
            (
                Change::Step(StepRow { operation: id, index: 3, body: text("{}") }),
                r#"{"step":{"operation":"ID","index":3,"body":"{}"}}"#,
            ),
            (
                Change::EffectQueued(EffectRow { id, target: id, sequence: 4, body: text("{}") }),
                r#"{"effect-queued":{"id":"ID","target":"ID","sequence":4,"body":"{}"}}"#,
            ),
            (
                Change::EffectSettled { id, outcome: text("{}") },
                r#"{"effect-settled":{"id":"ID","outcome":"{}"}}"#,
            ),
            (
                Change::Idempotent(IdempotentRow {
                    key: text("k"),
                    digest: text("d"),
                    reply: text("r"),
                    expires: Timestamp::from_micros(-5),
                }),
                r#"{"idempotent":{"key":"k","digest":"d","reply":"r","expires":-5}}"#,
            ),
            (
                Change::IdempotentForgotten { key: text("k") },
                r#"{"idempotent-forgotten":{"key":"k"}}"#,
            ),
            (Change::OperationForgotten { id }, r#"{"operation-forgotten":{"id":"ID"}}"#),
            (
                Change::StepForgotten { operation: id, index: 3 },
                r#"{"step-forgotten":{"operation":"ID","index":3}}"#,
            ),
        ];
        for (change, json) in golden {
            let json = json.replace("ID", ID);
            assert_eq!(serde_json::to_string(&change).unwrap(), json);
            assert_eq!(serde_json::from_str::<Change>(&json).unwrap(), change);
        }
    }
}
