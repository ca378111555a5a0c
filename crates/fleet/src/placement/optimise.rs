//! The background optimiser: instances are moved together so that whole hosts become empty,
//! for large requests, for updates, or to be switched off.

use std::collections::BTreeMap;

use super::cell::{Allocation, Cell, Host};
use super::fits::Share;

/// An instance that is to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which; it keeps its handle.
    pub allocation: Allocation,
    /// From where.
    pub from: Host,
    /// To where.
    pub to: Host,
    /// How it lies there.
    pub share: Share,
}

/// What a plan may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Moves at most.
    pub moves: usize,
    /// Hosts that are tried to empty, or packed anew, at most.
    pub hosts: usize,
    /// Moves that an emptied host is worth when hosts are packed anew.
    pub worth: usize,
}

/// Hosts that are packed anew at once.
const BATCH: usize = 96;

/// What moves together, and the hosts that become empty by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they are made: each fits when those before it are done.
    pub moves: Vec<Move>,
    /// Hosts without instances when all are done.
    pub emptied: Vec<Host>,
}

impl Cell {
    /// Makes a plan within a budget and carries it out in the cell. First the hosts with the
    /// least on them are emptied, if all of it fits on hosts that are in use and stay so; then
    /// hosts with much free are packed anew, some dozens at a time.
    pub fn optimise(&mut self, budget: Budget) -> Plan {
        let mut plan = self.empty_hosts(budget);
        for hosts in self.batches(budget.hosts) {
            let left = budget.moves - plan.moves.len();
            if let Some((moves, emptied)) = self.repack(&hosts, budget.worth, left) {
                plan.moves.extend(moves);
                plan.emptied.extend(emptied);
            }
        }
        plan
    }

    /// Undivided hosts in use in batches of one pool, those with much free together with each
    /// other.
    fn batches(&self, most: usize) -> Vec<Vec<Host>> {
        let mut by_pool: BTreeMap<super::pool::PoolId, Vec<Host>> = BTreeMap::new();
        for host in self.least_used(most) {
            let state = self.state_of(host.0);
            if state.nodes.is_empty() {
                by_pool.entry(state.pool).or_default().push(host);
            }
        }
        let batches = by_pool.values().flat_map(|hosts| {
            let count = hosts.len().div_ceil(BATCH);
            // Every so many-th of them: each batch has some of all.
            (0..count).map(move |at| hosts.iter().copied().skip(at).step_by(count).collect())
        });
        batches.collect()
    }

    fn empty_hosts(&mut self, budget: Budget) -> Plan {
        let mut plan = Plan::default();
        for host in self.least_used(budget.hosts) {
            let here = self.instances(host).count();
            if here == 0 || plan.moves.len() + here > budget.moves {
                continue;
            }
            if let Some(moves) = self.empty(host) {
                plan.moves.extend(moves);
                plan.emptied.push(host);
            }
        }
        plan
    }

    /// Open hosts that are in use, those with the most free first.
    fn least_used(&self, most: usize) -> Vec<Host> {
        let mut by_room: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
        for row in self.states.iter().filter(|row| row.state.open) {
            let whole = self.pools[row.state.pool.0 as usize].whole;
            if row.state.free == whole {
                continue;
            }
            // The larger of both shares in use: what has to find room elsewhere.
            let used = |free: u32, whole: u32| {
                (u64::from(whole - free) * 1000 / u64::from(whole.max(1))) as u32
            };
            let cores = used(row.state.free.millicores, whole.millicores);
            let memory = used(row.state.free.memory_mib, whole.memory_mib);
            let entry = by_room.entry((cores.max(memory), cores.min(memory))).or_default();
            entry.extend(&row.hosts);
        }
        by_room.into_values().flatten().take(most).map(Host).collect()
    }

    /// Moves everything away from a host, largest first; `None`, and nothing is changed, when
    /// something has no place on another host in use.
    fn empty(&mut self, host: Host) -> Option<Vec<Move>> {
        let mut here: Vec<Allocation> = self.instances(host).collect();
        here.sort_by_key(|one| {
            let resources = self.kind_of(*one).expect("it is on the host").resources;
            std::cmp::Reverse((resources.millicores, resources.memory_mib, one.at))
        });
        self.set_open(host, false);
        let mut moves: Vec<(Move, Share)> = Vec::with_capacity(here.len());
        for one in &here {
            match self.relocate(*one, host) {
                Some(moved) => moves.push(moved),
                None => break,
            }
        }
        let emptied = moves.len() == here.len();
        if !emptied {
            for (moved, before) in moves.drain(..).rev() {
                self.lift(moved.allocation.at);
                self.set_down(moved.allocation.at, host.0, before);
            }
        }
        self.set_open(host, true);
        emptied.then(|| moves.into_iter().map(|(moved, _)| moved).collect())
    }

    /// Moves one instance to the best other host in use: the move, and how it lay before. Its
    /// group counts it where it is, so that it is lifted before it is asked where it could go.
    fn relocate(&mut self, one: Allocation, from: Host) -> Option<(Move, Share)> {
        let request = self.request_of(one.at);
        let (_, before) = self.lift(one.at);
        let chosen = self.decide(&request, u64::from(one.at)).ok();
        let Some(choice) = chosen.filter(|choice| !self.is_empty(choice.host)) else {
            self.set_down(one.at, from.0, before);
            return None;
        };
        self.set_down(one.at, choice.host.0, choice.share);
        Some((Move { allocation: one, from, to: choice.host, share: choice.share }, before))
    }

    fn is_empty(&self, host: Host) -> bool {
        self.hosts[host.0 as usize].first == super::cell::NONE
    }
}
