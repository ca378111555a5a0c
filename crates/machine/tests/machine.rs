//! The life of a machine, decided step by step: what leads on, what is refused,
//! what ends in quarantine and with which reason. The simulated site (crate `lab`)
//! tries the combinations; this says in small what each rule is.

use bedplate_machine::{Decision, Input, Refusal, Settings, Surroundings, decide, ladder, plan};
use model::agent::{
    AgentCommand, AgentFact, AgentFailure, AgentFailureKind, AgentNews, AgentReport, BurnInResult,
    Quote, SanitisedDisk,
};
use model::attestation::{Finding, RefusalCode, Verdict};
use model::bmc::{BmcAbilities, BmcCommand, BmcFact, BmcFailure, BmcFailureKind, PowerState};
use model::effect::{Action, Effect, Outcome};
use model::image::{Checksum, Compression, Image, ImageFormat, ImageSpec, ImageStatus};
use model::inventory::{Disk, Inventory, Nic};
use model::machine::{
    AgentPresence, BmcSpec, Deployment, Lifecycle, Machine, MachineSpec, MachineStatus, ReasonCode,
    SanitiseCertificate, SanitiseMethod, StepKind,
};
use model::operation::{Operation, OperationState, Settlement, StepResult};
use model::secret::Sealed;
use model::sighting::Sighting;
use model::{Bytes, Duration, Encoded, Id, Timestamp};
use world::Seeded;

/// A machine, its operation, and a clock that the test moves.
struct Walk {
    machine: Machine,
    operation: Option<Operation>,
    now: Timestamp,
    entropy: Seeded,
    settings: Settings,
    image: Image,
    /// Effects that are out.
    effects: Vec<Effect>,
}

const MAC: &str = "52:54:00:00:00:01";

impl Walk {
    fn new() -> Self {
        let now = Timestamp::from_micros(1_000_000_000);
        let sealed = Sealed { key: "k".to_owned(), ciphertext: Encoded(vec![1]) };
        let bmc = BmcSpec {
            address: "https://bmc".to_owned(),
            username: "root".to_owned(),
            password: sealed,
            certificate: None,
        };
        let machine = Machine {
            id: Id::from_uuid(uuid(1)),
            name: "node-1".to_owned(),
            generation: 1,
            labels: [].into(),
            created: now,
            updated: now,
            spec: MachineSpec { bmc: Some(bmc), ..MachineSpec::default() },
            status: MachineStatus::default(),
        };
        let (settings, entropy) = (Settings::default(), Seeded::new(1));
        let image = image(now);
        Self { machine, operation: None, now, entropy, settings, image, effects: Vec::new() }
    }

    fn take(&mut self, input: &Input) -> Result<Decision, Refusal> {
        let surroundings = Surroundings {
            now: self.now,
            entropy: &mut self.entropy,
            settings: &self.settings,
            image: Some(&self.image),
            actor: "tester",
        };
        let decision = decide(&mut self.machine, &mut self.operation, input, surroundings)?;
        self.effects.retain(|effect| !decision.settled.contains(&effect.id));
        self.effects.extend(decision.effects.iter().cloned());
        Ok(decision)
    }

    fn must(&mut self, input: &Input) -> Decision {
        self.take(input).expect("it is allowed")
    }

    fn lifecycle(&self) -> Lifecycle {
        self.machine.status.lifecycle
    }

    fn step(&self) -> Option<StepKind> {
        self.machine.status.step.as_ref().map(|step| step.kind)
    }

    fn reason(&self) -> Option<ReasonCode> {
        self.machine.status.reason.as_ref().map(|reason| reason.code)
    }

    /// The effect that the current step waits for.
    fn out(&self) -> Effect {
        let id = self.machine.status.step.as_ref().and_then(|step| step.effect);
        let found = self.effects.iter().find(|effect| Some(effect.id) == id);
        found.expect("the step waits for an effect").clone()
    }

