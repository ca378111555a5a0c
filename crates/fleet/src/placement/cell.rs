//! A cell: its hosts, what runs on them, and the tables that make decisions quick. Handles are
//! numbers; whoever records decisions keeps which machine and which instance they stand for.

use std::collections::{BTreeMap, HashMap};

use model::Resources;

use super::fits::{Share, change};
use super::group::{Group, GroupRow, GroupSpec};
use super::kind::{Kind, KindId, Lifetime};
use super::pool::{Pool, PoolId, Shape};
use super::project::{Project, ProjectRow};
use super::refusal::Refusal;
use super::reserve::Reservations;
use super::state::{Change, NODES, State, StateId, States};
use super::topology::{Domain, Level, Place, Places};

/// A host that a cell knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(pub(super) u32);

impl Host {
    /// Its number: hosts are numbered from 0 as they come.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// An instance that has its place. The handle of one that left is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Allocation {
    pub(super) at: u32,
    pub(super) generation: u32,
}

/// A host as it comes into a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSpec {
    /// What each memory node has for instances, overcommitment included.
    pub nodes: Vec<Resources>,
    /// Where it stands.
    pub place: Place,
    /// What requests can ask for.
    pub labels: BTreeMap<String, String>,
}

/// Nobody, in a list that is threaded through a table.
pub(super) const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(super) struct HostRow {
    pub state: StateId,
    /// Where in the list of its state.
    pub position: u32,
    pub place: u32,
    /// Its first instance.
    pub first: u32,
}

#[derive(Clone, Debug)]
pub(super) struct InstanceRow {
    pub generation: u32,
    pub host: u32,
    pub kind: KindId,
    pub group: u32,
    pub project: u32,
    pub next: u32,
    pub previous: u32,
    /// The memory node it lies on; [`WHOLE`] and [`SPLIT`] otherwise.
    pub node: u8,
}

/// The host is not divided.
pub(super) const WHOLE: u8 = 0xFF;
/// The shares are in `Cell::splits`.
pub(super) const SPLIT: u8 = 0xFE;

/// A kind, and the pools whose hosts could take it.
#[derive(Clone, Debug)]
pub(super) struct KindRow {
    pub kind: Kind,
    /// In the order in which they are tried; those of equal rank compete by fit.
    pub pools: Vec<(u32, PoolId)>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    pub(super) hosts: Vec<HostRow>,
    pub(super) instances: Vec<InstanceRow>,
    /// Rows of instances that left.
    pub(super) spare: Vec<u32>,
    pub(super) splits: HashMap<u32, [Resources; NODES]>,
    /// Rows of hosts that were taken out.
    spare_hosts: Vec<u32>,
    pub(super) states: States,
    pub(super) pools: Vec<Pool>,
    pub(super) kinds: Vec<KindRow>,
    known_kinds: HashMap<Kind, KindId>,
    pub(super) groups: Vec<GroupRow>,
    pub(super) projects: Vec<ProjectRow>,
    pub(super) places: Places,
    pub(super) reservations: Reservations,
}

impl Cell {
    /// A cell without hosts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a host in, open and without instances.
    pub fn add_host(&mut self, spec: HostSpec) -> Result<Host, Refusal> {
        let shape = Shape { nodes: spec.nodes, labels: spec.labels };
        if shape.nodes.is_empty() || shape.nodes.len() > NODES || shape.whole().is_none() {
            return Err(Refusal::Strange);
        }
        let (free, nodes) = (shape.whole(), shape.counted_nodes());
        let pool = self.pool(shape);
        let place = self.places.intern(spec.place);
        let state = State { pool, open: true, lifetime: Lifetime::Unknown, free, nodes };
        if let Some(host) = self.spare_hosts.pop() {
            self.hosts[host as usize].place = place;
            self.change_state(host, state);
            return Ok(Host(host));
        }
        let host = u32::try_from(self.hosts.len()).expect("fewer than 2^32 hosts");
        self.hosts.push(HostRow { state: StateId(NONE), position: NONE, place, first: NONE });
        self.enter(host, state);
        Ok(Host(host))
    }

