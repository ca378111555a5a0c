//! Where the time of a machine went: every microsecond between two moments belongs
//! to exactly one span, and each span to a step or to a rest.
//!
//! [`attribute`] is a pure function. It does not trust its input to be tidy: steps
//! that overlap are cut where the next one begins, and what no step claims belongs
//! to the state that the machine was in.

use std::sync::Arc;

use model::Timestamp;
use model::api::{GetTimeline, Timeline, TimelineSpan};
use model::machine::{Lifecycle, Machine};
use model::operation::{Operation, OperationKind, OperationState, StepRecord, StepResult};

use super::incoming::Incoming;
use super::route::{Answered, Outcome, Routes};
use super::scope::Scope;
use crate::nouns::Nouns;

/// The endpoint of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.add::<GetTimeline, _, _>(show)
}

async fn show(incoming: Incoming<GetTimeline>) -> Outcome<GetTimeline> {
    let machine = incoming.machine()?;
    let past = Past::of(&machine, &incoming.plane.leader.read(), &incoming.scope());
    let now = incoming.plane.clock.now();
    Ok(Answered::document(attribute(past.from, now, &past.changes, &past.steps)))
}

/// A machine entered a state.
#[derive(Clone, Debug, PartialEq)]
pub struct StateChange {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub lifecycle: Lifecycle,
    /// Why, where there is more to say.
    pub detail: String,
}

/// What is known of a machine's past.
struct Past {
    from: Timestamp,
    changes: Vec<StateChange>,
    steps: Vec<StepRecord>,
}

impl Past {
    /// The past that a caller sees: all of it, or what happened for the caller's project.
    fn of(machine: &Machine, nouns: &Nouns, scope: &Scope) -> Self {
        let of_machine = nouns.operations.values().filter(|it| it.machine == machine.id);
        let operations: Vec<&Arc<Operation>> =
            of_machine.filter(|it| scope.sees_operation(it)).collect();
        let status = &machine.status;
        let (from, mut changes) = match scope.project() {
            None => (machine.created, vec![entered(machine.created, Lifecycle::Discovered)]),
            Some(_) => (operations.first().map_or(status.since, |it| it.created), Vec::new()),
        };
        let mut steps = Vec::new();
        for operation in operations {
            let journal = nouns.steps.get(&operation.id).map_or(&[][..], Vec::as_slice);
            // First, so that a step that began at once counts for more.
            changes.extend(journal.iter().filter_map(gave_up));
            changes.extend(journal.iter().map(|step| entered(step.started, step.lifecycle)));
            changes.extend(around(operation));
            steps.extend_from_slice(journal);
        }
        let reason = status.reason.as_ref().map(|reason| reason.message.clone());
        let detail = reason.unwrap_or_default();
        changes.push(StateChange { at: status.since, lifecycle: status.lifecycle, detail });
        Self { from, changes, steps }
    }
}

fn entered(at: Timestamp, lifecycle: Lifecycle) -> StateChange {
    StateChange { at, lifecycle, detail: String::new() }
}

/// A step that failed leaves the machine in quarantine, until another begins.
fn gave_up(step: &StepRecord) -> Option<StateChange> {
    let at = step.ended.filter(|_| step.result == Some(StepResult::Failed))?;
    Some(StateChange { at, lifecycle: Lifecycle::Quarantined, detail: step.detail.clone() })
}

/// The states before and after an operation, as far as it decides them.
fn around(operation: &Operation) -> Vec<StateChange> {
    let before = match operation.kind {
        OperationKind::Enroll => Lifecycle::Enrolled,
        OperationKind::Deploy => Lifecycle::Deploying,
        OperationKind::Release => Lifecycle::Releasing,
        OperationKind::Recover => Lifecycle::Inspecting,
    };
    let after = match (operation.state, operation.kind) {
        (OperationState::Running, _) => None,
        (OperationState::Done, OperationKind::Deploy) => Some(Lifecycle::Active),
        (OperationState::Done, _) => Some(Lifecycle::Available),
        (OperationState::NeedsAttention | OperationState::Abandoned, _) => {
            Some(Lifecycle::Quarantined)
        }
    };
    let at = operation.ended.unwrap_or(operation.updated);
    let reason = operation.reason.as_ref().map(|reason| reason.message.clone());
    let detail = reason.unwrap_or_default();
    let mut changes = vec![entered(operation.created, before)];
    changes.extend(after.map(|lifecycle| StateChange { at, lifecycle, detail }));
    changes
}

/// Attributes every microsecond from `from` to before `to`. Changes and steps may
/// come in any order.
pub fn attribute(
    from: Timestamp,
    to: Timestamp,
    changes: &[StateChange],
    steps: &[StepRecord],
) -> Timeline {
    let to = to.max(from);
    let mut changes: Vec<&StateChange> = changes.iter().collect();
    changes.sort_by_key(|change| change.at);
    let mut steps: Vec<&StepRecord> = steps.iter().collect();
    steps.sort_by_key(|step| (step.started, step.operation, step.index));
    let mut line = Line { at: from, spans: Vec::new() };
    for (place, step) in steps.iter().enumerate() {
        let next = steps.get(place + 1).map_or(to, |next| next.started);
        let end = step.ended.unwrap_or(to).min(next).min(to);
        line.rest(step.started.min(to), &changes);
        if end > line.at {
            line.push(end, step.lifecycle, Some(step));
        }
    }
    line.rest(to, &changes);
    assert!(line.at == to, "a timeline ends where it must");
    Timeline { from, to, spans: line.spans }
}