    fn fail_bmc(&mut self, kind: BmcFailureKind) {
        let failure = BmcFailure { kind, message: "no".to_owned() };
        let effect = self.out().id;
        self.must(&Input::Settled { effect, outcome: Outcome::BmcFailed { failure } });
    }

    fn report(&mut self, news: AgentNews) -> Decision {
        self.report_as("cert", news)
    }

    fn report_as(&mut self, certificate: &str, news: AgentNews) -> Decision {
        let verdict = self.verdict(&news, Finding::Trusted);
        let report = AgentReport { id: self.out().id, news };
        let sanitised = Some(Box::new(wipe(&self.machine)));
        let certificate = certificate.to_owned();
        self.must(&Input::Reported { certificate, report, verdict, sanitised })
    }

    fn verdict(&self, news: &AgentNews, finding: Finding) -> Option<Box<Verdict>> {
        let AgentNews::Done { fact: AgentFact::Quoted { .. } } = news else { return None };
        let nonce = self.machine.status.nonce.as_ref()?;
        let nonce = nonce.0.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Box::new(Verdict {
            at: self.now,
            nonce,
            policy: "default/1".to_owned(),
            finding,
            pcrs: [].into(),
            events: [].into(),
        }))
    }

    /// Brings the evidence that the current step waits for.
    fn evidence(&mut self) {
        let Some(step) = self.step() else { return };
        match step {
            StepKind::ReadParts => self.settle(BmcFact::Inventory {
                inventory: Box::new(parts()),
                power: PowerState::Off,
                abilities: BmcAbilities { http_boot: true, virtual_media: true, events: false },
                certificate: Some("pin".to_owned()),
            }),
            StepKind::PointAtImage => self.settle(BmcFact::Accepted),
            StepKind::Restart => {
                self.settle(BmcFact::Accepted);
                let token = self.machine.status.boot.clone().expect("it may boot").token;
                self.must(&Input::Sighted(Sighting::Fetching { token }));
            }
            StepKind::AwaitAgent => drop(self.admit("ek")),
            StepKind::AwaitSystem => {
                let (address, host_keys) = ("10.0.0.9".to_owned(), vec!["key".to_owned()]);
                self.must(&Input::CalledHome { address, host_keys });
            }
            _ => {
                let Action::Agent { command } = self.out().action else { panic!("for the agent") };
                self.report(AgentNews::Done { fact: fact(&command) });
            }
        }
    }

    fn settle(&mut self, fact: BmcFact) {
        let effect = self.out().id;
        self.must(&Input::Settled { effect, outcome: Outcome::Bmc { fact } });
    }

    fn admit(&mut self, endorsement: &str) -> Decision {
        self.admit_as("cert", Some(endorsement))
    }

    fn admit_as(&mut self, certificate: &str, endorsement: Option<&str>) -> Decision {
        let presence = AgentPresence {
            admitted: self.now,
            certificate: certificate.to_owned(),
            version: "1".to_owned(),
        };
        let endorsement = endorsement.map(str::to_owned);
        let macs = vec![MAC.to_owned()];
        self.must(&Input::Admitted { presence, endorsement, macs, serial: "S1".to_owned() })
    }

    /// Brings evidence until a step has come, or the machine rests.
    fn until(&mut self, step: Option<StepKind>) {
        for _ in 0..64 {
            if self.step() == step {
                return;
            }
            self.evidence();
        }
        panic!("{step:?} never came; it is {:?}", self.step());
    }

    fn available() -> Self {
        let mut walk = Self::new();
        walk.must(&Input::Enroll);
        walk.until(None);
        assert_eq!(walk.lifecycle(), Lifecycle::Available);
        walk
    }

    fn active() -> Self {
        let mut walk = Self::available();
        walk.must(&Input::Deploy(Box::new(deployment())));
        walk.until(None);
        assert_eq!(walk.lifecycle(), Lifecycle::Active);
        walk
    }

    /// Lets the deadline (or the pause) of the current step pass.
    fn wait(&mut self) {
        if let Some(at) = bedplate_machine::turn::alarm(&self.machine) {
            self.now = at;
            self.must(&Input::Due);
        }
    }

    /// Nothing answers any more: to the end of every ladder.
    fn silence(&mut self) {
        for _ in 0..1_000 {
            if self.step().is_none() {
                return;
            }
            self.wait();
        }
        panic!("the ladder has no end");
    }
}

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

