//! The typed state of the cell: what the record's rows mean. The cell decides on
//! one of these, readers and watchers look at another, and both are the same fold
//! of the same changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use uuid::Uuid;

use model::attestation::Policy;
use model::effect::Effect;
use model::id::{EffectId, OperationId};
use model::image::Image;
use model::machine::Machine;
use model::operation::{Operation, StepRecord};
use model::project::{Project, Token};
use model::{Id, Resource};
use record::{Change, IdempotentRow, ObjectRow, State};

/// Everything that there is, by kind.
#[derive(Clone, Default)]
pub struct Nouns {
    /// Machines.
    pub machines: Shelf<Machine>,
    /// Images.
    pub images: Shelf<Image>,
    /// Attestation policies.
    pub policies: Shelf<Policy>,
    /// Projects.
    pub projects: Shelf<Project>,
    /// Tokens.
    pub tokens: Shelf<Token>,
    /// Operations, ended ones too.
    pub operations: BTreeMap<OperationId, Arc<Operation>>,
    /// Journals of operations, in the order of their steps.
    pub steps: BTreeMap<OperationId, Vec<StepRecord>>,
    /// Effects that were asked and have not ended.
    pub outbox: BTreeMap<EffectId, Arc<Effect>>,
    /// Replies by idempotency key.
    pub idempotent: HashMap<String, Arc<IdempotentRow>>,
    index: MachineIndex,
}

/// By what machines are found on the network.
#[derive(Clone, Default)]
struct MachineIndex {
    by_mac: HashMap<String, Uuid>,
    by_boot_token: HashMap<String, Uuid>,
    by_home_token: HashMap<String, Uuid>,
}

/// Things of one kind, by id and by name.
#[derive(Clone)]
pub struct Shelf<T> {
    by_id: BTreeMap<Uuid, Arc<T>>,
    by_name: HashMap<String, Uuid>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { by_id: BTreeMap::new(), by_name: HashMap::new() }
    }
}

/// What can stand on a shelf.
pub trait Shelved: DeserializeOwned {
    /// As the record writes it.
    const KIND: &'static str;
    /// Its id.
    fn uuid(&self) -> Uuid;
    /// Its name.
    fn name(&self) -> &str;
    /// Its generation.
    fn generation(&self) -> u64;
}

impl<N: model::id::Noun, S, T> Shelved for Resource<Id<N>, S, T>
where
    Self: DeserializeOwned,
{
    const KIND: &'static str = N::NAME;
    fn uuid(&self) -> Uuid {
        self.id.uuid()
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn generation(&self) -> u64 {
        self.generation
    }
}

impl<T: Shelved> Shelf<T> {
    /// By id.
    pub fn get(&self, id: Uuid) -> Option<&Arc<T>> {
        self.by_id.get(&id)
    }
    /// By name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<T>> {
        self.by_id.get(self.by_name.get(name)?)
    }
    /// By name, or by id in its text form.
    pub fn find(&self, name_or_id: &str) -> Option<&Arc<T>> {
        self.by_name(name_or_id).or_else(|| self.get(Uuid::parse_str(name_or_id).ok()?))
    }
    /// All, in the order of their ids.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Uuid, &Arc<T>)> {
        self.by_id.iter().map(|(id, thing)| (*id, thing))
    }
    /// Those after an id, in the order of their ids; all when `None`.
    pub fn after(&self, id: Option<Uuid>) -> impl DoubleEndedIterator<Item = (Uuid, &Arc<T>)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = id.map_or(Unbounded, Excluded);
        self.by_id.range((from, Unbounded)).map(|(id, thing)| (*id, thing))
    }
    /// How many.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    fn put(&mut self, thing: Arc<T>) -> Option<Arc<T>> {
        let id = thing.uuid();
        self.by_name.insert(thing.name().to_owned(), id);
        let before = self.by_id.insert(id, thing);
        if let Some(before) = &before
            && before.name() != self.by_id[&id].name()
        {
            self.by_name.remove(before.name());
        }
        before
    }

    fn remove(&mut self, id: Uuid) -> Option<Arc<T>> {
        let gone = self.by_id.remove(&id)?;
        self.by_name.remove(gone.name());
        Some(gone)
    }
}

/// A row that does not mean what its kind says: written by another version, or damaged.
#[derive(Debug, thiserror::Error)]
#[error("the record holds a {kind} that cannot be read: {source}. Restore the data directory from a backup, or start the version that wrote it.")]
pub struct UnreadableRow {
    kind: String,
    source: serde_json::Error,
}

fn read<T: DeserializeOwned>(kind: &str, body: &str) -> Result<T, UnreadableRow> {
    serde_json::from_str(body).map_err(|source| UnreadableRow { kind: kind.to_owned(), source })
}

