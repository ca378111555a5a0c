//! A forest of limits: a volume under a VM under a project, or any other depth.
//!
//! One may go when nobody on the way up owes anything. What is let through is charged to
//! all of them, even if it is more than they have: the debt is waited for next time.
//!
//! Meters are not moved for each request. When they are, they tell how much more may go
//! before anybody has to wait, whatever the time; until that is used up, or for a
//! millisecond, a charge is two additions.

use model::volume::Limits;
use serde::{Deserialize, Serialize};

use super::meter::{Meter, Unit};
use super::saved::{Saved, SavedError, SavedMeters, SavedNode};
use crate::units::Nanos;

/// A node of a [`Gate`]. Used again after it was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Node(pub(super) u32);

/// No node.
const NONE: u32 = u32::MAX;

/// For so long, in nanoseconds, charges may be put off. It adds to what one may be late
/// by, at most.
const PUT_OFF: u64 = 1_000_000;

/// The limits of one core, and who is under whom.
#[derive(Debug, Default)]
pub struct Gate {
    /// For each node the first limited one on its way up, itself included.
    paths: Vec<u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// When was last asked.
    now: u64,
}

/// A node. What is looked at for each request stands first.
#[derive(Debug)]
struct Entry {
    /// When all meters are clear.
    clear_at: u64,
    /// Until when charges may be put off.
    settle_at: u64,
    /// What was charged and is put off.
    ops: u64,
    bytes: u64,
    /// How much may be put off: then still nobody has to wait.
    most_ops: u64,
    most_bytes: u64,
    /// The next limited node above.
    above: u32,
    count: u32,
    meters: [Meter; 4],
    parent: u32,
    limits: Limits,
    used: bool,
}

impl Gate {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// A node with limits, under another or at the top. Without credit: it is earned.
    /// Panics when the limits do not hold [`Limits::check`].
    pub fn add(&mut self, parent: Option<Node>, limits: Limits, now: Nanos) -> Node {
        let parent = parent.map_or(NONE, |parent| self.known(parent) as u32);
        let node = self.free.pop().unwrap_or_else(|| {
            self.paths.push(NONE);
            self.entries.push(Entry::unused());
            self.entries.len() as u32 - 1
        });
        assert!(node < NONE, "fewer than 2^32 - 1 nodes");
        let entry = &mut self.entries[node as usize];
        *entry = Entry { parent, used: true, ..Entry::unused() };
        entry.set(limits, now.0);
        self.find_paths();
        Node(node)
    }

    /// Takes a node away. Panics when there are nodes under it.
    pub fn remove(&mut self, node: Node) {
        let at = self.known(node);
        let alone = self.entries.iter().all(|entry| !entry.used || entry.parent != node.0);
        assert!(alone, "a node is removed after those under it");
        self.entries[at] = Entry::unused();
        self.free.push(node.0);
        self.find_paths();
    }

    /// Changes the limits of a node. What it owes it still owes, but not for longer than
    /// before; of what it saved it keeps what the new limits have room for, and none
    /// where there was no limit. Panics when the limits do not hold [`Limits::check`].
    pub fn set(&mut self, node: Node, limits: Limits, now: Nanos) {
        let at = self.known(node);
        self.entries[at].set(limits, now.0);
        self.find_paths();
    }

    /// The limits of a node.
    pub fn limits(&self, node: Node) -> Limits {
        self.entries[self.known(node)].limits
    }

    /// Whether a request may go through.
    ///
    /// # Errors
    /// The time to ask again.
    #[inline]
    pub fn ready(&mut self, node: Node, now: Nanos) -> Result<(), Nanos> {
        let mut at = self.paths[node.0 as usize];
        if at == NONE {
            return Ok(());
        }
        self.now = now.0;
        let mut clear_at = 0;
        while at != NONE {
            let entry = &self.entries[at as usize];
            clear_at = clear_at.max(entry.clear_at);
            at = entry.above;
        }
        if clear_at <= now.0 { Ok(()) } else { Err(Nanos(clear_at)) }
    }

    /// Charges what went through, at the time that was last asked at. The caller says
    /// what counts: a request that moves no data has no bytes.
    #[inline]
    pub fn charge(&mut self, node: Node, ops: u32, bytes: u64) {
        let mut at = self.paths[node.0 as usize];
        while at != NONE {
            let entry = &mut self.entries[at as usize];
            let sums = (entry.ops + u64::from(ops), entry.bytes.saturating_add(bytes));
            let few = sums.0 <= entry.most_ops && sums.1 <= entry.most_bytes;
            if few && self.now < entry.settle_at {
                (entry.ops, entry.bytes) = sums;
            } else {
                entry.settle(u64::from(ops), bytes, self.now);
            }
            at = entry.above;
        }
    }