fn image(now: Timestamp) -> Image {
    Image {
        id: Id::from_uuid(uuid(2)),
        name: "os".to_owned(),
        generation: 1,
        labels: [].into(),
        created: now,
        updated: now,
        spec: ImageSpec { format: ImageFormat::Raw, compression: Compression::None, project: None },
        status: ImageStatus {
            ready: true,
            checksum: Some(Checksum::from_digest([3; 32])),
            stored: Bytes(1),
            size: Bytes(1),
        },
    }
}

fn parts() -> Inventory {
    let mut parts = Inventory::default();
    parts.system.serial = "S1".to_owned();
    parts.disks = vec![Disk { name: "vda".to_owned(), serial: "D1".to_owned(), ..Disk::default() }];
    parts.nics = vec![Nic { mac: MAC.to_owned(), ..Nic::default() }];
    parts
}

fn deployment() -> Deployment {
    Deployment {
        project: "p".to_owned(),
        image: "os".to_owned(),
        hostname: "web".to_owned(),
        ssh_keys: vec!["ssh-ed25519 A".to_owned()],
        user_data: None,
        disk: None,
        kexec: false,
    }
}

fn wiped_disk() -> SanitisedDisk {
    SanitisedDisk {
        disk: "vda".to_owned(),
        model: String::new(),
        serial: "D1".to_owned(),
        size: Bytes(1 << 30),
        method: SanitiseMethod::Overwrite,
        sampled: Bytes(4096),
        residue: Bytes(0),
    }
}

fn wipe(machine: &Machine) -> SanitiseCertificate {
    SanitiseCertificate {
        machine: machine.id,
        serial: "S1".to_owned(),
        at: machine.updated,
        operation: machine.status.operation,
        disks: vec![wiped_disk()],
        endorsement: None,
        signature: Encoded(vec![1]),
    }
}

/// What an agent that is well reports.
fn fact(command: &AgentCommand) -> AgentFact {
    match command {
        AgentCommand::Report => AgentFact::Inventory { inventory: Box::new(parts()) },
        AgentCommand::Quote { .. } => AgentFact::Quoted { quote: Box::new(quote()) },
        AgentCommand::BurnIn { .. } => AgentFact::BurnedIn {
            results: vec![BurnInResult {
                test: "cpu".to_owned(),
                passed: true,
                detail: String::new(),
            }],
        },
        AgentCommand::WriteImage { order } => AgentFact::ImageWritten {
            disk: "vda".to_owned(),
            written: Bytes(1),
            checksum: order.checksum.clone(),
        },
        AgentCommand::Sanitise { .. } => AgentFact::Sanitised { disks: vec![wiped_disk()] },
        AgentCommand::BootDisk { .. } | AgentCommand::PowerOff => AgentFact::Leaving,
    }
}

fn quote() -> Quote {
    Quote {
        attest: Encoded::default(),
        signature: Encoded::default(),
        pcrs: Vec::new(),
        event_log: Encoded::default(),
    }
}

#[test]
fn a_life_from_enrolment_to_a_second_tenant() {
    let mut walk = Walk::active();
    assert!(walk.machine.spec.deployment.is_some());
    assert_eq!(walk.machine.status.system.as_ref().unwrap().address.as_deref(), Some("10.0.0.9"));
    walk.must(&Input::Release);
    walk.until(None);
    assert_eq!(walk.lifecycle(), Lifecycle::Available);
    assert!(walk.machine.spec.deployment.is_none());
    assert_eq!(walk.machine.status.certificate.as_ref().unwrap().disks.len(), 1);
    assert_eq!(walk.operation.as_ref().unwrap().state, OperationState::Done);
    walk.must(&Input::Deploy(Box::new(deployment())));
    // The agent stayed: a second tenant costs no boot of ours, and is attested anew.
    assert_eq!(walk.step(), Some(StepKind::Attest));
}