    /// Takes a host without instances out. Its handle stands for a later one some day.
    pub fn remove_host(&mut self, host: Host) -> Result<(), Refusal> {
        if self.whole(host).is_none() {
            return Err(Refusal::Gone);
        }
        if self.hosts[host.0 as usize].first != NONE {
            return Err(Refusal::Occupied);
        }
        // A shape with nothing to give: nothing fits there, and sums pass over it.
        let pool = self.pool(Shape { nodes: Vec::new(), labels: BTreeMap::new() });
        let (free, nodes) = (Resources::default(), Box::default());
        self.change_state(
            host.0,
            State { pool, open: false, lifetime: Lifetime::Unknown, free, nodes },
        );
        self.spare_hosts.push(host.0);
        Ok(())
    }

    fn pool(&mut self, shape: Shape) -> PoolId {
        if let Some(at) = self.pools.iter().position(|pool| pool.shape == shape) {
            return PoolId(at as u16);
        }
        let id = PoolId(u16::try_from(self.pools.len()).expect("fewer than 65,536 shapes"));
        for row in &mut self.kinds {
            if shape.suits(&row.kind) {
                row.pools.push((shape.wasted(&row.kind), id));
                row.pools.sort_unstable();
            }
        }
        self.pools.push(Pool::new(shape));
        id
    }

    /// The handle of a kind of request.
    pub fn kind(&mut self, kind: &Kind) -> KindId {
        if let Some(id) = self.known_kinds.get(kind) {
            return *id;
        }
        let id = KindId(u32::try_from(self.kinds.len()).expect("fewer than 2^32 kinds"));
        let mut pools: Vec<(u32, PoolId)> = (0..)
            .zip(&self.pools)
            .filter(|(_, pool)| pool.shape.suits(kind))
            .map(|(at, pool)| (pool.shape.wasted(kind), PoolId(at)))
            .collect();
        pools.sort_unstable();
        self.kinds.push(KindRow { kind: kind.clone(), pools });
        self.known_kinds.insert(kind.clone(), id);
        id
    }

    /// Makes a group without members.
    pub fn group(&mut self, spec: GroupSpec) -> Group {
        self.groups.push(GroupRow::new(spec));
        Group(u32::try_from(self.groups.len() - 1).expect("fewer than 2^32 groups"))
    }

    /// Makes a project that may take so much, in the order of
    /// [`model::resources::DIMENSIONS`]; `None` for no limit.
    pub fn project(&mut self, limit: Option<[u64; 5]>) -> Project {
        let limit = limit.unwrap_or(ProjectRow::UNLIMITED);
        self.projects.push(ProjectRow { limit, used: [0; 5] });
        Project(u32::try_from(self.projects.len() - 1).expect("fewer than 2^32 projects"))
    }

    /// Changes what a project may take. What runs keeps running.
    pub fn set_quota(&mut self, project: Project, limit: Option<[u64; 5]>) {
        self.projects[project.0 as usize].limit = limit.unwrap_or(ProjectRow::UNLIMITED);
    }

    /// Opens a host to new instances, or closes it: drained and ailing ones are closed.
    pub fn set_open(&mut self, host: Host, open: bool) {
        let mut state = self.state_of(host.0).clone();
        if state.open != open {
            state.open = open;
            self.change_state(host.0, state);
        }
    }

    /// The host of a number.
    pub fn host(&self, number: u32) -> Option<Host> {
        ((number as usize) < self.hosts.len()).then_some(Host(number))
    }

    /// Whether a host takes new instances.
    pub fn is_open(&self, host: Host) -> bool {
        self.state_of(host.0).open
    }

    /// What a host has free.
    pub fn free(&self, host: Host) -> Resources {
        self.state_of(host.0).free
    }

    /// What a host has when it is empty.
    pub fn whole(&self, host: Host) -> Resources {
        self.pools[self.state_of(host.0).pool.0 as usize].whole
    }

