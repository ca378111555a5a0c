//! The typed state of the cell: what the record's rows mean. The cell decides on
//! one of these, readers and watchers look at another, and both are the same fold
//! of the same changes.
//!
//! A change is read once ([`Meaning::of`]) and then taken in wherever it belongs
//! ([`Nouns::take`]): the things are shared, not copied.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use uuid::Uuid;

use model::attestation::{Judgement, Policy};
use model::effect::Effect;
use model::fleet::{Host, Instance, InstanceType, PlacementGroup};
use model::id::{EffectId, OperationId};
use model::image::Image;
use model::machine::{Lifecycle, Machine};
use model::operation::{Operation, StepRecord};
use model::project::{Project, Token};
use model::{Id, Resource};
use record::{Change, IdempotentRow, ObjectRow, State};

use crate::placing::Placing;

/// Everything that there is, by kind.
#[derive(Clone, Default)]
pub struct Nouns {
    /// Machines.
    pub machines: Shelf<Machine>,
    /// Images.
    pub images: Shelf<Image>,
    /// Attestation policies.
    pub policies: Shelf<Policy>,
    /// The last judgement of each machine's quote, by the machine's id.
    pub judgements: Shelf<Judgement>,
    /// Projects.
    pub projects: Shelf<Project>,
    /// Tokens.
    pub tokens: Shelf<Token>,
    /// Types of instances.
    pub types: Shelf<InstanceType>,
    /// Groups of instances.
    pub groups: Shelf<PlacementGroup>,
    /// Machines that take instances.
    pub hosts: Shelf<Host>,
    /// Instances.
    pub instances: Shelf<Instance>,
    /// The engine over the last four, machines and projects.
    pub placing: Placing,
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

/// By what machines are found on the network. What machines tell of themselves
/// may be told by two of them, so each entry is a set: what is found must not
/// depend on the order in which they were put.
#[derive(Clone, Default)]
struct MachineIndex {
    by_mac: Index,
    by_boot_token: Index,
    by_home_token: Index,
    by_endorsement: Index,
}

type Index = HashMap<String, BTreeSet<Uuid>>;

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
        let before = self.remove(thing.uuid());
        self.by_name.insert(thing.name().to_owned(), thing.uuid());
        self.by_id.insert(thing.uuid(), thing);
        before
    }

    fn remove(&mut self, id: Uuid) -> Option<Arc<T>> {
        let gone = self.by_id.remove(&id)?;
        // Another may have taken the name in the same transaction.
        if self.by_name.get(gone.name()) == Some(&id) {
            self.by_name.remove(gone.name());
        }
        Some(gone)
    }
}

/// A row that does not mean what its kind says: written by another version, or damaged.
#[derive(Debug, thiserror::Error)]
#[error(
    "the record holds a {kind} that cannot be read: {source}. Restore the data directory from a backup, or start the version that wrote it."
)]
pub struct UnreadableRow {
    kind: String,
    source: serde_json::Error,
}

fn read<T: DeserializeOwned>(kind: &str, body: &str) -> Result<Arc<T>, UnreadableRow> {
    serde_json::from_str(body)
        .map(Arc::new)
        .map_err(|source| UnreadableRow { kind: kind.to_owned(), source })
}

/// What a change means: the same, read. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Meaning {
    /// A machine is made or replaced.
    Machine(Arc<Machine>),
    /// An image is.
    Image(Arc<Image>),
    /// A policy is.
    Policy(Arc<Policy>),
    /// A judgement is.
    Judgement(Arc<Judgement>),
    /// A project is.
    Project(Arc<Project>),
    /// A token is.
    Token(Arc<Token>),
    /// A type of instances is.
    InstanceType(Arc<InstanceType>),
    /// A group of instances is.
    PlacementGroup(Arc<PlacementGroup>),
    /// A host is.
    Host(Arc<Host>),
    /// An instance is.
    Instance(Arc<Instance>),
    /// A thing of this kind is gone.
    Removed(Arc<str>, Uuid),
    /// An operation is begun or moves.
    Operation(Arc<Operation>),
    /// A step is begun or moves.
    Step(Arc<StepRecord>),
    /// An effect waits.
    EffectQueued(Arc<Effect>),
    /// An effect has ended.
    EffectSettled(EffectId),
    /// A reply is kept for its key.
    Idempotent(Arc<IdempotentRow>),
    /// The reply of this key is not kept any more.
    IdempotentForgotten(Arc<str>),
    /// An operation is not kept any more.
    OperationForgotten(OperationId),
    /// A step is not kept any more: it goes with its operation.
    StepForgotten,
    /// Of a later version: kept in the record, of no meaning here.
    Unknown,
}

