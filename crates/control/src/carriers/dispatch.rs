//! Gives each machine with work for its BMC a task of its own, and no more than one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::effect::Effect;
use model::id::{EffectId, MachineId};
use tokio::sync::{Notify, watch};

use super::lanes::Lanes;
use super::queues::{Next, Queues};
use super::reach::Connector;
use super::{CarrierSettings, worker};
use crate::nouns::Nouns;
use crate::plane::Plane;

/// What all workers share.
pub(super) struct Dispatch {
    pub(super) plane: Arc<Plane>,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) settings: CarrierSettings,
    pub(super) lanes: Lanes,
    pub(super) stopped: watch::Receiver<bool>,
    streams: AtomicUsize,
    // A std mutex: held for a few looks into maps, never across an await. It is
    // always taken after the lock of the leader's nouns, never before.
    crew: Mutex<Crew>,
}

#[derive(Default)]
struct Crew {
    queues: Queues,
    workers: HashMap<MachineId, Arc<Notify>>,
}

impl Dispatch {
    pub(super) fn new(
        plane: Arc<Plane>,
        connector: Arc<dyn Connector>,
        settings: CarrierSettings,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let lanes = Lanes::new(settings.prompt, settings.doubtful, settings.patience);
        let (streams, crew) = (AtomicUsize::new(0), Mutex::default());
        Self { plane, connector, settings, lanes, stopped, streams, crew }
    }

    fn crew(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins anew from what is recorded.
    pub(super) fn begin_anew(&self, nouns: &Nouns) {
        self.crew().queues.rebuild(nouns);
    }

    /// Wakes all that have work.
    pub(super) fn wake_all(self: &Arc<Self>) {
        let machines = self.crew().queues.machines();
        for machine in machines {
            self.wake(machine);
        }
    }

    /// An effect was recorded. Tells its machine.
    pub(super) fn queued(&self, effect: &Effect) -> MachineId {
        self.crew().queues.queued(effect);
        effect.machine
    }

    /// An effect ended.
    pub(super) fn settled(&self, effect: EffectId) {
        self.crew().queues.settled(effect);
    }

    /// Something about this machine was recorded: its worker looks again, and one is
    /// made where there is work and no worker.
    pub(super) fn wake(self: &Arc<Self>, machine: MachineId) {
        let mut crew = self.crew();
        if let Some(bell) = crew.workers.get(&machine) {
            bell.notify_one();
        } else if !crew.queues.is_empty(machine) {
            let bell = Arc::new(Notify::new());
            crew.workers.insert(machine, bell.clone());
            tokio::spawn(worker::run(self.clone(), machine, bell));
        }
    }

    /// What a worker is to do next.
    pub(super) fn next(&self, machine: MachineId) -> Next {
        let now = self.plane.clock.now();
        let nouns = self.plane.leader.read();
        self.crew().queues.next(&nouns, machine, now)
    }

    /// A worker wants to leave. It may, unless work has come at this moment.
    pub(super) fn leave(&self, machine: MachineId) -> bool {
        let mut crew = self.crew();
        let may = crew.queues.is_empty(machine);
        if may {
            crew.workers.remove(&machine);
        }
        may
    }

    /// A worker has ended, whyever: because it did not lead any more, was stopped, or
    /// panicked. Another may be made for the machine.
    pub(super) fn ended(&self, machine: MachineId, bell: &Arc<Notify>) {
        let mut crew = self.crew();
        if crew.workers.get(&machine).is_some_and(|known| Arc::ptr_eq(known, bell)) {
            crew.workers.remove(&machine);
        }
    }

    /// A place for one more stream of events, as long as there are any.
    pub(super) fn stream_place(self: &Arc<Self>) -> Option<StreamPlace> {
        let most = self.settings.streams;
        let taken = self.streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count < most).then_some(count + 1)
        });
        taken.ok().map(|_| StreamPlace(self.clone()))
    }
}

/// A place for a stream; given back when it is dropped.
pub(super) struct StreamPlace(Arc<Dispatch>);

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