    /// What a successor goes on with.
    pub fn save(&self) -> Saved {
        let save = |entry: &Entry| {
            entry.used.then(|| SavedNode {
                parent: (entry.parent != NONE).then_some(Node(entry.parent)),
                limits: entry.limits,
                clear_at: entry.settled().iter().map(|meter| Nanos(meter.clear_at())).collect(),
            })
        };
        Saved { now: Nanos(self.now), nodes: self.entries.iter().map(save).collect() }
    }

    /// What of [`Gate::save`] changes while nobody sets limits: when it was last asked,
    /// and when the meters of each node are clear.
    pub fn meters(&self) -> SavedMeters {
        let clear = |meter: &Meter| Nanos(meter.clear_at());
        let each = |entry: &Entry| entry.settled().iter().map(clear).collect();
        SavedMeters { now: Nanos(self.now), nodes: self.entries.iter().map(each).collect() }
    }

    /// Goes on with the meters of a gate that has the same nodes and limits.
    ///
    /// # Errors
    /// [`SavedError::Meters`] for other nodes or limits.
    pub fn resume(&mut self, meters: &SavedMeters) -> Result<(), SavedError> {
        if meters.nodes.len() != self.entries.len() {
            return Err(SavedError::Meters { node: meters.nodes.len() });
        }
        self.now = meters.now.0;
        for (node, (entry, clear_at)) in self.entries.iter_mut().zip(&meters.nodes).enumerate() {
            entry.resume(node, clear_at)?;
        }
        Ok(())
    }

    /// Goes on as the one that was saved, by the same clock; nodes keep their names.
    ///
    /// # Errors
    /// [`SavedError`]: nothing that [`Gate::save`] makes.
    pub fn restore(saved: &Saved) -> Result<Self, SavedError> {
        let mut gate = Self { now: saved.now.0, ..Self::default() };
        for (at, node) in saved.nodes.iter().enumerate() {
            let entry = match node {
                None => Entry::unused(),
                Some(node) => Entry::restored(node, at, saved)?,
            };
            if !entry.used {
                gate.free.push(at as u32);
            }
            gate.entries.push(entry);
            gate.paths.push(NONE);
        }
        gate.find_paths();
        Ok(gate)
    }

    fn known(&self, node: Node) -> usize {
        let at = node.0 as usize;
        assert!(self.entries.get(at).is_some_and(|entry| entry.used), "a node of this gate");
        at
    }

    /// Finds for each node whom it has to ask.
    fn find_paths(&mut self) {
        for at in 0..self.entries.len() {
            let above = self.limited(self.entries[at].parent);
            self.entries[at].above = above;
            self.paths[at] = if self.entries[at].count > 0 { at as u32 } else { above };
        }
    }

    /// The first limited node from one on upwards.
    fn limited(&self, mut at: u32) -> u32 {
        while at != NONE && self.entries[at as usize].count == 0 {
            at = self.entries[at as usize].parent;
        }
        at
    }
}

impl Entry {
    fn unused() -> Self {
        Self {
            clear_at: 0,
            settle_at: 0,
            ops: 0,
            bytes: 0,
            most_ops: 0,
            most_bytes: 0,
            above: NONE,
            count: 0,
            meters: [Meter::new(Unit::Ops, 1, 0, 0); 4],
            parent: NONE,
            limits: Limits::NONE,
            used: false,
        }
    }

    fn restored(node: &SavedNode, at: usize, saved: &Saved) -> Result<Self, SavedError> {
        node.limits.check().map_err(|_| SavedError::Limits { node: at })?;
        let parent = node.parent.map_or(NONE, |parent| parent.0);
        if parent != NONE && !saved.reaches_the_top(parent) {
            return Err(SavedError::Parent { node: at });
        }
        let mut entry = Self { parent, used: true, ..Self::unused() };
        entry.set(node.limits, saved.now.0);
        entry.resume(at, &node.clear_at)?;
        Ok(entry)
    }

    fn resume(&mut self, at: usize, clear_at: &[Nanos]) -> Result<(), SavedError> {
        if self.meters().len() != clear_at.len() {
            return Err(SavedError::Meters { node: at });
        }
        for (meter, clear_at) in self.meters.iter_mut().zip(clear_at) {
            meter.resume(clear_at.0);
        }
        self.clear_at = self.meters().iter().map(Meter::clear_at).max().unwrap_or(0);
        Ok(())
    }

