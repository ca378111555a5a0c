//! To lead and to follow: the lease, what another leader wrote, and the way back
//! after a fault. All of it in the thread of [`super::writer`].
//!
//! A cell is made from what is published. That is everything that is recorded: no
//! one can commit under an older lease once a new one is given, and the events
//! are read up to the last after that.

use model::{Duration, Timestamp};
use record::{Store, StoreError};

use super::published::{Published, Recorded};
use super::refusal;
use super::writer::{Role, Writer};
use crate::cell::Cell;

const LEASE: &str = "leader";
/// How long a leader may be silent before another takes over.
const LEASE_FOR: Duration = Duration::from_secs(10);
/// How often the lease is renewed, or asked for, or the leader's events are read.
pub const BEAT: Duration = Duration::from_secs(1);

impl Writer {
    /// Keeps the lease, or tries to get it; reads what another leader wrote. Does
    /// nothing when that was done less than a [`BEAT`] ago, unless it is overdue.
    pub fn beat(&mut self) {
        let now = self.settings.clock.now();
        let overdue = std::mem::take(&mut self.overdue);
        if !overdue && now.since(self.beaten) < BEAT {
            return;
        }
        self.beaten = now;
        let result = match &self.role {
            Role::Leading { .. } => self.renew(now),
            Role::Following => self.follow(now),
        };
        self.trouble = result.as_ref().err().map(refusal::without_record);
        if let Err(error) = result {
            tracing::warn!("the record: {error}");
            self.resign(&error);
            self.show_role();
        }
    }

    fn renew(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let Role::Leading { fence, .. } = &self.role else { return Ok(()) };
        let fence = fence.clone();
        if self.store()?.renew(&fence, now, LEASE_FOR)? {
            self.until = now + LEASE_FOR;
            return self.prune_some();
        }
        tracing::warn!("another control plane has taken over; this one follows");
        self.role = Role::Following;
        self.show_role();
        self.follow(now)
    }

    /// Reads what there is to read, and leads when nobody else does.
    fn follow(&mut self, now: Timestamp) -> Result<(), StoreError> {
        // First, so that nobody takes the lease who cannot read.
        self.catch_up()?;
        if self.read().unreadable().is_some() {
            return Ok(());
        }
        let holder = self.settings.holder.clone();
        let fence = self.store()?.acquire(LEASE, &holder, now, LEASE_FOR)?;
        let Some(fence) = fence else {
            self.show_role();
            return Ok(());
        };
        self.catch_up()?;
        if self.read().unreadable().is_some() {
            return self.store()?.release(&fence);
        }
        tracing::info!(revision = self.revision(), number = fence.number, "leading");
        let cell = self.cell_of_record();
        self.role = Role::Leading { fence, cell };
        self.until = now + LEASE_FOR;
        self.show_role();
        Ok(())
    }

    /// What is decided when nothing is but what is recorded.
    fn cell_of_record(&self) -> Box<Cell> {
        let nouns = self.read().nouns().clone();
        Box::new(Cell::new(nouns, self.settings.machine.clone()))
    }

    /// Forgets what was decided and not recorded.
    pub fn forget_undecided(&mut self) {
        let recorded = self.cell_of_record();
        if let Role::Leading { cell, .. } = &mut self.role {
            *cell = recorded;
        }
    }

    /// Publishes what is recorded and not published yet.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        if self.untrusted {
            self.start_over()?;
        }
        loop {
            let after = self.revision();
            let rows = match self.store()?.events(after, 1_024) {
                Ok(rows) => rows,
                Err(StoreError::Pruned { .. } | StoreError::Diverged { .. }) => {
                    return self.start_over();
                }
                Err(error) => return Err(error),
            };
            if rows.is_empty() {
                return Ok(());
            }
            self.publish(rows.into_iter().map(Recorded::read).collect());
        }
    }

    /// Reads everything anew, where following event by event is not possible.
    fn start_over(&mut self) -> Result<(), StoreError> {
        let store = self.store()?;
        let state = store.load()?;
        let fresh = Published::load(&state, store.as_mut())?;
        self.show(|published| *published = fresh);
        self.untrusted = false;
        Ok(())
    }

    /// The store, opened again where a fault closed it.
    pub fn store(&mut self) -> Result<&mut Box<dyn Store>, StoreError> {
        if self.store.is_none() {
            self.store = Some((self.open)()?);
        }
        Ok(self.store.as_mut().expect("it was just opened"))
    }

    /// After an error of the store: what was decided beyond the record is forgotten,
    /// and where the outcome is unknown the store is opened anew.
    fn resign(&mut self, error: &StoreError) {
        self.role = Role::Following;
        if error.outcome_unknown() {
            self.store = None;
        }
    }

    /// After a commit that failed.
    pub fn lose(&mut self, error: &StoreError) {
        let elsewhere = matches!(error, StoreError::Fenced { .. } | StoreError::Diverged { .. });
        if !elsewhere && !error.outcome_unknown() {
            // Nothing was done and the lease is still ours: with room again, we go on.
            return self.forget_undecided();
        }
        self.resign(error);
        self.overdue = true;
        // Otherwise most likely we lead again at once, and nobody need notice.
        if elsewhere || self.settings.clock.now() >= self.until {
            self.show_role();
        }
    }

    /// After a panic: nothing in memory is trusted.
    pub fn distrust(&mut self) {
        self.role = Role::Following;
        self.store = None;
        self.untrusted = true;
        self.show_role();
    }

    fn show_role(&self) {
        let leads = matches!(self.role, Role::Leading { .. });
        let shown = &self.shared.leads;
        shown.send_if_modified(|shown| std::mem::replace(shown, leads) != leads);
    }

    /// Gives the lease back, so that others need not wait for its end.
    pub fn leave(&mut self) {
        if let (Role::Leading { fence, .. }, Some(store)) = (&self.role, &mut self.store)
            && let Err(error) = store.release(fence)
        {
            tracing::warn!("the lease could not be given back: {error}");
        }
        self.role = Role::Following;
        self.show_role();
    }
}