impl Meaning {
    /// Reads a change.
    pub fn of(change: &Change) -> Result<Self, UnreadableRow> {
        Ok(match change {
            Change::Object(row) => Self::of_object(row)?,
            Change::ObjectRemoved { kind, id } => Self::Removed(kind.as_str().into(), *id),
            Change::Operation(row) => Self::Operation(read("operation", &row.body)?),
            Change::Step(row) => Self::Step(read("step", &row.body)?),
            Change::EffectQueued(row) => Self::EffectQueued(read("effect", &row.body)?),
            Change::EffectSettled { id, .. } => Self::EffectSettled(Id::from_uuid(*id)),
            Change::Idempotent(row) => Self::Idempotent(Arc::new(row.clone())),
            Change::IdempotentForgotten { key } => Self::IdempotentForgotten(key.as_str().into()),
            Change::OperationForgotten { id } => Self::OperationForgotten(Id::from_uuid(*id)),
            Change::StepForgotten { .. } => Self::StepForgotten,
        })
    }

    fn of_object(row: &ObjectRow) -> Result<Self, UnreadableRow> {
        let (kind, body) = (row.kind.as_str(), row.body.as_str());
        Ok(match kind {
            Machine::KIND => Self::Machine(read(kind, body)?),
            Image::KIND => Self::Image(read(kind, body)?),
            Policy::KIND => Self::Policy(read(kind, body)?),
            Judgement::KIND => Self::Judgement(read(kind, body)?),
            Project::KIND => Self::Project(read(kind, body)?),
            Token::KIND => Self::Token(read(kind, body)?),
            InstanceType::KIND => Self::InstanceType(read(kind, body)?),
            PlacementGroup::KIND => Self::PlacementGroup(read(kind, body)?),
            Host::KIND => Self::Host(read(kind, body)?),
            Instance::KIND => Self::Instance(read(kind, body)?),
            _ => Self::Unknown,
        })
    }
}

impl Nouns {
    /// What a loaded record means.
    pub fn load(state: &State) -> Result<Self, UnreadableRow> {
        let mut nouns = Self::default();
        // Hosts after their machines, and instances after everything that they name.
        let mut kinds: Vec<&str> = state.kinds().collect();
        kinds.sort_by_key(|kind| [Host::KIND, Instance::KIND].iter().position(|late| late == kind));
        for row in kinds.into_iter().flat_map(|kind| state.objects(kind)) {
            nouns.take(Meaning::of_object(row)?);
        }
        for row in state.operations() {
            nouns.take(Meaning::Operation(read("operation", &row.body)?));
            for step in state.steps(row.id) {
                nouns.take(Meaning::Step(read("step", &step.body)?));
            }
        }
        for row in state.outbox() {
            nouns.take(Meaning::EffectQueued(read("effect", &row.body)?));
        }
        for row in state.idempotents() {
            nouns.take(Meaning::Idempotent(Arc::new(row.clone())));
        }
        Ok(nouns)
    }

    /// Takes in one change.
    pub fn take(&mut self, meaning: Meaning) {
        match meaning {
            Meaning::Machine(machine) => self.put_machine(machine),
            Meaning::Image(image) => drop(self.images.put(image)),
            Meaning::Policy(policy) => drop(self.policies.put(policy)),
            Meaning::Judgement(judgement) => drop(self.judgements.put(judgement)),
            Meaning::Token(token) => drop(self.tokens.put(token)),
            Meaning::Project(_)
            | Meaning::InstanceType(_)
            | Meaning::PlacementGroup(_)
            | Meaning::Host(_)
            | Meaning::Instance(_) => self.take_placed(meaning),
            Meaning::Removed(kind, id) => self.remove(&kind, id),
            Meaning::Operation(operation) => {
                self.operations.insert(operation.id, operation);
            }
            Meaning::Step(step) => self.put_step(StepRecord::clone(&step)),
            Meaning::EffectQueued(effect) => {
                self.outbox.insert(effect.id, effect);
            }
            Meaning::EffectSettled(id) => {
                self.outbox.remove(&id);
            }
            Meaning::Idempotent(row) => {
                self.idempotent.insert(row.key.clone(), row);
            }
            Meaning::IdempotentForgotten(key) => {
                self.idempotent.remove(&*key);
            }
            Meaning::OperationForgotten(id) => {
                self.operations.remove(&id);
                self.steps.remove(&id);
            }
            Meaning::StepForgotten | Meaning::Unknown => {}
        }
    }

