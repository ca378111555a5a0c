//! What was recorded, told to whom it concerns. One task reads the events once;
//! everybody else hears only of their own machines.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use model::Id;
use model::id::MachineId;
use model::machine::Machine;
use record::{Change, EventRow};

use super::dispatch::Dispatch;
use super::timers::Timers;
use crate::nouns::Shelved as _;
use crate::plane::Plane;

/// Events that are read at once.
const BATCH: usize = 512;
/// How long it waits for a change before it looks anew whether it was told of all.
const BEAT: Duration = Duration::from_secs(5);

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
        let mut leading = self.plane.leader.leading();
        // Who lost the lead and has it again begins anew: in between somebody else led.
        while leading.wait_for(|leads| *leads).await.is_ok() {
            let mut seen = self.begin_anew();
            loop {
                match self.plane.leader.rows(seen, BATCH) {
                    Ok(events) if events.is_empty() => {}
                    Ok(events) => {
                        seen = events.last().expect("there is one").revision;
                        self.tell(&events);
                        if !leading.has_changed().unwrap_or(true) {
                            continue;
                        }
                    }
                    // Too far behind to go event by event.
                    Err(_) => seen = self.begin_anew(),
                }
                tokio::select! {
                    _ = leading.changed() => break,
                    told = tokio::time::timeout(BEAT, changed.changed()) => {
                        if matches!(told, Ok(Err(_))) {
                            return;
                        }
                    }
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

    /// Looks at what changed, and not into it: most of it is of no concern here.
    fn tell(&self, events: &[Arc<EventRow>]) {
        let mut machines: HashSet<MachineId> = HashSet::new();
        {
            let nouns = self.plane.leader.read();
            for event in events {
                match &event.change {
                    Change::Object(row) if row.kind == Machine::KIND => {
                        machines.insert(Id::from_uuid(row.id));
                    }
                    Change::ObjectRemoved { kind, id } if kind == Machine::KIND => {
                        machines.insert(Id::from_uuid(*id));
                    }
                    Change::EffectQueued(row) => {
                        // One that has ended again meanwhile is nobody's concern.
                        let effect = nouns.outbox.get(&Id::from_uuid(row.id));
                        machines.extend(effect.map(|effect| self.dispatch.queued(effect)));
                    }
                    Change::EffectSettled { id, .. } => self.dispatch.settled(Id::from_uuid(*id)),
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