#[test]
fn the_certificate_of_the_first_contact_is_pinned_for_good() {
    let mut walk = Walk::available();
    assert_eq!(walk.machine.spec.bmc.as_ref().unwrap().certificate.as_deref(), Some("pin"));
    walk.machine.spec.bmc.as_mut().unwrap().certificate = Some("given".to_owned());
    walk.must(&Input::Quarantine("a drill".to_owned()));
    walk.must(&Input::Recover);
    walk.until(Some(StepKind::PointAtImage));
    assert_eq!(walk.machine.spec.bmc.as_ref().unwrap().certificate.as_deref(), Some("given"));
}

#[test]
fn verbs_are_refused_where_they_make_no_sense() {
    let mut walk = Walk::available();
    let before = walk.machine.clone();
    let verbs = [Input::Enroll, Input::Release, Input::Recover, Input::Settle(Settlement::Retry)];
    for verb in verbs {
        assert!(matches!(walk.take(&verb), Err(Refusal::State { .. })), "{verb:?}");
    }
    assert_eq!(walk.machine, before, "a refusal changes nothing");
    walk.image.status.ready = false;
    let mut unready = Walk::available();
    let surroundings = Surroundings {
        now: unready.now,
        entropy: &mut unready.entropy,
        settings: &unready.settings,
        image: None,
        actor: "tester",
    };
    let input = Input::Deploy(Box::new(deployment()));
    let refused =
        decide(&mut unready.machine, &mut unready.operation, &input, surroundings).unwrap_err();
    assert!(matches!(refused, Refusal::Unfit(_)));
}

#[test]
fn a_taken_request_is_no_boot() {
    let mut walk = Walk::new();
    walk.must(&Input::Enroll);
    walk.until(Some(StepKind::Restart));
    walk.settle(BmcFact::Accepted);
    assert_eq!(walk.step(), Some(StepKind::Restart), "the BMC's word is not evidence");
    // A tenant's system that renews its lease is none either, nor is another's boot.
    for client in ["dhcpcd", "", "systemd-networkd"] {
        let (mac, client) = (MAC.to_owned(), client.to_owned());
        walk.must(&Input::Sighted(Sighting::Dhcp { mac, arch: None, client }));
        assert_eq!(walk.step(), Some(StepKind::Restart));
    }
    walk.must(&Input::Sighted(Sighting::Fetching { token: "another".to_owned() }));
    assert_eq!(walk.step(), Some(StepKind::Restart));
    let (mac, client) = (MAC.to_owned(), "HTTPClient:Arch:00016".to_owned());
    walk.must(&Input::Sighted(Sighting::Dhcp { mac, arch: Some(16), client }));
    assert_eq!(walk.step(), Some(StepKind::AwaitAgent));
}

#[test]
fn silence_at_any_step_ends_in_quarantine_with_a_reason_and_evidence() {
    let expected = [
        (StepKind::ReadParts, ReasonCode::BmcUnreachable),
        (StepKind::PointAtImage, ReasonCode::BmcUnreachable),
        (StepKind::AwaitAgent, ReasonCode::BmcUnreachable),
        (StepKind::ReportParts, ReasonCode::BmcUnreachable),
        (StepKind::BurnIn, ReasonCode::BmcUnreachable),
    ];
    for (step, reason) in expected {
        let mut walk = Walk::new();
        walk.must(&Input::Enroll);
        walk.until(Some(step));
        walk.silence();
        assert_eq!(walk.lifecycle(), Lifecycle::Quarantined, "{step}");
        assert_eq!(walk.reason(), Some(reason), "{step}");
        let known = walk.machine.status.reason.as_ref().unwrap();
        assert!(!known.evidence.is_empty() && !known.next.is_empty());
        let operation = walk.operation.as_ref().unwrap();
        assert_eq!(operation.state, OperationState::NeedsAttention);
        assert!(walk.machine.status.agent.is_none() && walk.machine.status.boot.is_none());
    }
}

