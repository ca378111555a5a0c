//! A record in memory with the faults of a real one, for the simulator.
//!
//! The [`Disk`] is what survives a crash; a [`Simulated`] is one process that
//! has it open. A crash is: drop the store, open another one on the same disk.
//! A commit costs one copy of its transactions. The rows are folded only when
//! somebody loads, and only from where the last load stopped.
//!
//! Faults are chosen by the seed of the disk or ordered one by one. After an
//! unknown outcome the store is dead, as a connection would be: every later call
//! fails until it is opened again, and the batch may be there or not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Duration, Timestamp};

use super::{Fence, Store, StoreError};
use crate::{EventRow, Revision, State, Transaction};

/// What can happen to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// [`StoreError::Full`]: nothing is durable and the store goes on.
    Full,
    /// [`StoreError::Io`], and nothing is durable.
    Lost,
    /// [`StoreError::Io`], and yet everything is durable.
    Kept,
    /// [`StoreError::Io`]; the seed chooses between lost and kept.
    Unknown,
}

/// How often faults happen by themselves, in commits of a million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// [`Fault::Full`].
    pub full_ppm: u32,
    /// [`Fault::Unknown`].
    pub unknown_ppm: u32,
}

/// What survives a crash. Clones are handles to the same disk.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<Platter>>);

/// One process that has the disk open.
#[derive(Debug)]
pub struct Simulated {
    disk: Disk,
    dead: bool,
}

#[derive(Debug)]
struct Platter {
    seed: u64,
    rates: Rates,
    ordered: VecDeque<Fault>,
    /// The fold of everything up to `kept`.
    base: State,
    /// The fold of everything up to the last load.
    folded: State,
    revision: Revision,
    /// Durable transactions after `base`, each with its first revision. Only the
    /// first may begin before the base does: pruning stops inside a transaction.
    log: VecDeque<(Revision, Transaction)>,
    leases: BTreeMap<String, Lease>,
}

#[derive(Debug)]
struct Lease {
    holder: Option<String>,
    number: u64,
    expires: Timestamp,
}

impl Disk {
    /// An empty disk. The seed chooses among outcomes that are left to chance.
    pub fn new(seed: u64) -> Disk {
        Disk(Arc::new(Mutex::new(Platter {
            seed,
            rates: Rates::default(),
            ordered: VecDeque::new(),
            base: State::new(),
            folded: State::new(),
            revision: 0,
            log: VecDeque::new(),
            leases: BTreeMap::new(),
        })))
    }

    /// Lets faults happen by chance from now on.
    pub fn set_rates(&self, rates: Rates) {
        self.platter().rates = rates;
    }

    /// Orders a fault for the next commit; several queue up. Commits that are
    /// refused as fenced or diverged do not use it up.
    pub fn fail_next(&self, fault: Fault) {
        self.platter().ordered.push_back(fault);
    }

    /// The revision that is durable, for the judge of a simulation.
    pub fn revision(&self) -> Revision {
        self.platter().revision
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Simulated {
    /// Opens the disk, as a process does at its start.
    pub fn open(disk: &Disk) -> Simulated {
        Simulated { disk: disk.clone(), dead: false }
    }

    fn alive(&self) -> Result<MutexGuard<'_, Platter>, StoreError> {
        if self.dead {
            return Err(StoreError::Io("simulated: not opened again after a fault".to_owned()));
        }
        Ok(self.disk.platter())
    }
}

impl Store for Simulated {
    fn load(&mut self) -> Result<State, StoreError> {
        let mut platter = self.alive()?;
        platter.fold();
        Ok(platter.folded.clone())
    }

    fn commit(
        &mut self,
        fence: Fence,
        first: Revision,
        batch: &[Transaction],
    ) -> Result<(), StoreError> {
        let mut platter = self.alive()?;
        platter.check(&fence, first)?;
        if let Some(fault) = batch.iter().find_map(Transaction::fault) {
            return Err(StoreError::Refused(fault.to_owned()));
        }
        let fault = platter.fault();
        if !matches!(fault, Some(Fault::Full | Fault::Lost)) {
            platter.append(batch);
        }
        drop(platter);
        match fault {
            None => Ok(()),
            Some(Fault::Full) => Err(StoreError::Full("simulated".to_owned())),
            Some(_) => {
                self.dead = true;
                Err(StoreError::Io("simulated: outcome unknown".to_owned()))
            }
        }
    }

    fn events(&mut self, after: Revision, limit: u32) -> Result<Vec<EventRow>, StoreError> {
        self.alive()?.events(after, limit)
    }

    fn replay(&mut self) -> Result<State, StoreError> {
        let platter = self.alive()?;
        let mut state = platter.base.clone();
        platter.fold_into(&mut state, platter.revision);
        Ok(state)
    }

    fn prune(&mut self, keep_after: Revision) -> Result<(), StoreError> {
        let mut platter = self.alive()?;
        platter.prune(keep_after);
        Ok(())
    }