    fn meters(&self) -> &[Meter] {
        &self.meters[..self.count as usize]
    }

    /// The meters as they are when all that was put off is charged, at the time from
    /// which on it was.
    fn settled(&self) -> Vec<Meter> {
        let began = self.settle_at.saturating_sub(PUT_OFF);
        let mut meters = self.meters().to_vec();
        for meter in &mut meters {
            meter.charge(meter.unit.of(self.ops, self.bytes), began);
        }
        meters
    }

    /// Charges what was put off and what comes now, and finds how much may be put off.
    fn settle(&mut self, ops: u64, bytes: u64, now: u64) {
        let began = self.settle_at.saturating_sub(PUT_OFF);
        (self.clear_at, self.most_ops, self.most_bytes) = (0, u64::MAX, u64::MAX);
        for meter in self.meters.iter_mut().take(self.count as usize) {
            let put_off = meter.unit.of(self.ops, self.bytes);
            if put_off > 0 {
                meter.charge(put_off, began);
            }
            let clear_at = meter.charge(meter.unit.of(ops, bytes), now);
            self.clear_at = self.clear_at.max(clear_at);
            let most = match meter.unit {
                Unit::Ops => &mut self.most_ops,
                Unit::Bytes => &mut self.most_bytes,
            };
            *most = meter.room(now).min(*most);
        }
        (self.ops, self.bytes, self.settle_at) = (0, 0, now.saturating_add(PUT_OFF));
    }

    /// Which of the four a meter is: by unit, and whether it holds bursts down.
    fn plan(limits: &Limits, now: u64) -> [Option<Meter>; 4] {
        let seconds = u128::from(limits.saved_seconds());
        let pair = |unit, rate: Option<u64>, burst: Option<u64>| {
            let above = burst.zip(rate).map_or(0, |(burst, rate)| burst - rate);
            let sustained =
                rate.map(|rate| Meter::new(unit, rate, u128::from(above) * seconds, now));
            let peak = burst.filter(|_| above > 0).map(|burst| Meter::new(unit, burst, 0, now));
            [sustained, peak]
        };
        let [ops, peak_ops] = pair(Unit::Ops, limits.iops, limits.burst_iops);
        let [bytes, peak_bytes] = pair(Unit::Bytes, limits.bandwidth, limits.burst_bandwidth);
        [ops, peak_ops, bytes, peak_bytes]
    }