    /// Takes in what placement is about: the engine first, then the shelf.
    fn take_placed(&mut self, meaning: Meaning) {
        match meaning {
            Meaning::Project(project) => {
                self.placing.put_project(&project.name, &project.spec.quota);
                drop(self.projects.put(project));
            }
            Meaning::InstanceType(made) => {
                self.placing.put_type(&made);
                drop(self.types.put(made));
            }
            Meaning::PlacementGroup(made) => {
                self.placing.put_group(&made);
                drop(self.groups.put(made));
            }
            Meaning::Host(host) => {
                self.placing.put_host(&host, self.machines.get(host.uuid()));
                drop(self.hosts.put(host));
            }
            Meaning::Instance(instance) => {
                self.placing.put_instance(&instance);
                drop(self.instances.put(instance));
            }
            _ => unreachable!("dispatched by take"),
        }
    }

    /// Puts a machine, and keeps the ways to find it.
    pub fn put_machine(&mut self, machine: Arc<Machine>) {
        self.placing.look_at(&machine);
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
            Judgement::KIND => drop(self.judgements.remove(id)),
            Project::KIND => {
                if let Some(gone) = self.projects.remove(id) {
                    self.placing.remove_project(&gone.name);
                }
            }
            Token::KIND => drop(self.tokens.remove(id)),
            InstanceType::KIND => {
                if let Some(gone) = self.types.remove(id) {
                    self.placing.remove_type(&gone.name);
                }
            }
            PlacementGroup::KIND => {
                if let Some(gone) = self.groups.remove(id) {
                    self.placing.remove_group(&gone.name);
                }
            }
            Host::KIND => {
                self.placing.withdraw(id);
                drop(self.hosts.remove(id));
            }
            Instance::KIND => {
                self.placing.remove_instance(id);
                drop(self.instances.remove(id));
            }
            _ => {}
        }
    }

    /// The machine with a hardware address, lower case with colons.
    pub fn machine_by_mac(&self, mac: &str) -> Option<&Arc<Machine>> {
        self.indexed(&self.index.by_mac, mac)
    }
    /// The machine whose TPM has an endorsement key of this digest.
    pub fn machine_by_endorsement(&self, digest: &str) -> Option<&Arc<Machine>> {
        self.indexed(&self.index.by_endorsement, digest)
    }
    /// The machine that may boot with a token.
    pub fn machine_by_boot_token(&self, token: &str) -> Option<&Arc<Machine>> {
        self.indexed(&self.index.by_boot_token, token)
    }
    /// The machine whose system calls home with a token of this digest.
    pub fn machine_by_home_token(&self, digest: &str) -> Option<&Arc<Machine>> {
        self.indexed(&self.index.by_home_token, digest)
    }

    /// Of several, one that somebody enrolled goes before one that was only seen.
    fn indexed(&self, index: &Index, key: &str) -> Option<&Arc<Machine>> {
        let found = index.get(key)?.iter().filter_map(|id| self.machines.get(*id));
        found.min_by_key(|machine| machine.status.lifecycle == Lifecycle::Discovered)
    }
}

impl MachineIndex {
    fn learn(&mut self, machine: &Machine) {
        let id = machine.id.uuid();
        self.each(machine, |index, key| {
            index.entry(key.to_owned()).or_default().insert(id);
        });
    }

    fn forget(&mut self, machine: &Machine) {
        let id = machine.id.uuid();
        self.each(machine, |index, key| {
            let Some(ids) = index.get_mut(key) else { return };
            ids.remove(&id);
            if ids.is_empty() {
                index.remove(key);
            }
        });
    }

    /// Every entry that a machine has.
    fn each(&mut self, machine: &Machine, mut act: impl FnMut(&mut Index, &str)) {
        let status = &machine.status;
        for mac in &status.macs {
            act(&mut self.by_mac, mac);
        }
        if let Some(endorsement) = &status.endorsement {
            act(&mut self.by_endorsement, endorsement);
        }
        if let Some(permit) = &status.boot {
            act(&mut self.by_boot_token, &permit.token);
        }
        if let Some(system) = status.system.as_ref().filter(|it| it.called_home.is_none()) {
            act(&mut self.by_home_token, &system.token_digest);
        }
    }
}
