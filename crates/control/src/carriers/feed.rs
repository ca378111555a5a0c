//! What was recorded, told to whom it concerns. One task reads the events once;
//! everybody else hears only of their own machines.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use model::event::Event;
use model::id::{EffectId, MachineId};

use super::dispatch::Dispatch;
use super::timers::Timers;
use crate::plane::Plane;

/// Events that are read at once.
const BATCH: usize = 512;
/// How often a process that follows looks whether it leads.
const BEAT: Duration = Duration::from_millis(250);

/// The task.
pub(super) struct Feed {
    plane: Arc<Plane>,
    dispatch: Arc<Dispatch>,
    timers: Arc<Timers>,
}

impl Feed {
    pub(super) fn new(plane: Arc<Plane>, dispatch: Arc<Dispatch>, timers: Arc<Timers>) -> Self {
        Self { plane, dispatch, timers }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(self) {
        let mut changed = self.plane.leader.changed();
        loop {
            while !self.plane.leader.leads() {
                tokio::time::sleep(BEAT).await;
            }
            let mut seen = self.begin_anew();
            while self.plane.leader.leads() {
                match self.plane.leader.events(seen, BATCH) {
                    Ok(events) if events.is_empty() => {
                        // A change of leader alone records nothing: look now and then.
                        let wait = tokio::time::timeout(BEAT * 20, changed.changed()).await;
                        if matches!(wait, Ok(Err(_))) {
                            return;
                        }
                    }
                    Ok(events) => {
                        seen = events.last().expect("there is one").revision;
                        self.tell(&events);
                    }
                    // Too far behind to go event by event.
                    Err(_) => seen = self.begin_anew(),
                }
            }
            self.timers.clear();
        }
    }

    /// From what is recorded, as after a start. Tells the revision of that.
    fn begin_anew(&self) -> u64 {
        let revision = {
            let nouns = self.plane.leader.read();
            self.dispatch.begin_anew(&nouns);
            self.timers.begin_anew(&nouns);
            nouns.revision()
        };
        self.dispatch.wake_all();
        self.plane.orders.wake_all();
        revision
    }

    fn tell(&self, events: &[Event]) {
        let mut machines = HashSet::new();
        {
            let nouns = self.plane.leader.read();
            for event in events {
                match event.kind.as_str() {
                    "machine.changed" | "machine.removed" => {
                        machines.extend(event.id.parse::<MachineId>().ok());
                    }
                    "effect.queued" => {
                        let effect = event.id.parse::<EffectId>().ok();
                        // One that has ended again meanwhile is nobody's concern.
                        let effect = effect.and_then(|id| nouns.outbox.get(&id));
                        machines.extend(effect.map(|effect| self.dispatch.queued(effect)));
                    }
                    "effect.settled" => {
                        if let Ok(effect) = event.id.parse() {
                            self.dispatch.settled(effect);
                        }
                    }
                    _ => {}
                }
            }
            for machine in &machines {
                self.timers.look(&nouns, *machine);
            }
        }
        for machine in machines {
            self.dispatch.wake(machine);
            self.plane.orders.wake(machine);
        }
    }
}