    fn set(&mut self, limits: Limits, now: u64) {
        limits.check().expect("limits are checked before they are set");
        if limits == self.limits {
            return;
        }
        let before = Self::plan(&self.limits, now);
        let mut old = self.settled().into_iter();
        let planned = Self::plan(&limits, now);
        let (parent, above) = (self.parent, self.above);
        *self = Self { parent, above, limits, used: true, ..Self::unused() };
        for (had, planned) in before.iter().zip(planned) {
            let previous = had.and_then(|_| old.next());
            let Some(mut meter) = planned else { continue };
            if let Some(previous) = previous {
                meter.follow(&previous, now);
            }
            self.clear_at = self.clear_at.max(meter.clear_at());
            self.meters[self.count as usize] = meter;
            self.count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn iops(iops: u64) -> Limits {
        Limits { iops: Some(iops), ..Limits::NONE }
    }

    #[test]
    fn without_limits_everything_goes() {
        let mut gate = Gate::new();
        let project = gate.add(None, Limits::NONE, Nanos(5));
        let volume = gate.add(Some(project), Limits::NONE, Nanos(5));
        gate.charge(volume, u32::MAX, u64::MAX);
        assert_eq!(gate.ready(volume, Nanos(5)), Ok(()));
    }

    #[test]
    fn the_slowest_on_the_way_up_decides() {
        let mut gate = Gate::new();
        let project = gate.add(None, iops(10), Nanos(0));
        let machine = gate.add(Some(project), Limits::NONE, Nanos(0));
        let volume = gate.add(Some(machine), iops(1000), Nanos(0));
        let other = gate.add(Some(project), Limits::NONE, Nanos(0));
        gate.ready(volume, Nanos(0)).expect("nothing is owed");
        gate.charge(volume, 1, 4096);
        assert_eq!(gate.ready(volume, Nanos(1)), Err(Nanos(SECOND / 10)));
        assert_eq!(gate.ready(other, Nanos(1)), Err(Nanos(SECOND / 10)));
        gate.set(project, Limits::NONE, Nanos(1));
        assert_eq!(gate.ready(volume, Nanos(2)), Err(Nanos(SECOND / 1000)));
        assert_eq!(gate.ready(other, Nanos(2)), Ok(()));
    }

    #[test]
    fn a_huge_request_goes_and_is_paid_for_after() {
        let mut gate = Gate::new();
        let bandwidth = Limits { bandwidth: Some(1_000_000), ..Limits::NONE };
        let volume = gate.add(None, bandwidth, Nanos(0));
        gate.ready(volume, Nanos(0)).expect("nothing is owed");
        gate.charge(volume, 1, 5_000_000);
        assert_eq!(gate.ready(volume, Nanos(SECOND)), Err(Nanos(5 * SECOND)));
        assert_eq!(gate.ready(volume, Nanos(5 * SECOND)), Ok(()));
    }

    #[test]
    fn a_change_neither_stalls_nor_forgives() {
        let mut gate = Gate::new();
        let volume = gate.add(None, iops(100_000), Nanos(0));
        gate.ready(volume, Nanos(0)).expect("nothing is owed");
        gate.charge(volume, 100, 0);
        // A debt of a millisecond is not one of a hundred seconds at one a second.
        gate.set(volume, iops(1), Nanos(0));
        assert_eq!(gate.ready(volume, Nanos(0)), Err(Nanos(1_000_000)));
        gate.set(volume, iops(10), Nanos(0));
        assert_eq!(gate.ready(volume, Nanos(0)), Err(Nanos(100_000)));
        gate.set(volume, Limits::NONE, Nanos(0));
        gate.set(volume, iops(10), Nanos(0));
        assert_eq!(gate.ready(volume, Nanos(0)), Ok(()));
    }

    #[test]
    fn what_is_saved_goes_on_where_it_was() {
        let mut gate = Gate::new();
        let project = gate.add(None, iops(7), Nanos(0));
        let gone = gate.add(None, iops(1), Nanos(0));
        let limits = Limits { burst_iops: Some(70), bandwidth: Some(100), ..iops(3) };
        let volume = gate.add(Some(project), limits, Nanos(0));
        gate.remove(gone);
        gate.ready(volume, Nanos(9 * SECOND)).expect("nothing is owed");
        gate.charge(volume, 20, 1000);
        let text = serde_json::to_string(&gate.save()).expect("json");
        let saved: Saved = serde_json::from_str(&text).expect("what was saved");
        let mut again = Gate::restore(&saved).expect("what was saved");
        assert_eq!(again.save(), saved);
        let later = Nanos(9 * SECOND + 1);
        assert_eq!(again.ready(volume, later), gate.ready(volume, later));
        assert_eq!(again.add(None, Limits::NONE, later), gone);
    }

    #[test]
    fn what_was_put_off_is_saved_and_charged_too() {
        let mut gate = Gate::new();
        let volume = gate.add(None, iops(1000), Nanos(0));
        let now = Nanos(SECOND);
        for charged in 1..=5 {
            gate.ready(volume, now).expect("what four milliseconds allow, and one more");
            gate.charge(volume, 1, 0);
            let saved = gate.save().nodes[0].clone().expect("a node");
            assert_eq!(saved.clear_at, [Nanos(SECOND - 4_000_000 + charged * 1_000_000)]);
        }
        assert_eq!(gate.ready(volume, now), Err(now.plus(1_000_000)));
        // A change does not forget it either.
        let mut gate = Gate::new();
        let volume = gate.add(None, iops(1000), Nanos(0));
        gate.ready(volume, now).expect("nothing is owed");
        (0..3).for_each(|_| gate.charge(volume, 1, 0));
        gate.set(volume, iops(500), now);
        let saved = gate.save().nodes[0].clone().expect("a node");
        assert_eq!(saved.clear_at, [Nanos(SECOND - 2_000_000)]);
    }

    #[test]
    fn what_was_never_saved_is_refused() {
        let node = |parent: Option<u32>, limits, meters| {
            let clear_at = vec![Nanos(0); meters];
            Some(SavedNode { parent: parent.map(Node), limits, clear_at })
        };
        let refused = |nodes| Gate::restore(&Saved { now: Nanos(0), nodes }).expect_err("refused");
        let none = Limits::NONE;
        assert_eq!(refused(vec![node(Some(0), none, 0)]), SavedError::Parent { node: 0 });
        assert_eq!(refused(vec![None, node(Some(7), none, 0)]), SavedError::Parent { node: 1 });
        assert_eq!(refused(vec![node(None, iops(0), 1)]), SavedError::Limits { node: 0 });
        assert_eq!(refused(vec![node(None, iops(1), 2)]), SavedError::Meters { node: 0 });
    }
}
