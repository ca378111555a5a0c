//! One turn of one machine: how it moves from step to step, state to state, rung
//! to rung. Everything that is to happen is collected in a [`Decision`].

use model::effect::{Action, Effect};
use model::id::EffectId;
use model::image::Image;
use model::machine::{Lifecycle, Machine, Reason, ReasonCode, Rung, StepKind, StepState};
use model::operation::{Operation, OperationKind, OperationState, StepRecord, StepResult};
use model::{Duration, Timestamp};
use world::Entropy;
use world::entropy::new_id;

use crate::plan::{self, Next};
use crate::{Settings, ladder, step};

/// What a decision may look at besides the machine.
pub struct Surroundings<'a> {
    /// The time.
    pub now: Timestamp,
    /// For ids, tokens and nonces.
    pub entropy: &'a mut dyn Entropy,
    /// The knobs.
    pub settings: &'a Settings,
    /// The image that the machine's deployment names, where it is ready.
    pub image: Option<&'a Image>,
    /// Who asks.
    pub actor: &'a str,
}

/// What is to happen.
#[derive(Debug, Default)]
pub struct Decision {
    /// Effects to be queued.
    pub effects: Vec<Effect>,
    /// Effects that nobody waits for any more.
    pub settled: Vec<EffectId>,
    /// Journal entries, each replacing the one of the same operation and index.
    pub steps: Vec<StepRecord>,
    /// An operation that ended while another began in the same turn.
    pub ended: Option<Operation>,
    /// Nobody waited for this input; the machine is as it was.
    pub stale: bool,
}

/// A turn in progress.
pub struct Turn<'a> {
    /// The machine as it will be.
    pub machine: Machine,
    /// Its operation as it will be.
    pub operation: Option<Operation>,
    /// What the turn may look at.
    pub around: Surroundings<'a>,
    /// What is to happen.
    pub decision: Decision,
}

impl<'a> Turn<'a> {
    /// Begins a turn.
    pub fn new(machine: Machine, operation: Option<Operation>, around: Surroundings<'a>) -> Self {
        Self { machine, operation, around, decision: Decision::default() }
    }

    /// The time.
    pub const fn now(&self) -> Timestamp {
        self.around.now
    }

    /// Marks the input as one that nobody waited for.
    pub fn stale(&mut self) {
        self.decision.stale = true;
    }

    /// Ends the turn.
    pub fn finish(mut self) -> (Machine, Option<Operation>, Decision) {
        self.machine.updated = self.now();
        (self.machine, self.operation, self.decision)
    }

    /// Begins an operation, and its first step.
    pub fn begin(&mut self, kind: OperationKind, project: Option<String>) {
        self.close_operation();
        let now = self.now();
        let operation = Operation {
            id: new_id(now, self.around.entropy),
            kind,
            machine: self.machine.id,
            project,
            state: OperationState::Running,
            actor: self.around.actor.to_owned(),
            created: now,
            updated: now,
            ended: None,
            reason: None,
            steps: 0,
        };
        self.machine.status.operation = Some(operation.id);
        self.machine.status.reason = None;
        self.operation = Some(operation);
        self.go_on(None);
    }

    /// A new operation takes the place of one that needed attention.
    fn close_operation(&mut self) {
        self.drop_step(StepResult::Abandoned, "another operation began");
        if let Some(mut before) = self.operation.take() {
            if !before.state.ended() {
                before.state = OperationState::Abandoned;
                before.ended = Some(self.around.now);
                before.updated = self.around.now;
            }
            self.decision.ended = Some(before);
        }
    }

    /// Goes on after a step (or from the beginning of where the machine is).
    pub fn go_on(&mut self, done: Option<StepKind>) {
        let kind = self.operation.as_ref().expect("a machine moves only in an operation").kind;
        match plan::next(kind, &self.machine, done) {
            Next::Step(step) => self.start(step),
            Next::Leg(state) => {
                self.enter(state);
                self.go_on(None);
            }
            Next::End(state) => {
                self.enter(state);
                self.end_operation(OperationState::Done);
            }
        }
    }

    /// Enters a state.
    pub fn enter(&mut self, lifecycle: Lifecycle) {
        let now = self.now();
        let status = &mut self.machine.status;
        status.lifecycle = lifecycle;
        status.since = now;
        status.detours = 0;
        if lifecycle == Lifecycle::Available {
            self.machine.spec.deployment = None;
        }
    }

    /// Ends the operation.
    pub fn end_operation(&mut self, state: OperationState) {
        let now = self.now();
        self.machine.status.step = None;
        self.machine.status.operation = None;
        if let Some(operation) = &mut self.operation {
            operation.state = state;
            operation.updated = now;
            operation.ended = Some(now);
        }
    }

    /// Starts a step at its first rung.
    pub fn start(&mut self, kind: StepKind) {
        let now = self.now();
        let operation = self.operation.as_mut().expect("a step belongs to an operation");
        let index = operation.steps;
        operation.steps += 1;
        operation.updated = now;
        self.machine.status.step = Some(StepState {
            kind,
            index,
            rung: Rung::First,
            attempt: 0,
            started: now,
            tried: now,
            deadline: now,
            effect: None,
            recovery: None,
            pause_until: None,
            faults: Vec::new(),
            code: None,
            progress: None,
        });
        self.attempt();
    }

