//! What volumes must hold. Each sector holds a stamp; the model knows which stamps a
//! sector may hold after a loss of power, and the one it must hold without.

use std::collections::HashMap;

/// A value that a sector was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Written {
    stamp: u32,
    /// When it was acknowledged; not yet, if never.
    acknowledged: Option<u64>,
}

/// A volume or snapshot of the model.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// What each sector holds, durably.
    base: Vec<u32>,
    /// What it was given since, in order.
    since: HashMap<usize, Vec<Written>>,
}

impl Model {
    pub fn new(sectors: usize) -> Self {
        Self { base: vec![0; sectors], since: HashMap::new() }
    }
    pub fn sectors(&self) -> usize {
        self.base.len()
    }
    pub fn grow(&mut self, sectors: usize) {
        self.base.resize(sectors, 0);
    }
    /// What a sector holds.
    pub fn now(&self, sector: usize) -> u32 {
        self.since
            .get(&sector)
            .and_then(|written| written.last())
            .map_or(self.base[sector], |last| last.stamp)
    }
    /// A write has begun. It may be there from now on.
    pub fn begin(&mut self, sector: usize, stamp: u32) {
        self.since.entry(sector).or_default().push(Written { stamp, acknowledged: None });
    }
    /// A write of these sectors is acknowledged.
    pub fn acknowledge(&mut self, sectors: std::ops::Range<usize>, when: u64) {
        for sector in sectors {
            if let Some(last) = self.since.get_mut(&sector).and_then(|written| written.last_mut()) {
                last.acknowledged.get_or_insert(when);
            }
        }
    }
    /// A write failed: nobody knows whether it is there.
    pub fn uncertain(&self, sector: usize) -> bool {
        self.since
            .get(&sector)
            .is_some_and(|written| written.iter().any(|one| one.acknowledged.is_none()))
    }
    /// What was acknowledged before this moment is durable.
    pub fn durable(&mut self, before: u64) {
        let base = &mut self.base;
        self.since.retain(|sector, written| {
            let last =
                written.iter().rposition(|one| one.acknowledged.is_some_and(|when| when < before));
            if let Some(last) = last {
                base[*sector] = written[last].stamp;
                written.drain(..=last);
            }
            !written.is_empty()
        });
    }
    /// What a sector may hold after a loss of power.
    pub fn after_power(&self, sector: usize) -> Vec<u32> {
        let since = self.since.get(&sector).into_iter().flatten().map(|one| one.stamp);
        std::iter::once(self.base[sector]).chain(since).collect()
    }
    /// What it may hold after the process was killed: the last that was acknowledged, or
    /// what was under way.
    pub fn after_kill(&self, sector: usize) -> Vec<u32> {
        let Some(written) = self.since.get(&sector) else { return vec![self.base[sector]] };
        let last = written.iter().rposition(|one| one.acknowledged.is_some());
        let begun = written[last.map_or(0, |last| last + 1)..].iter().map(|one| one.stamp);
        let sure = last.map_or(self.base[sector], |last| written[last].stamp);
        std::iter::once(sure).chain(begun).collect()
    }
    /// A sector was seen to hold this.
    pub fn seen(&mut self, sector: usize, stamp: u32) {
        self.base[sector] = stamp;
        self.since.remove(&sector);
    }
}
