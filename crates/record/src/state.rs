//! The record in memory: the fold of all changes up to a revision.
//!
//! The engine of `control` decides on this, every store loads it from its
//! tables, and a replay of the events must give the same. The rows of each table
//! lie in the order of their keys, so that two states that hold the same rows
//! also list them in the same order.

use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;
use uuid::Uuid;

use crate::digest::Hashed;
use crate::{
    Change, EffectRow, IdempotentRow, ObjectRow, OperationRow, Revision, StepRow, Transaction,
};

/// A row beside its hash, which is needed again when the row goes.
#[derive(Clone, Debug, PartialEq)]
struct Kept<R> {
    row: R,
    hash: u128,
}

/// All objects of one kind.
#[derive(Clone, Debug, Default, PartialEq)]
struct Kind {
    rows: BTreeMap<Uuid, Kept<ObjectRow>>,
    /// Ids in order; more than one only where the writer lets names be shared.
    names: BTreeMap<String, Vec<Uuid>>,
}

/// The fold of all changes up to a revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    revision: Revision,
    hash: u128,
    objects: BTreeMap<String, Kind>,
    operations: BTreeMap<Uuid, Kept<OperationRow>>,
    steps: BTreeMap<(Uuid, u32), Kept<StepRow>>,
    outbox: BTreeMap<Uuid, Kept<EffectRow>>,
    queues: BTreeSet<(Uuid, u64, Uuid)>,
    idempotent: BTreeMap<String, Kept<IdempotentRow>>,
    expiries: BTreeSet<(Timestamp, String)>,
}

impl State {
    /// The empty record, at revision 0.
    pub fn new() -> State {
        State::default()
    }

    /// The revision of the last change; 0 when there was none.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// A hash of all rows: equal for equal rows, however they came to be. Does
    /// not cover the revision.
    pub fn hash(&self) -> u128 {
        self.hash
    }

    /// An object.
    pub fn object(&self, kind: &str, id: Uuid) -> Option<&ObjectRow> {
        Some(&self.objects.get(kind)?.rows.get(&id)?.row)
    }

    /// An object by its name; the one with the lowest id where names are shared.
    pub fn object_named(&self, kind: &str, name: &str) -> Option<&ObjectRow> {
        let kind = self.objects.get(kind)?;
        let id = kind.names.get(name)?.first()?;
        Some(&kind.rows.get(id)?.row)
    }

    /// All objects of a kind, ordered by id.
    pub fn objects(&self, kind: &str) -> impl Iterator<Item = &ObjectRow> {
        self.objects.get(kind).into_iter().flat_map(|kind| kind.rows.values().map(|kept| &kept.row))
    }

    /// The objects of a kind whose id is greater than `after`, ordered by id:
    /// the next page of a list.
    pub fn objects_after(&self, kind: &str, after: Uuid) -> impl Iterator<Item = &ObjectRow> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.objects.get(kind).into_iter().flat_map(move |kind| {
            kind.rows.range((Excluded(after), Unbounded)).map(|(_, kept)| &kept.row)
        })
    }

    /// How many objects of a kind there are.
    pub fn object_count(&self, kind: &str) -> usize {
        self.objects.get(kind).map_or(0, |kind| kind.rows.len())
    }

    /// The kinds of which there are objects, in order.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.objects.keys().map(String::as_str)
    }

    /// An operation.
    pub fn operation(&self, id: Uuid) -> Option<&OperationRow> {
        Some(&self.operations.get(&id)?.row)
    }

    /// All operations, ordered by id.
    pub fn operations(&self) -> impl Iterator<Item = &OperationRow> {
        self.operations.values().map(|kept| &kept.row)
    }

    /// One step of an operation.
    pub fn step(&self, operation: Uuid, index: u32) -> Option<&StepRow> {
        Some(&self.steps.get(&(operation, index))?.row)
    }

    /// The steps of an operation, in order.
    pub fn steps(&self, operation: Uuid) -> impl Iterator<Item = &StepRow> {
        self.steps.range((operation, 0)..=(operation, u32::MAX)).map(|(_, kept)| &kept.row)
    }

    /// An effect that waits.
    pub fn effect(&self, id: Uuid) -> Option<&EffectRow> {
        Some(&self.outbox.get(&id)?.row)
    }

    /// All effects that wait, ordered by id.
    pub fn outbox(&self) -> impl Iterator<Item = &EffectRow> {
        self.outbox.values().map(|kept| &kept.row)
    }

    /// The effects that wait for one target, in the order of their sequence.
    pub fn outbox_of(&self, target: Uuid) -> impl Iterator<Item = &EffectRow> {
        self.queues
            .range((target, 0, Uuid::nil())..=(target, u64::MAX, Uuid::max()))
            .filter_map(|(_, _, id)| self.effect(*id))
    }

    /// The reply that is remembered under a key, expired or not.
    pub fn idempotent(&self, key: &str) -> Option<&IdempotentRow> {
        Some(&self.idempotent.get(key)?.row)
    }

    /// All remembered replies, ordered by key.
    pub fn idempotents(&self) -> impl Iterator<Item = &IdempotentRow> {
        self.idempotent.values().map(|kept| &kept.row)
    }

    /// The keys of the replies that have expired at `now`, oldest first.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        self.expiries.iter().take_while(move |(at, _)| *at <= now).map(|(_, key)| key.as_str())
    }
}