    /// The instances of a host, last come first.
    pub fn instances(&self, host: Host) -> impl Iterator<Item = Allocation> + '_ {
        let mut at = self.hosts[host.0 as usize].first;
        std::iter::from_fn(move || {
            let row = self.instances.get(at as usize)?;
            let allocation = Allocation { at, generation: row.generation };
            at = row.next;
            Some(allocation)
        })
    }

    /// Where an instance is.
    pub fn host_of(&self, allocation: Allocation) -> Option<Host> {
        self.row_of(allocation).map(|row| Host(row.host))
    }

    /// What an instance was asked for as.
    pub fn kind_of(&self, allocation: Allocation) -> Option<&Kind> {
        self.row_of(allocation).map(|row| &self.kinds[row.kind.0 as usize].kind)
    }

    /// The domain of a level that a host stands in.
    pub fn domain(&self, level: Level, host: Host) -> Domain {
        self.domain_at(level, host.0)
    }

    /// How many hosts there are.
    pub fn hosts(&self) -> usize {
        self.hosts.len() - self.spare_hosts.len()
    }

    /// How many instances have their place.
    pub fn placed(&self) -> usize {
        self.instances.len() - self.spare.len()
    }

    /// How many different states hosts are in: what a decision costs follows it.
    pub fn states(&self) -> usize {
        self.states.len()
    }

    /// How many hosts have instances.
    pub fn hosts_in_use(&self) -> usize {
        let rows = self.states.iter();
        rows.filter(|row| row.state.free != self.pools[row.state.pool.0 as usize].whole)
            .map(|row| row.hosts.len())
            .sum()
    }

    /// What hosts and states take in memory, and what instances take, in bytes.
    pub fn bytes(&self) -> (usize, usize) {
        let hosts = self.hosts.capacity() * size_of::<HostRow>()
            + self.states.bytes()
            + self.places.bytes()
            + self.pools.iter().map(Pool::bytes).sum::<usize>();
        let instances = self.instances.capacity() * size_of::<InstanceRow>()
            + self.spare.capacity() * size_of::<u32>()
            + self.splits.capacity() * size_of::<[Resources; NODES]>();
        (hosts, instances)
    }

    pub(super) fn state_of(&self, host: u32) -> &State {
        &self.states.row(self.hosts[host as usize].state).state
    }

    pub(super) fn row_of(&self, allocation: Allocation) -> Option<&InstanceRow> {
        let row = self.instances.get(allocation.at as usize)?;
        (row.generation == allocation.generation && row.host != NONE).then_some(row)
    }

    pub(super) fn domain_at(&self, level: Level, host: u32) -> Domain {
        self.places.domain(level, host, self.hosts[host as usize].place)
    }

    /// What an instance takes from each memory node.
    pub(super) fn share_of(&self, at: u32) -> Share {
        match self.instances[at as usize].node {
            WHOLE => Share::Whole,
            SPLIT => Share::Split(self.splits[&at]),
            node => Share::Node(node),
        }
    }

    /// Moves a host to another state.
    pub(super) fn change_state(&mut self, host: u32, state: State) {
        let row = &self.hosts[host as usize];
        let (id, position) = (row.state, row.position);
        if matches!(self.states.row(id).hosts.len(), 1) {
            let last = &self.states.row(id).state;
            if last.open {
                self.pools[last.pool.0 as usize].remove(last, id);
            }
        }
        let (moved, _) = self.states.leave(id, position);
        if let Some(moved) = moved {
            self.hosts[moved as usize].position = position;
        }
        self.enter(host, state);
    }

    fn enter(&mut self, host: u32, state: State) {
        let (id, position, change) = self.states.enter(state, host);
        let row = &mut self.hosts[host as usize];
        (row.state, row.position) = (id, position);
        if matches!(change, Change::Appeared) {
            let state = &self.states.row(id).state;
            if state.open {
                self.pools[state.pool.0 as usize].insert(state, id);
            }
        }
    }

    /// The state of a host with an instance taken in or out. The lifetime is the caller's.
    pub(super) fn changed(&self, host: u32, kind: KindId, share: &Share, arrives: bool) -> State {
        let mut state = self.state_of(host).clone();
        let taken = &self.kinds[kind.0 as usize].kind.resources;
        change(&mut state.free, &mut state.nodes, taken, share, arrives);
        state
    }
}