#[test]
fn a_machine_that_takes_requests_and_never_boots_says_so() {
    let mut walk = Walk::new();
    walk.must(&Input::Enroll);
    walk.until(Some(StepKind::Restart));
    for _ in 0..500 {
        match walk.step() {
            None => break,
            // Everything that the BMC is asked, it takes.
            Some(_) => {
                while let Some(effect) = walk.effects.pop() {
                    let outcome = Outcome::Bmc { fact: BmcFact::Accepted };
                    walk.must(&Input::Settled { effect: effect.id, outcome });
                }
                walk.wait();
            }
        }
    }
    assert_eq!(walk.reason(), Some(ReasonCode::NoBoot));
    // It was tried by the other road too.
    assert_eq!(walk.machine.status.road, Some(model::machine::BootRoad::Media));
}

#[test]
fn a_wrong_password_is_told_apart_from_a_dead_bmc() {
    let mut walk = Walk::new();
    walk.must(&Input::Enroll);
    while walk.step().is_some() {
        if walk.machine.status.step.as_ref().unwrap().effect.is_some() {
            walk.fail_bmc(BmcFailureKind::Unauthorised);
        } else {
            walk.wait();
        }
    }
    assert_eq!(walk.reason(), Some(ReasonCode::BmcUnauthorised));
}

#[test]
fn another_tpm_or_none_is_quarantined_at_once() {
    let mut walk = Walk::active();
    walk.must(&Input::Release);
    walk.until(Some(StepKind::AwaitAgent));
    walk.admit("another");
    assert_eq!(walk.reason(), Some(ReasonCode::IdentityChanged));

    let mut walk = Walk::new();
    walk.must(&Input::Enroll);
    walk.until(Some(StepKind::AwaitAgent));
    walk.admit_as("cert", None);
    assert_eq!(walk.reason(), Some(ReasonCode::NoTpm));
}

#[test]
fn evidence_that_does_not_match_is_never_asked_for_twice() {
    let mut walk = Walk::new();
    walk.must(&Input::Enroll);
    walk.until(Some(StepKind::Attest));
    let news = AgentNews::Done { fact: AgentFact::Quoted { quote: Box::new(quote()) } };
    let message = "PCR 11, event 2: .cmdline differs".to_owned();
    let finding = Finding::Refused { code: RefusalCode::PolicyMismatch, message };
    let verdict = walk.verdict(&news, finding);
    let report = AgentReport { id: walk.out().id, news };
    let certificate = "cert".to_owned();
    walk.must(&Input::Reported { certificate, report, verdict, sanitised: None });
    assert_eq!(walk.reason(), Some(ReasonCode::AttestationFailed));
    let reason = walk.machine.status.reason.clone().unwrap();
    assert!(reason.message.contains("PCR 11, event 2"), "{}", reason.message);
    // Safety hangs on it: it cannot be skipped, only tried anew or given up.
    let skipped = walk.take(&Input::Settle(Settlement::Skip));
    assert_eq!(skipped.unwrap_err(), Refusal::NotSkippable("attest"));
    walk.must(&Input::Settle(Settlement::Retry));
    assert_eq!(walk.lifecycle(), Lifecycle::Attesting);
    assert_eq!(walk.step(), Some(StepKind::PointAtImage), "its agent was sent away: boot anew");
    walk.until(None);
    assert_eq!(walk.lifecycle(), Lifecycle::Available);
}

#[test]
fn a_verdict_on_another_nonce_is_nobodys() {
    let mut walk = Walk::new();
    walk.must(&Input::Enroll);
    walk.until(Some(StepKind::Attest));
    let news = AgentNews::Done { fact: AgentFact::Quoted { quote: Box::new(quote()) } };
    let mut verdict = walk.verdict(&news, Finding::Trusted).unwrap();
    verdict.nonce = "00".to_owned();
    let report = AgentReport { id: walk.out().id, news };
    let (certificate, verdict) = ("cert".to_owned(), Some(verdict));
    let decision = walk.must(&Input::Reported { certificate, report, verdict, sanitised: None });
    assert!(decision.stale);
    assert_eq!(walk.step(), Some(StepKind::Attest));
}

