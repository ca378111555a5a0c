//! The plan of each operation: through which states it leads, and by which steps
//! through each state. This is the whole order of a machine's life; what a step
//! does is in [`crate::step`].

use model::machine::{Lifecycle, Machine, StepKind};
use model::operation::OperationKind;

/// A state on the way, with its steps in order.
pub type Leg = (Lifecycle, &'static [StepKind]);

/// The steps that bring our agent onto a machine. Left out where it is there already.
pub const BOOT: [StepKind; 3] = [StepKind::PointAtImage, StepKind::Restart, StepKind::AwaitAgent];

const INSPECTING: Leg = (
    Lifecycle::Inspecting,
    &[
        StepKind::ReadParts,
        StepKind::PointAtImage,
        StepKind::Restart,
        StepKind::AwaitAgent,
        StepKind::ReportParts,
    ],
);
const ATTESTING: Leg = (
    Lifecycle::Attesting,
    &[StepKind::PointAtImage, StepKind::Restart, StepKind::AwaitAgent, StepKind::Attest],
);
const TESTING: Leg = (
    Lifecycle::Testing,
    &[StepKind::PointAtImage, StepKind::Restart, StepKind::AwaitAgent, StepKind::BurnIn],
);
const DEPLOYING: Leg = (
    Lifecycle::Deploying,
    &[
        StepKind::PointAtImage,
        StepKind::Restart,
        StepKind::AwaitAgent,
        StepKind::Attest,
        StepKind::WriteImage,
        StepKind::BootDisk,
        StepKind::AwaitSystem,
    ],
);
const RELEASING: Leg = (
    Lifecycle::Releasing,
    &[StepKind::PointAtImage, StepKind::Restart, StepKind::AwaitAgent, StepKind::Attest],
);
/// Attested once more after the wipe: what the tenant could reach is proven again.
const SANITISING: Leg = (
    Lifecycle::Sanitising,
    &[
        StepKind::PointAtImage,
        StepKind::Restart,
        StepKind::AwaitAgent,
        StepKind::Sanitise,
        StepKind::Attest,
    ],
);

/// The legs of an operation, and the state in which it ends.
pub const fn legs(kind: OperationKind) -> (&'static [Leg], Lifecycle) {
    match kind {
        OperationKind::Enroll => (&[INSPECTING, ATTESTING, TESTING], Lifecycle::Available),
        OperationKind::Deploy => (&[DEPLOYING], Lifecycle::Active),
        OperationKind::Release => (&[RELEASING, SANITISING], Lifecycle::Available),
        OperationKind::Recover => {
            (&[INSPECTING, ATTESTING, SANITISING, TESTING], Lifecycle::Available)
        }
    }
}

/// Whether a step has nothing to do, because our agent is there.
pub fn idle(machine: &Machine, step: StepKind) -> bool {
    BOOT.contains(&step) && machine.status.agent.is_some()
}

/// What comes after a step of a leg: a step, or the next leg, or the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another step of the same state.
    Step(StepKind),
    /// The first step of the next state.
    Leg(Lifecycle),
    /// The state in which the operation ends.
    End(Lifecycle),
}

/// What comes after `done` (or at the beginning of `lifecycle`, when `None`).
pub fn next(kind: OperationKind, machine: &Machine, done: Option<StepKind>) -> Next {
    let lifecycle = machine.status.lifecycle;
    let (legs, end) = legs(kind);
    let position = legs.iter().position(|(state, _)| *state == lifecycle);
    let Some(position) = position else {
        // Not on the way yet: the first leg comes.
        return Next::Leg(legs[0].0);
    };
    let steps = legs[position].1;
    let from = match done {
        None => 0,
        Some(done) => 1 + steps.iter().position(|step| *step == done).unwrap_or(0),
    };
    match steps[from..].iter().find(|step| !idle(machine, **step)) {
        Some(step) => Next::Step(*step),
        None => match legs.get(position + 1) {
            Some((state, _)) => Next::Leg(*state),
            None => Next::End(end),
        },
    }
}

/// Whether a person may take a failed step as done. Never one that safety hangs on.
pub const fn skippable(step: StepKind) -> bool {
    matches!(step, StepKind::BurnIn | StepKind::AwaitSystem)
}