    /// Tries the current step, now.
    pub fn attempt(&mut self) {
        let now = self.now();
        let step = self.machine.status.step.as_mut().expect("there is a step to try");
        step.attempt += 1;
        step.tried = now;
        step.pause_until = None;
        step.recovery = None;
        step.progress = None;
        let kind = step.kind;
        step.deadline = now + self.around.settings.patience(kind);
        self.journal(None, String::new());
        step::begin(self, kind);
    }

    /// Asks something of the world.
    pub fn emit(&mut self, action: Action, deadline: Timestamp) -> EffectId {
        let id = new_id(self.around.now, self.around.entropy);
        let status = &mut self.machine.status;
        status.sequence += 1;
        let (machine, sequence) = (self.machine.id, status.sequence);
        self.decision.effects.push(Effect { id, machine, sequence, deadline, action });
        id
    }

    /// Asks something as the effect of the current step.
    pub fn emit_for_step(&mut self, action: Action) {
        self.settle_outstanding();
        let deadline = self.step().deadline;
        let id = self.emit(action, deadline);
        self.step_mut().effect = Some(id);
    }

    /// The current step.
    pub fn step(&self) -> &StepState {
        self.machine.status.step.as_ref().expect("there is a step")
    }

    /// The current step.
    pub fn step_mut(&mut self) -> &mut StepState {
        self.machine.status.step.as_mut().expect("there is a step")
    }

    /// The current step came to its evidence.
    pub fn complete(&mut self, evidence: impl Into<String>) {
        self.settle_outstanding();
        let kind = self.step().kind;
        self.journal(Some(StepResult::Done), evidence.into());
        self.machine.status.step = None;
        self.go_on(Some(kind));
    }

    /// This try of the current step failed: up the ladder, or to its end.
    pub fn fail(&mut self, code: ReasonCode, fault: impl Into<String>) {
        const FAULTS_KEPT: usize = 8;
        self.settle_outstanding();
        let fault = fault.into();
        let step = self.step_mut();
        if step.faults.len() == FAULTS_KEPT {
            step.faults.remove(1);
        }
        step.faults.push(format!("try {} ({}): {fault}", step.attempt, step.rung.name()));
        step.code = Some(code);
        let (kind, rung) = (step.kind, step.rung);
        match ladder::next(&self.machine, kind, rung) {
            Some(next) => self.climb(next, &fault),
            None => self.give_up(code, fault),
        }
    }

    /// The current step failed in a way that no ladder mends.
    pub fn give_up(&mut self, code: ReasonCode, fault: impl Into<String>) {
        self.settle_outstanding();
        let fault = fault.into();
        let kind = self.step().kind;
        let mut evidence = self.step().faults.clone();
        if evidence.last().is_none_or(|last| !last.ends_with(&fault)) {
            evidence.push(fault.clone());
        }
        self.quarantine(code, format!("{kind}: {fault}"), Some(kind), evidence);
    }

    fn climb(&mut self, rung: Rung, fault: &str) {
        let kind = self.step().kind;
        if ladder::detour(kind, rung) {
            return self.detour(rung, fault);
        }
        let settings = self.around.settings;
        let (pause, limit) = (settings.pause, settings.patience(StepKind::PointAtImage));
        let attempt = u64::from(self.step().attempt);
        self.step_mut().rung = rung;
        self.journal(None, fault.to_owned());
        match step::recovery(kind, rung) {
            Some(command) => {
                let deadline = self.now() + limit;
                let id = self.emit(Action::Bmc { command }, deadline);
                let step = self.step_mut();
                step.recovery = Some(id);
                step.deadline = deadline;
            }
            None => self.pause(Duration::from_micros(pause.micros() * attempt)),
        }
    }

    /// Waits before the next try.
    pub fn pause(&mut self, span: Duration) {
        let until = self.now() + span;
        let step = self.step_mut();
        step.recovery = None;
        step.pause_until = Some(until);
        step.deadline = until;
    }

    /// Begins the way to our agent anew.
    fn detour(&mut self, rung: Rung, fault: &str) {
        self.drop_step(StepResult::Failed, &format!("{fault}; begun anew ({})", rung.name()));
        let status = &mut self.machine.status;
        status.detours += 1;
        assert!(status.detours <= ladder::DETOURS_MAX, "a state is not begun anew for ever");
        status.agent = None;
        if rung == Rung::OtherBoot {
            step::point_at_image::take_other_road(status);
        }
        if rung == Rung::ResetBmc {
            let deadline = self.now() + self.around.settings.patience(StepKind::PointAtImage);
            self.emit(Action::Bmc { command: model::bmc::BmcCommand::ResetBmc }, deadline);
        }
        self.start(StepKind::PointAtImage);
        if rung == Rung::ResetBmc {
            self.settle_outstanding();
            self.pause(self.around.settings.bmc_reset_pause);
        }
    }