#[test]
fn only_the_agent_that_was_let_in_is_heard() {
    let mut walk = Walk::new();
    walk.must(&Input::Enroll);
    walk.until(Some(StepKind::ReportParts));
    let news = AgentNews::Done { fact: AgentFact::Inventory { inventory: Box::new(parts()) } };
    assert!(walk.report_as("a stranger's", news).stale);
    assert_eq!(walk.step(), Some(StepKind::ReportParts));
}

#[test]
fn a_failed_test_quarantines_and_may_be_skipped_by_a_person() {
    let mut walk = Walk::new();
    walk.must(&Input::Enroll);
    walk.until(Some(StepKind::BurnIn));
    let result =
        BurnInResult { test: "memory".to_owned(), passed: false, detail: "bit 3".to_owned() };
    walk.report(AgentNews::Done { fact: AgentFact::BurnedIn { results: vec![result] } });
    assert_eq!(walk.reason(), Some(ReasonCode::HardwareFailed));
    let decision = walk.must(&Input::Settle(Settlement::Skip));
    assert_eq!(walk.lifecycle(), Lifecycle::Available);
    assert!(decision.effects.is_empty(), "a skipped step asks for nothing");
    let skipped = decision.steps.iter().any(|step| step.result == Some(StepResult::Skipped));
    assert!(skipped, "the journal says who skipped it");
}

#[test]
fn residue_a_disk_left_out_or_an_unread_disk_is_no_wipe() {
    let wrong = [
        vec![SanitisedDisk { residue: Bytes(1), ..wiped_disk() }],
        vec![SanitisedDisk { sampled: Bytes(0), ..wiped_disk() }],
        vec![],
    ];
    for disks in wrong {
        let mut walk = Walk::active();
        walk.must(&Input::Release);
        walk.until(Some(StepKind::Sanitise));
        walk.report(AgentNews::Done { fact: AgentFact::Sanitised { disks } });
        assert_eq!(walk.reason(), Some(ReasonCode::SanitiseFailed));
        assert!(walk.machine.spec.deployment.is_some(), "it is still the tenant's data");
        let skipped = walk.take(&Input::Settle(Settlement::Skip)).unwrap_err();
        assert_eq!(skipped, Refusal::NotSkippable("sanitise"));
    }
}

#[test]
fn progress_moves_the_deadline_and_standing_still_does_not() {
    let mut walk = Walk::available();
    walk.must(&Input::Deploy(Box::new(deployment())));
    walk.until(Some(StepKind::WriteImage));
    let deadline = |walk: &Walk| walk.machine.status.step.as_ref().unwrap().deadline;
    let first = deadline(&walk);
    walk.now = walk.now + Duration::from_secs(30);
    let moving = |done| AgentNews::Progress { doing: "writing".to_owned(), done, total: 9 };
    walk.report(moving(1));
    assert!(deadline(&walk) > first);
    let second = deadline(&walk);
    walk.now = walk.now + Duration::from_secs(30);
    walk.report(moving(1));
    assert_eq!(deadline(&walk), second, "the same progress again is none");
}

#[test]
fn an_image_that_cannot_be_written_is_tried_again_and_then_named() {
    let mut walk = Walk::available();
    walk.must(&Input::Deploy(Box::new(deployment())));
    let mut tries = 0;
    while walk.lifecycle() == Lifecycle::Deploying {
        match walk.step() {
            Some(StepKind::WriteImage)
                if walk.machine.status.step.as_ref().unwrap().effect.is_some() =>
            {
                tries += 1;
                let kind = AgentFailureKind::Checksum;
                let message = "the bytes are others".to_owned();
                walk.report(AgentNews::Failed { failure: AgentFailure { kind, message } });
            }
            Some(StepKind::WriteImage) => walk.wait(),
            _ => walk.evidence(),
        }
    }
    assert_eq!(walk.reason(), Some(ReasonCode::ImageFailed));
    assert_eq!(tries, 4, "two tries, a fresh boot, and two more");
}

