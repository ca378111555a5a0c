//! The engine of placement over what is recorded: which host is which machine, which
//! allocation is which instance. It is a fold of the record like the nouns beside it, so
//! that a restart, a follower and a take-over have the same cell.
//!
//! Nothing is decided here: [`crate::cell`] asks the engine, writes the answer into the
//! instance's status, and what was written is taken in ([`Placing::put_instance`]) wherever
//! the record is read.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fleet::placement::explain::Explanation;
use fleet::placement::fits::Share;
use fleet::placement::state::NODES;
use fleet::placement::totals::Totals;
use fleet::placement::{
    Allocation, Cell, Choice, Domain, Group, GroupSpec, Host as Slot, HostSpec, Kind, KindId,
    Level, Place, Project as Payer, Refusal, Request, Spread,
};
use model::Resources;
use model::fleet::{
    DomainLevel, Host, Instance, InstanceType, Lies, Lifetime, PlacementGroup, Quota,
};
use model::machine::{Lifecycle, Machine};
use uuid::Uuid;

/// The engine, and what its handles stand for.
#[derive(Clone, Default)]
pub struct Placing {
    cell: Cell,
    hosts: HashMap<Uuid, Slot>,
    /// Which machine each host is, by its number; nil for one that was withdrawn.
    machines: Vec<Uuid>,
    kinds: HashMap<String, KindId>,
    groups: HashMap<String, Group>,
    payers: HashMap<String, Payer>,
    domains: HashMap<(usize, String), Domain>,
    allocations: HashMap<Uuid, Allocation>,
    /// Instances by host.
    on: HashMap<Uuid, BTreeSet<Uuid>>,
    waiting: BTreeSet<Uuid>,
    /// Instances whose record says where they are, and there is no room: never, unless the
    /// record was changed by hand.
    strays: BTreeSet<Uuid>,
}

impl Placing {
    /// What an instance of a type, a group and a project asks for; `None` when one of them is
    /// not known.
    pub fn request(&self, kind: &str, group: Option<&str>, project: &str) -> Option<Request> {
        Some(Request {
            kind: *self.kinds.get(kind)?,
            group: match group {
                Some(group) => Some(*self.groups.get(group)?),
                None => None,
            },
            project: Some(*self.payers.get(project)?),
        })
    }

    /// A host for it: the machine, and how the instance lies there.
    pub fn decide(&self, request: &Request, salt: u64) -> Result<(Uuid, Lies), Refusal> {
        let Choice { host, share } = self.cell.decide(request, salt)?;
        Ok((self.machines[host.number() as usize], recorded(&share)))
    }

    /// Who would have to leave so that it has room: the instances of one host.
    pub fn victims(&self, request: &Request, salt: u64) -> Option<Vec<Uuid>> {
        let eviction = self.cell.decide_eviction(request, salt).ok()?;
        let host = self.machines[eviction.host.number() as usize];
        let of = |victim: &Allocation| {
            let mut all = self.on.get(&host).into_iter().flatten();
            all.find(|id| self.allocations.get(*id) == Some(victim)).copied()
        };
        eviction.victims.iter().map(of).collect()
    }

    /// Why hosts do not take it.
    pub fn explain(&self, request: &Request) -> Explanation {
        self.cell.explain(request)
    }

    /// How many more of a type fit.
    pub fn capacity(&self, kind: &str) -> Option<u64> {
        Some(self.cell.capacity(*self.kinds.get(kind)?))
    }

    /// Sums over all hosts.
    pub fn totals(&self) -> Totals {
        self.cell.totals()
    }

    /// What the instances of a project take.
    pub fn used(&self, project: &str) -> [u64; 5] {
        self.payers.get(project).map_or([0; 5], |payer| self.cell.used(*payer))
    }

