//! The requests to BMCs that are out, by machine: an index of the outbox, so that
//! nobody has to look through all of it.

use std::collections::{BTreeMap, HashMap};

use model::Timestamp;
use model::effect::{Action, Effect};
use model::id::{EffectId, MachineId};
use std::sync::Arc;

use crate::nouns::Nouns;

/// What is to be done next for a machine.
#[derive(Debug)]
pub(super) enum Next {
    /// Carry it out.
    Do(Arc<Effect>),
    /// A newer one has come: this one must not happen any more.
    Passed(Arc<Effect>),
    /// Its deadline is over before it was begun.
    Late(Arc<Effect>),
    /// Nothing is out.
    Nothing,
}

/// The index.
#[derive(Default)]
pub(super) struct Queues {
    by_machine: HashMap<MachineId, BTreeMap<u64, EffectId>>,
    machine_of: HashMap<EffectId, (MachineId, u64)>,
}

impl Queues {
    /// Begins anew from what is recorded.
    pub(super) fn rebuild(&mut self, nouns: &Nouns) {
        *self = Self::default();
        for effect in nouns.outbox.values() {
            self.queued(effect);
        }
    }

    /// Machines with work.
    pub(super) fn machines(&self) -> Vec<MachineId> {
        self.by_machine.keys().copied().collect()
    }

    /// Takes in a request to a BMC; nothing else.
    pub(super) fn queued(&mut self, effect: &Effect) {
        let Action::Bmc { .. } = effect.action else { return };
        let (id, machine, sequence) = (effect.id, effect.machine, effect.sequence);
        self.by_machine.entry(machine).or_default().insert(sequence, id);
        self.machine_of.insert(id, (machine, sequence));
    }

    /// Forgets one that ended.
    pub(super) fn settled(&mut self, effect: EffectId) {
        let Some((machine, sequence)) = self.machine_of.remove(&effect) else { return };
        let Some(queue) = self.by_machine.get_mut(&machine) else { return };
        queue.remove(&sequence);
        if queue.is_empty() {
            self.by_machine.remove(&machine);
        }
    }

    /// Whether nothing is out for a machine.
    pub(super) fn is_empty(&self, machine: MachineId) -> bool {
        !self.by_machine.contains_key(&machine)
    }

    /// What is to be done next for a machine: the newest request; those that it has
    /// passed are to be told so first.
    pub(super) fn next(&mut self, nouns: &Nouns, machine: MachineId, now: Timestamp) -> Next {
        loop {
            let Some(queue) = self.by_machine.get(&machine) else { return Next::Nothing };
            let (_, id) = queue.first_key_value().expect("an empty queue is removed");
            let (id, passed) = (*id, queue.len() > 1);
            // The record is ahead of the index: it may have ended meanwhile.
            let Some(effect) = nouns.outbox.get(&id) else {
                self.settled(id);
                continue;
            };
            return match effect.deadline <= now {
                _ if passed => Next::Passed(effect.clone()),
                true => Next::Late(effect.clone()),
                false => Next::Do(effect.clone()),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::bmc::BmcCommand;
    use uuid::Uuid;

    fn effect(number: u128, sequence: u64, deadline: i64) -> Arc<Effect> {
        Arc::new(Effect {
            id: EffectId::from_uuid(Uuid::from_u128(number)),
            machine: MachineId::from_uuid(Uuid::from_u128(7)),
            sequence,
            deadline: Timestamp::from_micros(deadline),
            action: Action::Bmc { command: BmcCommand::ReadPower },
        })
    }

    #[test]
    fn the_newest_is_done_and_the_passed_are_told_so() {
        let mut nouns = Nouns::default();
        let mut queues = Queues::default();
        for (number, sequence) in [(1, 4), (2, 5)] {
            let effect = effect(number, sequence, 100);
            queues.queued(&effect);
            nouns.outbox.insert(effect.id, effect);
        }
        let machine = MachineId::from_uuid(Uuid::from_u128(7));
        let now = Timestamp::from_micros(10);
        let Next::Passed(old) = queues.next(&nouns, machine, now) else { panic!("it was passed") };
        assert_eq!(old.sequence, 4);
        nouns.outbox.remove(&old.id);
        let Next::Do(new) = queues.next(&nouns, machine, now) else { panic!("it is the newest") };
        assert_eq!(new.sequence, 5);
        let later = Timestamp::from_micros(100);
        assert!(matches!(queues.next(&nouns, machine, later), Next::Late(_)));
        nouns.outbox.clear();
        assert!(matches!(queues.next(&nouns, machine, later), Next::Nothing));
        assert!(queues.is_empty(machine) && queues.machine_of.is_empty());
    }
}
