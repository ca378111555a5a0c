//! Deadlines and pauses of steps: one task that sleeps until the first of them and
//! then asks the cell to look at that machine.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::Timestamp;
use model::id::MachineId;
use model::machine::Machine;
use tokio::sync::{Notify, Semaphore};

use crate::cell::{Alarm, Ask, Call};
use crate::nouns::Nouns;
use crate::plane::Plane;

/// The longest sleep: the clock may have been set meanwhile.
const SLEEP_LONGEST: Duration = Duration::from_secs(30);
/// When an alarm changed nothing, it is raised again after this.
const AGAIN: model::Duration = model::Duration::from_secs(1);
/// Alarms that are raised at once, after a long standstill.
const RAISED_MOST: usize = 256;

/// The task, and what it waits for.
pub(super) struct Timers {
    plane: Arc<Plane>,
    // A std mutex: held for a few looks into a tree, never across an await.
    alarms: Mutex<Alarms>,
    earlier: Notify,
    room: Arc<Semaphore>,
}

/// Alarms in the order of their times, one a machine.
#[derive(Default)]
struct Alarms {
    in_order: BTreeSet<(Timestamp, MachineId)>,
    of: HashMap<MachineId, Timestamp>,
}

impl Alarms {
    /// Sets a machine's alarm, or takes it away. Whether it is the first one now.
    fn set(&mut self, machine: MachineId, at: Option<Timestamp>) -> bool {
        let before = match at {
            Some(at) => self.of.insert(machine, at),
            None => self.of.remove(&machine),
        };
        if let Some(before) = before {
            self.in_order.remove(&(before, machine));
        }
        let Some(at) = at else { return false };
        self.in_order.insert((at, machine));
        assert!(self.in_order.len() == self.of.len(), "one alarm a machine");
        self.in_order.first() == Some(&(at, machine))
    }

    /// Takes out the first alarm whose moment has come.
    fn take_due(&mut self, now: Timestamp) -> Option<Alarm> {
        let (at, machine) = *self.in_order.first()?;
        if at > now {
            return None;
        }
        self.set(machine, None);
        Some(Alarm { at, machine })
    }
}

/// When the cell wants to be asked about a machine.
fn alarm_of(machine: &Machine) -> Option<Timestamp> {
    let step = machine.status.step.as_ref()?;
    Some(step.pause_until.unwrap_or(step.deadline))
}

impl Timers {
    pub(super) fn new(plane: Arc<Plane>) -> Self {
        Self {
            plane,
            alarms: Mutex::default(),
            earlier: Notify::new(),
            room: Arc::new(Semaphore::new(RAISED_MOST)),
        }
    }

    fn alarms(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        *self.alarms() = Alarms::default();
    }

    /// Begins anew from what is recorded.
    pub(super) fn begin_anew(&self, nouns: &Nouns) {
        self.clear();
        for (_, machine) in nouns.machines.iter() {
            self.set(machine.id, alarm_of(machine));
        }
    }

    /// Looks at a machine that changed.
    pub(super) fn look(&self, nouns: &Nouns, machine: MachineId) {
        let now = nouns.machines.get(machine.uuid()).and_then(|machine| alarm_of(machine));
        self.set(machine, now);
    }

    fn set(&self, machine: MachineId, at: Option<Timestamp>) {
        if self.alarms().set(machine, at) {
            self.earlier.notify_one();
        }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            let now = self.plane.clock.now();
            let due = self.alarms().take_due(now);
            if let Some(alarm) = due {
                let place = self.room.clone().acquire_owned().await.expect("never closed");
                let timers = self.clone();
                tokio::spawn(async move {
                    timers.raise(alarm.machine).await;
                    drop(place);
                });
                continue;
            }
            let first = self.alarms().in_order.first().map(|(at, _)| at.since(now).std());
            let sleep = first.unwrap_or(SLEEP_LONGEST).min(SLEEP_LONGEST);
            // Waking early costs a look; waking late would cost a second of somebody's life.
            let _ = tokio::time::timeout(sleep, self.earlier.notified()).await;
        }
    }

    /// Asks the cell to look. What it then decides comes back by the feed; when it
    /// decided nothing, or could not, it is asked again a little later.
    async fn raise(&self, machine: MachineId) {
        let asked = self.plane.leader.ask(Ask::from("bedplate", Call::Due { machine })).await;
        if let Err(problem) = &asked {
            tracing::warn!(%machine, %problem, "a deadline could not be looked at");
        }
        if !self.plane.leader.leads() {
            return;
        }
        let nouns = self.plane.leader.read();
        let at = nouns.machines.get(machine.uuid()).and_then(|machine| alarm_of(machine));
        let soon = self.plane.clock.now() + AGAIN;
        let at =
            at.map(|at| if at < soon && !is_new(&self.alarms(), machine, at) { soon } else { at });
        self.set(machine, at);
    }
}

/// Whether the feed has set this alarm meanwhile.
fn is_new(alarms: &Alarms, machine: MachineId, at: Timestamp) -> bool {
    alarms.of.get(&machine) == Some(&at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn machine(number: u128) -> MachineId {
        MachineId::from_uuid(Uuid::from_u128(number))
    }

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn alarms_come_in_order_and_once() {
        let mut alarms = Alarms::default();
        assert!(alarms.set(machine(1), Some(at(50))));
        assert!(alarms.set(machine(2), Some(at(20))), "it is earlier");
        assert!(!alarms.set(machine(3), Some(at(60))));
        alarms.set(machine(1), Some(at(10)));
        alarms.set(machine(3), None);
        assert_eq!(alarms.take_due(at(9)), None);
        assert_eq!(alarms.take_due(at(30)), Some(Alarm { at: at(10), machine: machine(1) }));
        assert_eq!(alarms.take_due(at(30)), Some(Alarm { at: at(20), machine: machine(2) }));
        assert_eq!(alarms.take_due(at(99)), None);
        assert!(alarms.in_order.is_empty() && alarms.of.is_empty());
    }
}