impl State {
    /// Applies a transaction whose first change has the revision `first`, and
    /// gives the revision of its last one. Panics when `first` is not the next
    /// revision: a gap would go unnoticed for ever.
    pub fn apply(&mut self, first: Revision, transaction: &Transaction) -> Revision {
        assert_eq!(first, self.revision + 1, "a change is missing or comes twice");
        for change in &transaction.changes {
            self.apply_change(change);
        }
        self.revision = transaction.last(first);
        self.revision
    }

    /// Applies the change of one event. Panics when it is not the next one.
    pub fn apply_event(&mut self, revision: Revision, change: &Change) {
        assert_eq!(revision, self.revision + 1, "an event is missing or comes twice");
        self.apply_change(change);
        self.revision = revision;
    }

    /// A state in the making, from the rows of tables: `apply_change` for each of
    /// them in any order.
    pub(crate) fn at(revision: Revision) -> State {
        State { revision, ..State::default() }
    }

    /// Writes one row, without counting a revision.
    pub(crate) fn apply_change(&mut self, change: &Change) {
        match change {
            Change::Object(row) => self.put_object(row),
            Change::ObjectRemoved { kind, id } => self.remove_object(kind, *id),
            Change::Operation(row) => {
                let new = keep(row, &mut self.hash);
                let old = self.operations.insert(row.id, new);
                self.unhash(old.map(|kept| kept.hash));
            }
            Change::Step(row) => {
                let new = keep(row, &mut self.hash);
                let old = self.steps.insert((row.operation, row.index), new);
                self.unhash(old.map(|kept| kept.hash));
            }
            Change::EffectQueued(row) => {
                self.remove_effect(row.id);
                let new = keep(row, &mut self.hash);
                self.outbox.insert(row.id, new);
                self.queues.insert((row.target, row.sequence, row.id));
            }
            Change::EffectSettled { id, .. } => self.remove_effect(*id),
            Change::Idempotent(row) => {
                self.remove_idempotent(&row.key);
                let new = keep(row, &mut self.hash);
                self.idempotent.insert(row.key.clone(), new);
                self.expiries.insert((row.expires, row.key.clone()));
            }
            Change::IdempotentForgotten { key } => self.remove_idempotent(key),
            Change::OperationForgotten { id } => {
                let old = self.operations.remove(id);
                self.unhash(old.map(|kept| kept.hash));
            }
            Change::StepForgotten { operation, index } => {
                let old = self.steps.remove(&(*operation, *index));
                self.unhash(old.map(|kept| kept.hash));
            }
        }
    }

    fn put_object(&mut self, row: &ObjectRow) {
        let new = keep(row, &mut self.hash);
        if !self.objects.contains_key(&row.kind) {
            self.objects.insert(row.kind.clone(), Kind::default());
        }
        let kind = self.objects.get_mut(&row.kind).expect("just inserted");
        let old = kind.rows.insert(row.id, new);
        match &old {
            Some(old) if old.row.name == row.name => {}
            Some(old) => {
                kind.unname(&old.row.name, row.id);
                kind.name(&row.name, row.id);
            }
            None => kind.name(&row.name, row.id),
        }
        self.unhash(old.map(|kept| kept.hash));
    }

    fn remove_object(&mut self, kind: &str, id: Uuid) {
        let Some(of_kind) = self.objects.get_mut(kind) else { return };
        let Some(old) = of_kind.rows.remove(&id) else { return };
        of_kind.unname(&old.row.name, id);
        if of_kind.rows.is_empty() {
            assert!(of_kind.names.is_empty(), "a name without an object");
            self.objects.remove(kind);
        }
        self.unhash(Some(old.hash));
    }

    fn remove_effect(&mut self, id: Uuid) {
        let Some(old) = self.outbox.remove(&id) else { return };
        let queued = self.queues.remove(&(old.row.target, old.row.sequence, id));
        assert!(queued, "an effect outside its queue");
        self.unhash(Some(old.hash));
    }

    fn remove_idempotent(&mut self, key: &str) {
        let Some(old) = self.idempotent.remove(key) else { return };
        let listed = self.expiries.remove(&(old.row.expires, old.row.key));
        assert!(listed, "a remembered reply that would never expire");
        self.unhash(Some(old.hash));
    }

    fn unhash(&mut self, old: Option<u128>) {
        self.hash = self.hash.wrapping_sub(old.unwrap_or(0));
    }
}

impl Kind {
    fn name(&mut self, name: &str, id: Uuid) {
        let ids = self.names.entry(name.to_owned()).or_default();
        let place = ids.binary_search(&id).expect_err("an object is named once");
        ids.insert(place, id);
    }

    fn unname(&mut self, name: &str, id: Uuid) {
        let ids = self.names.get_mut(name).expect("every object has its name listed");
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            self.names.remove(name);
        }
    }
}

/// A row with its hash, which is added to the sum.
fn keep<R: Clone + Hashed>(row: &R, sum: &mut u128) -> Kept<R> {
    let hash = row.hashed();
    *sum = sum.wrapping_add(hash);
    Kept { row: row.clone(), hash }
}