    /// Leaves the current step, if there is one, without its evidence.
    fn drop_step(&mut self, result: StepResult, detail: &str) {
        if self.machine.status.step.is_some() {
            self.settle_outstanding();
            self.journal(Some(result), detail.to_owned());
            self.machine.status.step = None;
        }
    }

    /// Out of service, with the reason.
    pub fn quarantine(
        &mut self,
        code: ReasonCode,
        message: String,
        step: Option<StepKind>,
        evidence: Vec<String>,
    ) {
        let now = self.now();
        let reason = Reason {
            code,
            message: message.clone(),
            next: next_step(code).to_owned(),
            lifecycle: self.machine.status.lifecycle,
            step,
            evidence,
        };
        self.drop_step(StepResult::Failed, &message);
        let status = &mut self.machine.status;
        status.lifecycle = Lifecycle::Quarantined;
        status.since = now;
        status.detours = 0;
        status.nonce = None;
        // Nothing that could let it act on: no boot, no commands.
        status.boot = None;
        status.agent = None;
        status.reason = Some(reason.clone());
        if let Some(operation) = self.operation.as_mut().filter(|work| !work.state.ended()) {
            operation.state = OperationState::NeedsAttention;
            operation.updated = now;
            operation.reason = Some(reason);
        }
    }

    /// What is out for the current step is not waited for any more.
    fn settle_outstanding(&mut self) {
        if let Some(step) = &mut self.machine.status.step {
            self.decision.settled.extend(step.effect.take());
            self.decision.settled.extend(step.recovery.take());
        }
    }

    /// Writes the current step into the journal.
    pub fn journal(&mut self, result: Option<StepResult>, detail: String) {
        let Some(operation) = self.machine.status.operation else { return };
        let ended = result.map(|_| self.now());
        let lifecycle = self.machine.status.lifecycle;
        let step = self.step();
        let entry = StepRecord {
            operation,
            index: step.index,
            kind: step.kind,
            lifecycle,
            attempt: step.attempt,
            rung: step.rung,
            started: step.started,
            ended,
            result,
            detail,
        };
        let same = |known: &StepRecord| known.operation == operation && known.index == entry.index;
        self.decision.steps.retain(|known| !same(known));
        self.decision.steps.push(entry);
    }

    /// What must hold at the end of every turn.
    pub fn check(&self) {
        let status = &self.machine.status;
        let moving = status.step.is_some();
        assert_eq!(moving, !status.lifecycle.rests(), "{} with step {moving}", status.lifecycle);
        if moving {
            let operation = self.operation.as_ref().expect("a step belongs to an operation");
            assert_eq!(status.operation, Some(operation.id), "the machine knows its operation");
            assert_eq!(operation.state, OperationState::Running, "a step runs in a running one");
        }
        if status.lifecycle == Lifecycle::Quarantined {
            assert!(status.reason.is_some(), "a quarantine has a reason");
            assert!(status.agent.is_none(), "nobody acts on a quarantined machine");
        }
        if status.lifecycle == Lifecycle::Available {
            assert!(self.machine.spec.deployment.is_none(), "an available machine is nobody's");
        }
    }
}

/// When a machine wants to be looked at again.
pub fn alarm(machine: &Machine) -> Option<Timestamp> {
    let step = machine.status.step.as_ref()?;
    Some(step.pause_until.unwrap_or(step.deadline))
}

/// What a person can do about a reason.
const fn next_step(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::Requested => "When the cause is gone: bedplate machine recover NAME.",
        ReasonCode::BmcUnreachable => {
            "Check the BMC's cable, address and power, then: bedplate operation retry ID."
        }
        ReasonCode::BmcUnauthorised => {
            "Enrol it again with the right account: bedplate machine enroll NAME --bmc URL."
        }
        ReasonCode::BmcUnfit => {
            "See the evidence for what its BMC said; update its firmware, then: bedplate operation retry ID."
        }
        ReasonCode::NoBoot => {
            "Look at its console (bedplate machine console NAME) and its boot settings, then retry."
        }
        ReasonCode::NoAgent => {
            "Look at its console (bedplate machine console NAME) and its network, then retry."
        }
        ReasonCode::IdentityChanged => {
            "Find out who changed its parts. If that is right: retire, remove and enrol it again."
        }
        ReasonCode::AttestationFailed => {
            "Compare the event that differs with what you installed; learn a new policy only if that is right."
        }
        ReasonCode::NoTpm => {
            "Enable the TPM in its firmware settings, then: bedplate operation retry ID."
        }
        ReasonCode::HardwareFailed => "Replace the part that the evidence names, then retry.",
        ReasonCode::ImageFailed => {
            "Check the image (bedplate image show) and the disk that the evidence names, then retry."
        }
        ReasonCode::NoSystem => {
            "Look at its console; an image must start by UEFI and run cloud-init. Then retry, skip or abandon."
        }
        ReasonCode::SanitiseFailed => {
            "Do not give it to anybody. Replace the disk that the evidence names, then retry."
        }
    }
}

/// Whether an operation of this kind begins with reading the machine anew.
pub const fn reads_anew(kind: OperationKind) -> bool {
    matches!(kind, OperationKind::Enroll | OperationKind::Recover)
}
