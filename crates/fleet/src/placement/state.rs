//! States: what a host has free and what else decides whether an instance fits. Hosts that
//! are the same in all of it are one entry here.

use std::collections::HashMap;

use model::Resources;

use super::kind::Lifetime;
use super::pool::PoolId;

/// The most memory nodes of a host that are counted one by one.
pub const NODES: usize = 8;

/// What hosts of one state have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// Shape and labels of the host.
    pub pool: PoolId,
    /// Whether it takes new instances.
    pub open: bool,
    /// The longest that one of its instances is thought to run.
    pub lifetime: Lifetime,
    /// What is free.
    pub free: Resources,
    /// What is free on each memory node; empty for hosts with one.
    pub nodes: Box<[Resources]>,
}

/// A state that a cell knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StateId(pub u32);

/// A state and its hosts.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub state: State,
    pub hosts: Vec<u32>,
}

/// All states that some host is in.
#[derive(Clone, Debug, Default)]
pub(super) struct States {
    rows: Vec<Row>,
    known: HashMap<State, StateId, Fast>,
    /// Rows without hosts, to be used again.
    spare: Vec<StateId>,
}

/// What changed in the set of states.
pub(super) enum Change {
    None,
    Appeared,
    Vanished,
}

impl States {
    pub fn row(&self, id: StateId) -> &Row {
        &self.rows[id.0 as usize]
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.hosts.is_empty())
    }

    /// Puts a host into a state: which one it is, its position there, and whether it is new.
    pub fn enter(&mut self, state: State, host: u32) -> (StateId, u32, Change) {
        let (id, change) = match self.known.get(&state) {
            Some(id) => (*id, Change::None),
            None => (self.make(state), Change::Appeared),
        };
        let hosts = &mut self.rows[id.0 as usize].hosts;
        hosts.push(host);
        let position = u32::try_from(hosts.len() - 1).expect("fewer hosts than 2^32");
        (id, position, change)
    }

    fn make(&mut self, state: State) -> StateId {
        let id = match self.spare.pop() {
            Some(id) => {
                self.rows[id.0 as usize].state = state.clone();
                id
            }
            None => {
                self.rows.push(Row { state: state.clone(), hosts: Vec::new() });
                StateId(u32::try_from(self.rows.len() - 1).expect("fewer states than hosts"))
            }
        };
        self.known.insert(state, id);
        id
    }

    /// Takes the host at a position out of a state: which host stands there now, and whether
    /// the state is gone.
    pub fn leave(&mut self, id: StateId, position: u32) -> (Option<u32>, Change) {
        let row = &mut self.rows[id.0 as usize];
        row.hosts.swap_remove(position as usize);
        let moved = row.hosts.get(position as usize).copied();
        if !row.hosts.is_empty() {
            return (moved, Change::None);
        }
        // A state of many hosts that emptied would hold their room for ever.
        row.hosts.shrink_to(4);
        self.known.remove(&row.state);
        self.spare.push(id);
        (None, Change::Vanished)
    }

    /// What the states take, in bytes.
    pub fn bytes(&self) -> usize {
        let hosts: usize = self.rows.iter().map(|row| row.hosts.capacity() * 4).sum();
        let nodes: usize = self.rows.iter().map(|row| size_of_val(&*row.state.nodes) * 2).sum();
        self.rows.capacity() * size_of::<Row>()
            + self.known.capacity() * (size_of::<(State, StateId)>() + 1)
            + hosts
            + nodes
    }
}

/// A hasher for keys that nobody outside chooses: states are a few words, looked up twice for
/// every instance that comes or goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fast;

impl std::hash::BuildHasher for Fast {
    type Hasher = Mix;

    fn build_hasher(&self) -> Mix {
        Mix(0)
    }
}

/// Multiplies and rotates each word in.
pub(super) struct Mix(u64);

impl std::hash::Hasher for Mix {
    fn finish(&self) -> u64 {
        // The table takes its place from the low bits and its tag from the high ones.
        (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(26) ^ value).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}
