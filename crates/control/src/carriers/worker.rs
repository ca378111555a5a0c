//! The task of one machine's BMC. One request is under way at a time; the
//! connection is kept while there is work and dropped when there is none.

use std::sync::Arc;
use std::time::Duration;

use bmc::{Bmc, EventStream};
use futures_util::StreamExt as _;
use model::bmc::{BmcCommand, BmcFact, BmcFailure, BmcFailureKind};
use model::effect::{Action, Effect, Outcome};
use model::id::MachineId;
use model::machine::BmcSpec;
use tokio::sync::Notify;

use super::dispatch::{Dispatch, StreamPlace};
use super::queues::Next;
use super::reach;
use crate::cell::{Ask, Call};

/// Before an answer that could not be recorded is brought again.
const AGAIN: Duration = Duration::from_secs(1);
/// A BMC that tells of events without end is looked at this often at most.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How long a look at the power state may take.
const LOOK_LONGEST: Duration = Duration::from_secs(30);

/// Works until there is nothing to do, we do not lead any more, or all are stopped.
pub(super) async fn run(dispatch: Arc<Dispatch>, machine: MachineId, bell: Arc<Notify>) {
    let mut stopped = dispatch.stopped.clone();
    let on_duty = OnDuty { dispatch: dispatch.clone(), machine, bell: bell.clone() };
    let mut worker = Worker { dispatch: dispatch.clone(), machine, reached: None, doubtful: false };
    tokio::select! {
        () = worker.work(&bell) => {}
        _ = stopped.wait_for(|stop| *stop) => return,
    }
    drop(on_duty);
    if dispatch.plane.leader.leads() {
        // We lead again, or work came while this worker left: its bell was not heard.
        dispatch.wake(machine);
    }
}

/// Takes the worker off the list when it ends, even by a panic: otherwise nobody
/// would ever work for this machine again.
struct OnDuty {
    dispatch: Arc<Dispatch>,
    machine: MachineId,
    bell: Arc<Notify>,
}

impl Drop for OnDuty {
    fn drop(&mut self) {
        self.dispatch.ended(self.machine, &self.bell);
    }
}

struct Worker {
    dispatch: Arc<Dispatch>,
    machine: MachineId,
    reached: Option<Reached>,
    /// The last request found nobody.
    doubtful: bool,
}

/// A connection, and what it was made from.
struct Reached {
    bmc: Box<dyn Bmc>,
    spec: BmcSpec,
    events: Option<(EventStream, StreamPlace)>,
    asked_for_events: bool,
}

impl Worker {
    async fn work(&mut self, bell: &Notify) {
        while self.dispatch.plane.leader.leads() {
            match self.dispatch.next(self.machine) {
                Next::Do(effect) => {
                    let outcome = self.carry_out(&effect).await;
                    self.settle(&effect, outcome).await;
                }
                Next::Passed(effect) => {
                    let why = "a newer request has taken its place";
                    self.settle(&effect, failed(BmcFailureKind::Refused, why)).await;
                }
                Next::Late(effect) => {
                    let why = "its deadline passed before the BMC could be asked";
                    self.settle(&effect, failed(BmcFailureKind::Unreachable, why)).await;
                }
                Next::Nothing => {
                    if !self.rest(bell).await {
                        return;
                    }
                }
            }
        }
    }

    /// Carries one out, within its deadline.
    async fn carry_out(&mut self, effect: &Effect) -> Outcome {
        let Action::Bmc { command } = &effect.action else {
            unreachable!("only requests to BMCs are queued here")
        };
        let left = effect.deadline.since(self.dispatch.plane.clock.now()).std();
        let dispatch = self.dispatch.clone();
        let lanes = &dispatch.lanes;
        let asked = async {
            let place = lanes.enter(self.doubtful).await;
            place.hold(self.ask(command)).await
        };
        let result = match tokio::time::timeout(left, asked).await {
            Ok(result) => result,
            Err(_) => {
                // What hangs would hold up the next request too.
                self.reached = None;
                Err(BmcFailure {
                    kind: BmcFailureKind::Unreachable,
                    message: "the BMC did not answer before the deadline passed".to_owned(),
                })
            }
        };
        self.judge(&result);
        match result {
            Ok(fact) => Outcome::Bmc { fact },
            Err(failure) => Outcome::BmcFailed { failure },
        }
    }

    /// One request.
    async fn ask(&mut self, command: &BmcCommand) -> Result<BmcFact, BmcFailure> {
        self.reach()?.bmc.execute(command).await
    }

    /// The connection, made anew when there is none or the BMC is elsewhere now.
    fn reach(&mut self) -> Result<&mut Reached, BmcFailure> {
        let plane = &self.dispatch.plane;
        let spec = {
            let nouns = plane.leader.read();
            let machine = nouns.machines.get(self.machine.uuid());
            machine.and_then(|machine| machine.spec.bmc.clone())
        };
        let spec = spec.ok_or_else(|| BmcFailure {
            kind: BmcFailureKind::Refused,
            message: "the machine has no BMC address".to_owned(),
        })?;
        if self.reached.as_ref().is_none_or(|reached| reached.spec != spec) {
            let endpoint = reach::endpoint(&plane.keys, &spec)?;
            let bmc = self.dispatch.connector.connect(endpoint)?;
            self.reached = Some(Reached { bmc, spec, events: None, asked_for_events: false });
        }
        Ok(self.reached.as_mut().expect("it was made a moment ago"))
    }