    /// The instances on a machine.
    pub fn on(&self, machine: Uuid) -> impl Iterator<Item = Uuid> + '_ {
        self.on.get(&machine).into_iter().flatten().copied()
    }

    /// Whether a machine is a host that takes new instances.
    pub fn is_open(&self, machine: Uuid) -> bool {
        self.hosts.get(&machine).is_some_and(|slot| self.cell.is_open(*slot))
    }

    /// What a host has free.
    pub fn free(&self, machine: Uuid) -> Option<Resources> {
        self.hosts.get(&machine).map(|slot| self.cell.free(*slot))
    }

    /// Instances that wait for room, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.waiting.iter().copied()
    }

    /// Hosts that are closed and have instances.
    pub fn closed_in_use(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.on.keys().copied().filter(|machine| !self.is_open(*machine))
    }

    /// How many instances have their place, wait, and cannot be where they are said to be.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.allocations.len(), self.waiting.len(), self.strays.len())
    }

    /// How many hosts have instances, and how many states hosts are in.
    pub fn spread(&self) -> (usize, usize) {
        (self.on.len(), self.cell.states())
    }

    /// Everything that there is, in an order that does not depend on how it came: for those
    /// who compare two of them.
    pub fn account(&self) -> Vec<(Uuid, bool, Resources, Vec<Uuid>)> {
        let of = |(machine, slot): (&Uuid, &Slot)| {
            let here = self.on(*machine).collect();
            (*machine, self.cell.is_open(*slot), self.cell.free(*slot), here)
        };
        let mut all: Vec<_> = self.hosts.iter().map(of).collect();
        all.sort_by_key(|row| row.0);
        all
    }
}

/// What the record brings.
impl Placing {
    /// A type is made; types do not change.
    pub fn put_type(&mut self, made: &InstanceType) {
        let kind = Kind {
            resources: made.spec.resources,
            numa: match made.spec.one_node {
                true => fleet::placement::Numa::One,
                false => fleet::placement::Numa::Any,
            },
            labels: made.spec.host_labels.clone(),
            priority: made.spec.priority,
            lifetime: lifetime(made.spec.lifetime),
        };
        let id = self.cell.kind(&kind);
        self.kinds.insert(made.name.clone(), id);
    }

    /// A type is gone.
    pub fn remove_type(&mut self, name: &str) {
        self.kinds.remove(name);
    }

    /// A group is made; groups do not change.
    pub fn put_group(&mut self, made: &PlacementGroup) {
        let spread = made.spec.spread.iter();
        let spec = GroupSpec {
            spread: spread
                .map(|rule| Spread { level: level(rule.level), most: rule.most })
                .collect(),
            together: made.spec.together.map(level),
        };
        let group = self.cell.group(spec);
        self.groups.insert(made.name.clone(), group);
    }

    /// A group is gone.
    pub fn remove_group(&mut self, name: &str) {
        self.groups.remove(name);
    }

    /// A project is made, or its quota changed.
    pub fn put_project(&mut self, name: &str, quota: &Quota) {
        let limit = Some(quota.limits().map(|limit| limit.unwrap_or(u64::MAX)));
        match self.payers.get(name) {
            Some(payer) => self.cell.set_quota(*payer, limit),
            None => {
                let payer = self.cell.project(limit);
                self.payers.insert(name.to_owned(), payer);
            }
        }
    }

    /// A project is gone; it had no instances.
    pub fn remove_project(&mut self, name: &str) {
        self.payers.remove(name);
    }

    /// A host is offered, or its offer changed; then it has no instances.
    pub fn put_host(&mut self, host: &Host, machine: Option<&Arc<Machine>>) {
        let id = host.id.uuid();
        self.withdraw(id);
        let place = self.place(host);
        let (nodes, labels) = (host.status.room.clone(), host.labels.clone());
        let slot = match self.cell.add_host(HostSpec { nodes, place, labels }) {
            Ok(slot) => slot,
            Err(refusal) => {
                tracing::error!(host = host.name, %refusal, "a recorded host is no host");
                return;
            }
        };
        let number = slot.number() as usize;
        if self.machines.len() <= number {
            self.machines.resize(number + 1, Uuid::nil());
        }
        self.machines[number] = id;
        self.hosts.insert(id, slot);
        self.cell.set_open(slot, machine.is_some_and(|machine| takes_instances(machine)));
    }

    /// A host is withdrawn; it has no instances.
    pub fn withdraw(&mut self, id: Uuid) {
        let Some(slot) = self.hosts.remove(&id) else { return };
        self.cell.remove_host(slot).expect("a host goes without instances");
        self.machines[slot.number() as usize] = Uuid::nil();
    }