/// The spans so far; they end at `at`.
struct Line {
    at: Timestamp,
    spans: Vec<TimelineSpan>,
}

impl Line {
    /// A span from where the line ends.
    fn push(&mut self, end: Timestamp, lifecycle: Lifecycle, step: Option<&StepRecord>) {
        assert!(end > self.at, "a span has a length");
        self.spans.push(TimelineSpan {
            lifecycle,
            step: step.map(|step| step.kind),
            from: self.at,
            span: end.since(self.at),
            attempts: step.map_or(0, |step| step.attempt),
            detail: step.map_or_else(String::new, |step| step.detail.clone()),
        });
        self.at = end;
    }

    /// What no step claims, up to a moment: one span for each state.
    fn rest(&mut self, end: Timestamp, changes: &[&StateChange]) {
        while self.at < end {
            let known = changes.partition_point(|change| change.at <= self.at);
            let current = known.checked_sub(1).map(|last| changes[last]);
            let lifecycle = current.map_or(Lifecycle::Discovered, |change| change.lifecycle);
            let next = changes[known..].iter().find(|change| change.lifecycle != lifecycle);
            let until = next.map_or(end, |change| change.at.min(end));
            self.push(until, lifecycle, None);
            if let (Some(change), Some(span)) = (current, self.spans.last_mut()) {
                span.detail.clone_from(&change.detail);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::id::OperationId;
    use model::machine::{Rung, StepKind};
    use proptest::prelude::*;

    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn step(index: u32, started: i64, ended: Option<i64>) -> StepRecord {
        StepRecord {
            operation: OperationId::from_uuid(uuid::Uuid::from_u128(1)),
            index,
            kind: StepKind::ALL[index as usize % StepKind::ALL.len()],
            lifecycle: Lifecycle::Inspecting,
            attempt: 1,
            rung: Rung::First,
            started: at(started),
            ended: ended.map(at),
            result: None,
            detail: String::new(),
        }
    }

    fn told(timeline: &Timeline) -> Vec<(Lifecycle, Option<StepKind>, i64, u64)> {
        let spans = timeline.spans.iter();
        spans.map(|it| (it.lifecycle, it.step, it.from.micros(), it.span.micros())).collect()
    }

    #[test]
    fn steps_and_rests_follow_one_another() {
        let changes = [
            entered(at(0), Lifecycle::Discovered),
            entered(at(10), Lifecycle::Enrolled),
            entered(at(20), Lifecycle::Inspecting),
            entered(at(50), Lifecycle::Available),
        ];
        let steps = [step(0, 20, Some(30)), step(1, 35, Some(50))];
        let timeline = attribute(at(0), at(70), &changes, &steps);
        let (read, point) = (Some(StepKind::ReadParts), Some(StepKind::PointAtImage));
        assert_eq!(
            told(&timeline),
            [
                (Lifecycle::Discovered, None, 0, 10),
                (Lifecycle::Enrolled, None, 10, 10),
                (Lifecycle::Inspecting, read, 20, 10),
                (Lifecycle::Inspecting, None, 30, 5),
                (Lifecycle::Inspecting, point, 35, 15),
                (Lifecycle::Available, None, 50, 20),
            ]
        );
    }

    #[test]
    fn a_step_that_goes_on_lasts_until_now_or_until_the_next() {
        let steps = [step(0, 0, None), step(1, 10, None)];
        let timeline = attribute(at(0), at(25), &[], &steps);
        let lengths: Vec<u64> = timeline.spans.iter().map(|it| it.span.micros()).collect();
        assert_eq!(lengths, [10, 15]);
    }

    proptest! {
        /// However untidy the past: no gap, no overlap, from end to end.
        #[test]
        fn every_microsecond_is_attributed_once(
            from in -50_i64..50,
            to in -50_i64..200,
            steps in prop::collection::vec((0_u32..9, -80_i64..220, prop::option::of(-80_i64..220)), 0..12),
            changes in prop::collection::vec((-80_i64..220, 0_usize..13), 0..12),
        ) {
            let steps: Vec<_> = steps.into_iter().map(|(i, s, e)| step(i, s, e)).collect();
            let changes: Vec<_> =
                changes.into_iter().map(|(t, l)| entered(at(t), Lifecycle::ALL[l])).collect();
            let timeline = attribute(at(from), at(to), &changes, &steps);
            let mut end = timeline.from;
            for span in &timeline.spans {
                prop_assert_eq!(span.from, end);
                prop_assert!(span.span.micros() > 0);
                end = span.from + span.span;
            }
            prop_assert_eq!(end, timeline.to);
            prop_assert_eq!(timeline.to, at(to.max(from)));
        }
    }
}
