//! Every step of every operation, with one fault each: failed once, killed before
//! its evidence is recorded, killed after, and its evidence repeated. One machine
//! that is well, so that everything must come to its end.

use control::cell::Call;
use model::agent::{AgentFailure, AgentFailureKind, AgentNews, AgentReport};
use model::bmc::{BmcFailure, BmcFailureKind};
use model::effect::Outcome;
use model::machine::{Lifecycle, StepKind};
use model::operation::OperationKind;
use record::{Change, Transaction};

use super::judge::Findings;
use super::site::{Arrival, Options, Site};

/// One fault at one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// In which operation.
    pub operation: OperationKind,
    /// At which step.
    pub step: StepKind,
    /// What happens.
    pub fault: StepFault,
    /// Whether it has happened.
    pub used: bool,
}

/// What happens to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepFault {
    /// What would be its evidence does not come, or says failure.
    FailedOnce,
    /// The process is killed when the evidence arrives, before it is recorded.
    KilledBefore,
    /// The process is killed when the evidence is recorded, before anybody hears.
    KilledAfter,
    /// The evidence comes twice.
    Repeated,
}

/// All faults.
pub const FAULTS: [StepFault; 4] =
    [StepFault::FailedOnce, StepFault::KilledBefore, StepFault::KilledAfter, StepFault::Repeated];

/// The cells of the matrix: every step of every operation's plan, every fault.
pub fn cells() -> Vec<Target> {
    let kinds = [
        OperationKind::Enroll,
        OperationKind::Deploy,
        OperationKind::Release,
        OperationKind::Recover,
    ];
    let mut cells = Vec::new();
    for operation in kinds {
        let mut steps: Vec<StepKind> = Vec::new();
        for (_, leg) in machine::plan::legs(operation).0 {
            let boots = |step: &StepKind| machine::plan::BOOT.contains(step);
            // The boot is taken once an operation, and by a deployment not at all:
            // our agent is there.
            let first = steps.is_empty() && operation != OperationKind::Deploy;
            steps.extend(leg.iter().filter(|step| first || !boots(step)));
        }
        for step in steps {
            let cell = |fault| Target { operation, step, fault, used: false };
            cells.extend(FAULTS.map(cell));
        }
    }
    cells
}

/// Runs one cell. The machine must have been through everything and be at rest.
pub fn run(seed: u64, target: Target) -> (Findings, bool) {
    let mut options = Options::seed(seed, 1);
    options.faulty_percent = 0;
    options.kills_ppm = 0;
    options.target = Some(target);
    let mut site = Site::new(options);
    site.run();
    let used = site.target.as_ref().is_some_and(|target| target.used);
    (super::judge::judge(&mut site), used)
}

impl Site {
    /// Whether the machine of an ask is where the target says.
    fn at_target(&self, call: &Call) -> bool {
        let Some(target) = self.target.as_ref().filter(|target| !target.used) else {
            return false;
        };
        let Some(process) = &self.process else { return false };
        let nouns = process.cell.nouns();
        let machine = match call {
            Call::Settled { effect, .. } => {
                nouns.outbox.get(effect).and_then(|it| nouns.machines.get(it.machine.uuid()))
            }
            Call::Reported { machine, .. } | Call::Admit { machine, .. } => {
                nouns.machines.get(machine.uuid())
            }
            Call::Sighted { .. } | Call::CalledHome { .. } => {
                nouns.machines.iter().next().map(|(_, machine)| machine)
            }
            _ => None,
        };
        let Some(status) = machine.map(|machine| &machine.status) else { return false };
        let operation = status.operation.and_then(|id| nouns.operations.get(&id));
        let here = status.step.as_ref().is_some_and(|step| step.kind == target.step);
        here && operation.is_some_and(|operation| operation.kind == target.operation)
            && is_evidence(target.step, call)
    }

    /// Applies the target to something that comes in. True: it does not come in now.
    pub fn apply_target_before(&mut self, arrival: &Arrival) -> bool {
        if !self.at_target(&arrival.ask.call) {
            return false;
        }
        let target = self.target.as_mut().expect("it is at its target");
        match target.fault {
            StepFault::FailedOnce => {
                target.used = true;
                self.fail_instead(&arrival.ask.call)
            }
            StepFault::KilledBefore => {
                target.used = true;
                self.kill();
                true
            }
            StepFault::Repeated => {
                target.used = true;
                let ask = arrival.ask.clone();
                self.arrive(Arrival { ask, from: super::site::From::Nobody }, 0);
                false
            }
            StepFault::KilledAfter => false,
        }
    }

    /// What would be evidence says failure, or is lost. True: it does not come in.
    fn fail_instead(&mut self, call: &Call) -> bool {
        if let Call::Settled { effect, .. } = call {
            let message = "the matrix says no".to_owned();
            let failure = BmcFailure { kind: BmcFailureKind::Busy, message };
            let outcome = Outcome::BmcFailed { failure };
            let call = Call::Settled { effect: *effect, outcome };
            let ask = control::cell::Ask::from("bedplate", call);
            self.arrive(Arrival { ask, from: super::site::From::Nobody }, 0);
            // The true answer comes late, when nobody waits for it.
            return false;
        }
        if let Call::Reported { machine, certificate, report, .. } = call {
            let message = "the matrix says no".to_owned();
            let failure = AgentFailure { kind: AgentFailureKind::Network, message };
            let report = AgentReport { id: report.id, news: AgentNews::Failed { failure } };
            let call = Call::Reported {
                machine: *machine,
                certificate: certificate.clone(),
                report,
                verdict: None,
                sanitised: None,
            };
            let ask = control::cell::Ask::from("agent", call);
            self.arrive(Arrival { ask, from: super::site::From::Nobody }, 0);
        }
        // Lost once; whoever sent it sends it again, and a report comes too late then.
        true
    }

    /// Whether the process is to be killed now that a decision is recorded.
    pub fn target_after(&mut self, transactions: &[Transaction]) -> bool {
        let Some(target) = self.target.as_mut().filter(|target| !target.used) else {
            return false;
        };
        if target.fault != StepFault::KilledAfter {
            return false;
        }
        let done = |change: &Change| match change {
            Change::Step(row) => serde_json::from_str::<model::operation::StepRecord>(&row.body)
                .is_ok_and(|step| step.kind == target.step && step.ended.is_some()),
            _ => false,
        };
        let changes = || transactions.iter().flat_map(|transaction| &transaction.changes);
        let kind = |change: &Change| match change {
            Change::Operation(row) => row.kind == target.operation.name(),
            _ => false,
        };
        if changes().any(done) && changes().any(kind) {
            target.used = true;
            return true;
        }
        false
    }
}

/// Whether an input is of the kind that can end a step.
const fn is_evidence(step: StepKind, call: &Call) -> bool {
    match step {
        StepKind::ReadParts | StepKind::PointAtImage => matches!(call, Call::Settled { .. }),
        StepKind::Restart => matches!(call, Call::Sighted { .. }),
        StepKind::AwaitAgent => matches!(call, Call::Admit { .. }),
        StepKind::AwaitSystem => matches!(call, Call::CalledHome { .. }),
        _ => matches!(call, Call::Reported { .. }),
    }
}

/// Where the machine of a cell must have ended.
pub const fn rests(lifecycle: Lifecycle) -> bool {
    matches!(lifecycle, Lifecycle::Available | Lifecycle::Active)
}