    /// Learns from how a request went.
    fn judge(&mut self, result: &Result<BmcFact, BmcFailure>) {
        let kind = result.as_ref().err().map(|failure| failure.kind);
        self.doubtful = kind == Some(BmcFailureKind::Unreachable);
        if self.doubtful || kind == Some(BmcFailureKind::Unauthorised) {
            self.reached = None;
        }
    }

    /// Brings the end of an effect to the record, until it is there or nobody waits
    /// for it any more. The request itself is not repeated meanwhile.
    async fn settle(&mut self, effect: &Effect, outcome: Outcome) {
        let plane = &self.dispatch.plane;
        plane.metrics.effect("bmc", word(&outcome));
        while plane.leader.leads() && plane.leader.read().outbox.contains_key(&effect.id) {
            let call = Call::Settled { effect: effect.id, outcome: outcome.clone() };
            match plane.leader.ask(Ask::from("bedplate", call)).await {
                Ok(_) => break,
                Err(problem) => {
                    tracing::warn!(machine = %self.machine, %problem, "an answer is brought again");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        self.dispatch.settled(effect.id);
    }

    /// Waits for work. `false` when none came and the worker has left.
    async fn rest(&mut self, bell: &Notify) -> bool {
        self.listen().await;
        let idle = self.dispatch.settings.idle;
        let told = async {
            match self.reached.as_mut().and_then(|reached| reached.events.as_mut()) {
                Some((events, _)) => events.next().await.is_some(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = bell.notified() => true,
            more = told => {
                if more {
                    self.look().await;
                } else if let Some(reached) = &mut self.reached {
                    reached.events = None;
                }
                true
            }
            () = tokio::time::sleep(idle) => {
                // One that moves is worth an open stream; the others are left alone.
                let listening = self.reached.as_ref().is_some_and(|it| it.events.is_some());
                (listening && self.moves()) || !self.dispatch.leave(self.machine)
            }
        }
    }

    /// Opens the stream of events, once a connection, where the BMC has one.
    async fn listen(&mut self) {
        if !self.tells_events() {
            return;
        }
        let Some(reached) = self.reached.as_mut().filter(|it| !it.asked_for_events) else { return };
        reached.asked_for_events = true;
        let Some(place) = self.dispatch.stream_place() else { return };
        let opened = tokio::time::timeout(LOOK_LONGEST, reached.bmc.events()).await;
        if let Ok(Ok(Some(events))) = opened {
            reached.events = Some((events, place));
        }
    }

    fn tells_events(&self) -> bool {
        let nouns = self.dispatch.plane.leader.read();
        let machine = nouns.machines.get(self.machine.uuid());
        machine.is_some_and(|machine| machine.status.abilities.events)
    }

    fn moves(&self) -> bool {
        let nouns = self.dispatch.plane.leader.read();
        let machine = nouns.machines.get(self.machine.uuid());
        machine.is_some_and(|machine| machine.status.step.is_some())
    }

    /// The BMC told of something: what is the power state now? Its word for what
    /// happened differs from maker to maker; the state itself does not.
    async fn look(&mut self) {
        tokio::time::sleep(LOOK_PAUSE).await;
        let dispatch = self.dispatch.clone();
        let asked = async {
            let place = dispatch.lanes.enter(self.doubtful).await;
            place.hold(self.ask(&BmcCommand::ReadPower)).await
        };
        let Ok(result) = tokio::time::timeout(LOOK_LONGEST, asked).await else {
            self.reached = None;
            self.doubtful = true;
            return;
        };
        self.judge(&result);
        let Ok(BmcFact::Power { state }) = result else { return };
        let plane = &self.dispatch.plane;
        let known = {
            let nouns = plane.leader.read();
            nouns.machines.get(self.machine.uuid()).map(|machine| machine.status.power)
        };
        if known.is_some_and(|known| known != state) {
            let call = Call::PowerSeen { machine: self.machine, power: state };
            if let Err(problem) = plane.leader.ask(Ask::from("bedplate", call)).await {
                tracing::warn!(machine = %self.machine, %problem, "a power state was not recorded");
            }
        }
    }
}

fn failed(kind: BmcFailureKind, message: &str) -> Outcome {
    Outcome::BmcFailed { failure: BmcFailure { kind, message: message.to_owned() } }
}

/// The result in one word, for the metrics.
fn word(outcome: &Outcome) -> &'static str {
    let Outcome::BmcFailed { failure } = outcome else { return "done" };
    match failure.kind {
        BmcFailureKind::Unreachable => "unreachable",
        BmcFailureKind::Unauthorised => "unauthorised",
        BmcFailureKind::Busy => "busy",
        BmcFailureKind::Unsupported => "unsupported",
        BmcFailureKind::Malformed => "malformed",
        BmcFailureKind::Refused => "refused",
    }
}