    fn acquire(
        &mut self,
        name: &str,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Option<Fence>, StoreError> {
        let mut platter = self.alive()?;
        let old = platter.leases.get(name);
        let taken = old.is_some_and(|lease| {
            lease.expires > now && lease.holder.as_deref().is_some_and(|other| other != holder)
        });
        if taken {
            return Ok(None);
        }
        let number = old.map_or(0, |lease| lease.number) + 1;
        let lease = Lease { holder: Some(holder.to_owned()), number, expires: now + ttl };
        platter.leases.insert(name.to_owned(), lease);
        Ok(Some(Fence { name: name.to_owned(), holder: holder.to_owned(), number }))
    }

    fn renew(&mut self, fence: &Fence, now: Timestamp, ttl: Duration) -> Result<bool, StoreError> {
        let mut platter = self.alive()?;
        let ours = platter.ours(fence);
        if let Some(lease) = ours {
            lease.expires = now + ttl;
            return Ok(true);
        }
        Ok(false)
    }

    fn release(&mut self, fence: &Fence) -> Result<(), StoreError> {
        let mut platter = self.alive()?;
        if let Some(lease) = platter.ours(fence) {
            lease.holder = None;
        }
        Ok(())
    }
}

impl Platter {
    fn ours(&mut self, fence: &Fence) -> Option<&mut Lease> {
        self.leases.get_mut(&fence.name).filter(|lease| {
            lease.number == fence.number && lease.holder.as_deref() == Some(&fence.holder)
        })
    }

    fn check(&mut self, fence: &Fence, first: Revision) -> Result<(), StoreError> {
        if self.ours(fence).is_none() {
            let newest = self.leases.get(&fence.name).map_or(0, |lease| lease.number);
            let name = fence.name.clone();
            return Err(StoreError::Fenced { name, ours: fence.number, newest });
        }
        if first != self.revision + 1 {
            let expected = first.saturating_sub(1);
            return Err(StoreError::Diverged { stored: self.revision, expected });
        }
        Ok(())
    }

    fn append(&mut self, batch: &[Transaction]) {
        for transaction in batch {
            let first = self.revision + 1;
            self.revision = transaction.last(first);
            if !transaction.changes.is_empty() {
                self.log.push_back((first, transaction.clone()));
            }
        }
    }

    /// The log after a revision: each event with its transaction.
    fn after(
        &self,
        after: Revision,
    ) -> impl Iterator<Item = (Revision, &Transaction, &crate::Change)> {
        let begin = self.log.partition_point(|(first, tx)| tx.last(*first) <= after);
        self.log.range(begin..).flat_map(move |(first, tx)| {
            let numbered = (*first..).zip(&tx.changes);
            numbered.filter(move |(revision, _)| *revision > after).map(move |(r, c)| (r, tx, c))
        })
    }

    fn events(&self, after: Revision, limit: u32) -> Result<Vec<EventRow>, StoreError> {
        if after < self.base.revision() {
            return Err(StoreError::Pruned { kept: self.base.revision() });
        }
        if after > self.revision {
            return Err(StoreError::Diverged { stored: self.revision, expected: after });
        }
        let events =
            self.after(after).take(limit as usize).map(|(revision, tx, change)| EventRow {
                revision,
                at: tx.at,
                actor: tx.actor.clone(),
                request: tx.request.clone(),
                change: change.clone(),
            });
        Ok(events.collect())
    }

    fn fold_into(&self, state: &mut State, to: Revision) {
        for (revision, _, change) in self.after(state.revision()) {
            if revision > to {
                break;
            }
            state.apply_event(revision, change);
        }
        assert_eq!(state.revision(), to, "the log has a gap");
    }

    fn fold(&mut self) {
        let mut folded = std::mem::take(&mut self.folded);
        self.fold_into(&mut folded, self.revision);
        self.folded = folded;
    }

    fn prune(&mut self, keep_after: Revision) {
        let keep_after = keep_after.min(self.revision);
        if keep_after <= self.base.revision() {
            return;
        }
        // The fold of the last load must not fall behind what the log still has.
        self.fold();
        let mut base = std::mem::take(&mut self.base);
        self.fold_into(&mut base, keep_after);
        self.base = base;
        while self.log.front().is_some_and(|(first, tx)| tx.last(*first) <= keep_after) {
            self.log.pop_front();
        }
    }

    fn fault(&mut self) -> Option<Fault> {
        let fault = self.ordered.pop_front().or_else(|| self.chance());
        match fault {
            Some(Fault::Unknown) if self.draw() & 1 == 0 => Some(Fault::Lost),
            Some(Fault::Unknown) => Some(Fault::Kept),
            other => other,
        }
    }

    fn chance(&mut self) -> Option<Fault> {
        if self.rates == Rates::default() {
            return None;
        }
        let drawn = self.draw() % 1_000_000;
        let full = u64::from(self.rates.full_ppm);
        let unknown = full + u64::from(self.rates.unknown_ppm);
        match drawn {
            drawn if drawn < full => Some(Fault::Full),
            drawn if drawn < unknown => Some(Fault::Unknown),
            _ => None,
        }
    }

    /// The next number of SplitMix64: small, and the same on every machine.
    fn draw(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