#[test]
fn a_new_agent_in_the_middle_of_an_order_gets_it_again() {
    let mut walk = Walk::available();
    walk.must(&Input::Deploy(Box::new(deployment())));
    walk.until(Some(StepKind::WriteImage));
    let before = walk.out();
    walk.admit_as("another", Some("ek"));
    walk.wait();
    assert_eq!(walk.step(), Some(StepKind::WriteImage));
    assert_ne!(walk.out().id, before.id);
    assert!(walk.out().sequence > before.sequence, "older orders are refused");
}

#[test]
fn the_call_home_counts_once_even_when_the_leaving_was_not_heard() {
    let mut walk = Walk::available();
    walk.must(&Input::Deploy(Box::new(deployment())));
    walk.until(Some(StepKind::BootDisk));
    let (address, host_keys) = ("10.0.0.9".to_owned(), Vec::new());
    let call = Input::CalledHome { address, host_keys };
    walk.must(&call);
    assert_eq!(walk.lifecycle(), Lifecycle::Active);
    assert!(walk.must(&call).stale);
}

#[test]
fn a_quarantined_machine_comes_back_only_sanitised_and_proven() {
    let mut walk = Walk::active();
    walk.must(&Input::Quarantine("a drill".to_owned()));
    assert_eq!(walk.reason(), Some(ReasonCode::Requested));
    walk.must(&Input::Recover);
    let mut seen = Vec::new();
    while let Some(step) = walk.step() {
        seen.push(step);
        walk.evidence();
    }
    assert_eq!(walk.lifecycle(), Lifecycle::Available);
    let place = |step| seen.iter().position(|seen| *seen == step).expect("it was taken");
    assert!(place(StepKind::Attest) < place(StepKind::Sanitise));
    assert!(place(StepKind::Sanitise) < place(StepKind::BurnIn));
}

#[test]
fn a_new_operation_abandons_the_one_that_needs_attention() {
    let mut walk = Walk::new();
    walk.must(&Input::Enroll);
    walk.silence();
    let before = walk.operation.clone().unwrap();
    let decision = walk.must(&Input::Recover);
    let ended = decision.ended.expect("the operation before ended");
    assert_eq!((ended.id, ended.state), (before.id, OperationState::Abandoned));
    assert_ne!(walk.operation.unwrap().id, before.id);
}

#[test]
fn power_of_a_resting_machine_is_asked_once() {
    let mut walk = Walk::available();
    let decision = walk.must(&Input::Power(model::bmc::PowerAction::Off));
    let asked: Vec<_> = decision.effects.iter().map(|effect| &effect.action).collect();
    let wanted =
        Action::Bmc { command: BmcCommand::Power { action: model::bmc::PowerAction::Off } };
    assert_eq!(asked, [&wanted]);
    assert!(walk.machine.status.agent.is_none(), "what ran on it is gone");
    walk.must(&Input::Deploy(Box::new(deployment())));
    assert_eq!(walk.step(), Some(StepKind::PointAtImage), "so it is booted again");
}

#[test]
fn every_step_of_every_plan_has_a_ladder_that_ends() {
    for step in StepKind::ALL {
        let mut machine = Walk::new().machine;
        machine.status.abilities =
            BmcAbilities { http_boot: true, virtual_media: true, events: false };
        machine.status.detours = ladder::DETOURS_MAX;
        let mut rung = ladder::rungs(step)[0];
        let mut climbed = 0;
        while let Some(next) = ladder::next(&machine, step, rung) {
            assert!(!ladder::detour(step, next), "{step}: no detour beyond the last");
            rung = next;
            climbed += 1;
            assert!(climbed <= 6, "{step}: the ladder ends");
        }
    }
    assert!(!plan::skippable(StepKind::Attest) && !plan::skippable(StepKind::Sanitise));
}