    /// A machine changed: whether its host takes instances may have.
    pub fn look_at(&mut self, machine: &Machine) {
        if let Some(slot) = self.hosts.get(&machine.id.uuid()) {
            self.cell.set_open(*slot, takes_instances(machine));
        }
    }

    /// An instance is made, placed, moved, or waits.
    pub fn put_instance(&mut self, instance: &Instance) {
        let id = instance.id.uuid();
        self.remove_instance(id);
        let Some(host) = instance.status.host else {
            self.waiting.insert(id);
            return;
        };
        let spec = &instance.spec;
        let request = self.request(&spec.kind, spec.group.as_deref(), &spec.project);
        let slot = self.hosts.get(&host.uuid()).copied();
        let restored = match (request, slot, engine_share(&instance.status.lies)) {
            (Some(request), Some(slot), Some(share)) => self.cell.restore(&request, slot, share),
            _ => Err(Refusal::Gone),
        };
        match restored {
            Ok(allocation) => {
                self.allocations.insert(id, allocation);
                self.on.entry(host.uuid()).or_default().insert(id);
            }
            Err(refusal) => {
                tracing::error!(instance = instance.name, %refusal, "it cannot be where it is");
                self.strays.insert(id);
            }
        }
    }

    /// An instance is gone, or about to be put anew.
    pub fn remove_instance(&mut self, id: Uuid) {
        self.waiting.remove(&id);
        self.strays.remove(&id);
        let Some(allocation) = self.allocations.remove(&id) else { return };
        let slot = self.cell.release(allocation).expect("an allocation is released once");
        let machine = self.machines[slot.number() as usize];
        let here = self.on.get_mut(&machine).expect("an instance is listed where it is");
        here.remove(&id);
        if here.is_empty() {
            self.on.remove(&machine);
        }
    }

    /// The domains that a host stands in.
    fn place(&mut self, host: &Host) -> Place {
        let spec = &host.spec;
        // In the order of `Level::DOMAINS`.
        let names = [&host.status.rack, &spec.switch, &spec.power, &spec.wave];
        let mut domains = [Domain(0); 4];
        for (at, (domain, name)) in domains.iter_mut().zip(names).enumerate() {
            // Hosts of which nobody said where they stand count as standing together.
            let Some(name) = name else { continue };
            let next = Domain(u32::try_from(self.domains.len() + 1).expect("fewer than 2^32"));
            *domain = *self.domains.entry((at, name.clone())).or_insert(next);
        }
        Place { domains }
    }
}

/// Whether a machine that was offered takes new instances.
pub fn takes_instances(machine: &Machine) -> bool {
    let spec = &machine.spec;
    machine.status.lifecycle == Lifecycle::Active && spec.drain.is_none() && spec.lock.is_none()
}

fn lifetime(lifetime: Lifetime) -> fleet::placement::Lifetime {
    match lifetime {
        Lifetime::Unknown => fleet::placement::Lifetime::Unknown,
        Lifetime::Hours => fleet::placement::Lifetime::Hours,
        Lifetime::Days => fleet::placement::Lifetime::Days,
        Lifetime::Months => fleet::placement::Lifetime::Months,
    }
}

/// The engine's word for a level.
pub fn level(level: DomainLevel) -> Level {
    match level {
        DomainLevel::Host => Level::Host,
        DomainLevel::Rack => Level::Rack,
        DomainLevel::Switch => Level::Switch,
        DomainLevel::Power => Level::Power,
        DomainLevel::Wave => Level::Wave,
    }
}

fn recorded(share: &Share) -> Lies {
    match share {
        Share::Whole => Lies::Whole,
        Share::Node(at) => Lies::Node(*at),
        Share::Split(shares) => {
            let used = shares.iter().rposition(|share| !share.is_none()).map_or(0, |at| at + 1);
            Lies::Split(shares[..used].to_vec())
        }
    }
}

fn engine_share(lies: &Lies) -> Option<Share> {
    Some(match lies {
        Lies::Whole => Share::Whole,
        Lies::Node(at) => Share::Node(*at),
        Lies::Split(parts) => {
            let mut shares = [Resources::default(); NODES];
            shares.get_mut(..parts.len())?.copy_from_slice(parts);
            Share::Split(shares)
        }
    })
}