impl Nouns {
    /// What a loaded record means.
    pub fn load(state: &State) -> Result<Self, UnreadableRow> {
        let mut nouns = Self::default();
        for row in state.kinds().flat_map(|kind| state.objects(kind)) {
            nouns.put_row(row)?;
        }
        for row in state.operations() {
            nouns.apply(&Change::Operation(row.clone()))?;
            for step in state.steps(row.id) {
                nouns.apply(&Change::Step(step.clone()))?;
            }
        }
        for row in state.outbox() {
            nouns.apply(&Change::EffectQueued(row.clone()))?;
        }
        for row in state.idempotents() {
            nouns.apply(&Change::Idempotent(row.clone()))?;
        }
        Ok(nouns)
    }

    /// Takes in one change.
    pub fn apply(&mut self, change: &Change) -> Result<(), UnreadableRow> {
        match change {
            Change::Object(row) => self.put_row(row)?,
            Change::ObjectRemoved { kind, id } => self.remove(kind, *id),
            Change::Operation(row) => {
                let operation: Operation = read("operation", &row.body)?;
                self.operations.insert(operation.id, Arc::new(operation));
            }
            Change::Step(row) => self.put_step(read("step", &row.body)?),
            Change::EffectQueued(row) => {
                let effect: Effect = read("effect", &row.body)?;
                self.outbox.insert(effect.id, Arc::new(effect));
            }
            Change::EffectSettled { id, .. } => {
                self.outbox.remove(&Id::from_uuid(*id));
            }
            Change::Idempotent(row) => {
                self.idempotent.insert(row.key.clone(), Arc::new(row.clone()));
            }
            Change::IdempotentForgotten { key } => {
                self.idempotent.remove(key);
            }
        }
        Ok(())
    }

    fn put_row(&mut self, row: &ObjectRow) -> Result<(), UnreadableRow> {
        let (kind, body) = (row.kind.as_str(), row.body.as_str());
        match kind {
            Machine::KIND => self.put_machine(Arc::new(read(kind, body)?)),
            Image::KIND => drop(self.images.put(Arc::new(read(kind, body)?))),
            Policy::KIND => drop(self.policies.put(Arc::new(read(kind, body)?))),
            Project::KIND => drop(self.projects.put(Arc::new(read(kind, body)?))),
            Token::KIND => drop(self.tokens.put(Arc::new(read(kind, body)?))),
            // Of a later version: kept in the record, of no meaning here.
            _ => {}
        }
        Ok(())
    }

    /// Puts a machine, and keeps the ways to find it.
    pub fn put_machine(&mut self, machine: Arc<Machine>) {
        let before = self.machines.put(machine.clone());
        if let Some(before) = before {
            self.index.forget(&before);
        }
        self.index.learn(&machine);
    }

    fn put_step(&mut self, step: StepRecord) {
        let journal = self.steps.entry(step.operation).or_default();
        match journal.binary_search_by_key(&step.index, |known| known.index) {
            Ok(place) => journal[place] = step,
            Err(place) => journal.insert(place, step),
        }
    }

    fn remove(&mut self, kind: &str, id: Uuid) {
        match kind {
            Machine::KIND => {
                if let Some(gone) = self.machines.remove(id) {
                    self.index.forget(&gone);
                }
            }
            Image::KIND => drop(self.images.remove(id)),
            Policy::KIND => drop(self.policies.remove(id)),
            Project::KIND => drop(self.projects.remove(id)),
            Token::KIND => drop(self.tokens.remove(id)),
            _ => {}
        }
    }

    /// The machine with a hardware address, lower case with colons.
    pub fn machine_by_mac(&self, mac: &str) -> Option<&Arc<Machine>> {
        self.machines.get(*self.index.by_mac.get(mac)?)
    }
    /// The machine that may boot with a token.
    pub fn machine_by_boot_token(&self, token: &str) -> Option<&Arc<Machine>> {
        self.machines.get(*self.index.by_boot_token.get(token)?)
    }
    /// The machine whose system calls home with a token of this digest.
    pub fn machine_by_home_token(&self, digest: &str) -> Option<&Arc<Machine>> {
        self.machines.get(*self.index.by_home_token.get(digest)?)
    }
}

impl MachineIndex {
    fn learn(&mut self, machine: &Machine) {
        let (id, status) = (machine.id.uuid(), &machine.status);
        for mac in &status.macs {
            self.by_mac.insert(mac.clone(), id);
        }
        if let Some(permit) = &status.boot {
            self.by_boot_token.insert(permit.token.clone(), id);
        }
        if let Some(system) = status.system.as_ref().filter(|it| it.called_home.is_none()) {
            self.by_home_token.insert(system.token_digest.clone(), id);
        }
    }

    fn forget(&mut self, machine: &Machine) {
        let status = &machine.status;
        for mac in &status.macs {
            if self.by_mac.get(mac) == Some(&machine.id.uuid()) {
                self.by_mac.remove(mac);
            }
        }
        if let Some(permit) = &status.boot {
            self.by_boot_token.remove(&permit.token);
        }
        if let Some(system) = &status.system {
            self.by_home_token.remove(&system.token_digest);
        }
    }
}
