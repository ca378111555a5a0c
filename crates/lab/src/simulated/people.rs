//! Who acts on a simulated site: people who enrol, deploy, release and settle,
//! agents and systems that come up and call.

use control::cell::{Ask, Call, Idempotency, Reply};
use model::agent::{AgentCommand, AgentFact, AgentNews};
use model::attestation::{Finding, RefusalCode, Verdict};
use model::bmc::{BootTarget, PowerState};
use model::effect::Action;
use model::id::{EffectId, MachineId, OperationId};
use model::machine::{AgentPresence, BmcSpec, Deployment, Lifecycle, Machine, SanitiseCertificate};
use model::operation::Settlement;
use model::problem::Problem;
use model::secret::Sealed;
use model::sighting::Sighting;
use model::{Duration, Encoded, Timestamp};
use world::Entropy;

use super::server::{Content, Running, Server};
use super::site::{Arrival, From, Happening, Site};

/// What happens on a machine after a while.
pub enum ServerEvent {
    /// The firmware is up and looks for a boot target.
    FirmwareUp,
    /// The image is in memory.
    Fetched { token: String },
    /// The agent says hello.
    Hello { tries: u32 },
    /// An order reaches the agent.
    Order { id: EffectId, sequence: u64, command: Box<AgentCommand> },
    /// The agent has done an order.
    Worked { id: EffectId, command: Box<AgentCommand> },
    /// The machine restarts by itself.
    Restart,
    /// The system on the disk is up.
    SystemUp,
}

impl ServerEvent {
    /// For the hash of the run.
    pub const fn code(&self) -> u64 {
        match self {
            ServerEvent::FirmwareUp => 10,
            ServerEvent::Fetched { .. } => 11,
            ServerEvent::Hello { .. } => 12,
            ServerEvent::Order { .. } => 13,
            ServerEvent::Worked { .. } => 14,
            ServerEvent::Restart => 15,
            ServerEvent::SystemUp => 16,
        }
    }
}

/// A person with one machine, and what they have asked so far.
pub struct Person {
    number: u32,
    /// Their machine, once it is enrolled.
    pub machine: Option<MachineId>,
    /// Requests made so far.
    requests: u32,
    /// The request without an answer yet, to be asked again with the same key.
    open: Option<Ask>,
    /// Deploys that they still want.
    deploys: u32,
    /// Settlements and recoveries that they still try.
    patience: u32,
    /// Whether they have had their machine put out of service on purpose.
    drilled: bool,
    /// Acknowledged requests that began an operation.
    pub acknowledged: Vec<(String, OperationId)>,
}

impl Person {
    /// A person who has asked nothing yet.
    pub fn new(number: u32) -> Self {
        Self {
            number,
            machine: None,
            requests: 0,
            open: None,
            deploys: 2,
            patience: 4,
            drilled: false,
            acknowledged: Vec::new(),
        }
    }

    fn ask(&mut self, call: Call) -> Ask {
        self.requests += 1;
        let key = format!("p{}-{}", self.number, self.requests);
        // Each request has an actor of its own: two operations of one actor are one doubled.
        Ask {
            actor: key.clone(),
            idempotency: Some(Idempotency { key: key.clone(), digest: key.clone() }),
            ..Ask::from(key, call)
        }
    }
}

impl Site {
    /// A person looks at their machine, asks what is next, and comes again later.
    pub fn look(&mut self, number: u32) {
        let ask = match self.people[number as usize].open.clone() {
            Some(open) => Some(open),
            None => self.wish(number),
        };
        let asked = ask.is_some();
        if let Some(ask) = ask {
            self.people[number as usize].open = Some(ask.clone());
            self.note(u64::from(number), 20);
            // A request can be lost on the way; the person asks again.
            if !self.entropy.chance(20_000) {
                self.arrive(Arrival { ask, from: From::Person(number) }, 200);
            }
        }
        let content = !asked && self.now() > self.closing();
        if !content {
            let after = Duration::from_secs(60 + self.entropy.below(540));
            self.schedule.after(after, Happening::Look { person: number });
        }
    }

    /// What a person wants next.
    fn wish(&mut self, number: u32) -> Option<Ask> {
        let process = self.process.as_ref()?;
        let closed = self.now() > self.closing();
        let Some(id) = self.people[number as usize].machine else {
            let call = enroll(number);
            return Some(self.people[number as usize].ask(call));
        };
        let machine = process.cell.nouns().machines.get(id.uuid())?.clone();
        if closed {
            return None;
        }
        let call = self.wish_for(number, &machine)?;
        Some(self.people[number as usize].ask(call))
    }

    fn wish_for(&mut self, number: u32, machine: &Machine) -> Option<Call> {
        let id = machine.id;
        let person = &mut self.people[number as usize];
        match machine.status.lifecycle {
            Lifecycle::Available if person.deploys > 0 => {
                person.deploys -= 1;
                Some(Call::Deploy { machine: id, deployment: deployment() })
            }
            // In the matrix, every machine is recovered once.
            Lifecycle::Available if self.options.target.is_some() && !person.drilled => {
                person.drilled = true;
                Some(Call::Quarantine { machine: id, reason: "a drill".to_owned() })
            }
            // The last system is left to run on half of the machines.
            Lifecycle::Active if person.deploys > 0 || number.is_multiple_of(2) => {
                Some(Call::Release { machine: id })
            }
            Lifecycle::Quarantined if person.patience > 0 => {
                person.patience -= 1;
                Some(self.settlement(machine))
            }
            Lifecycle::Deploying | Lifecycle::Sanitising | Lifecycle::Active
                if self.options.target.is_none() && self.entropy.chance(5_000) =>
            {
                Some(Call::Quarantine { machine: id, reason: "a drill".to_owned() })
            }
            _ => None,
        }
    }

    fn settlement(&mut self, machine: &Machine) -> Call {
        let drill = self.options.target.is_some();
        let pick = if drill { 4 } else { self.entropy.below(5) };
        match machine.status.operation {
            Some(operation) if pick < 3 => Call::Settle {
                operation,
                settlement: [Settlement::Retry, Settlement::Skip, Settlement::Abandon]
                    [pick as usize],
            },
            _ => Call::Recover { machine: machine.id },
        }
    }

    /// A person gets an answer, or it is lost on the way back.
    pub fn person_hears(&mut self, number: u32, answer: Result<Reply, Problem>) {
        if self.entropy.chance(20_000) {
            return;
        }
        let person = &mut self.people[number as usize];
        let Some(open) = person.open.take() else { return };
        if let Ok(Reply::Operation(operation)) = answer {
            if !matches!(open.call, Call::Settle { .. }) {
                person.acknowledged.push((open.actor, operation.id));
            }
            person.machine = Some(operation.machine);
        }
    }

    /// An agent that was just let in gets what was asked of it before.
    fn deliver_outstanding(&mut self, machine: MachineId) {
        let Some(process) = &self.process else { return };
        let outbox = process.cell.nouns().outbox.values();
        let waiting: Vec<_> = outbox.filter(|effect| effect.machine == machine).cloned().collect();
        for effect in waiting {
            self.carry_out_again(&effect);
        }
    }

    /// A machine restarts: whatever ran is gone.
    pub fn restart(&mut self, number: u32) {
        let server = &mut self.servers[number as usize];
        server.stop();
        server.power = PowerState::On;
        server.running = Running::Firmware;
        let slow = if server.faults.boot_slow { 1_200 } else { 60 };
        let after = Duration::from_secs(5 + server.entropy.below(slow));
        self.later(number, after, ServerEvent::FirmwareUp);
    }

    fn later(&mut self, number: u32, after: Duration, what: ServerEvent) {
        let boot = self.servers[number as usize].boot;
        self.schedule.after(after, Happening::Server { server: number, boot, what });
    }

    /// Something happens on a machine.
    pub fn server_event(&mut self, number: u32, what: ServerEvent) {
        match what {
            ServerEvent::FirmwareUp => self.firmware_up(number),
            ServerEvent::Fetched { token } => {
                self.sight(Sighting::Fetched { token });
                let after = Duration::from_secs(5 + self.entropy.below(20));
                self.later(number, after, ServerEvent::Hello { tries: 0 });
            }
            ServerEvent::Hello { tries } => self.hello(number, tries),
            ServerEvent::Order { id, sequence, command } => {
                self.order(number, id, sequence, command);
            }
            ServerEvent::Worked { id, command } => self.worked(number, id, &command),
            ServerEvent::Restart => self.restart(number),
            ServerEvent::SystemUp => self.system_up(number),
        }
    }

    /// A sign of life; some are lost, some come twice.
    fn sight(&mut self, sighting: Sighting) {
        let copies = match self.entropy.below(20) {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let ask = Ask::from("network", Call::Sighted { sighting: sighting.clone() });
            let arrival = Box::new(Arrival { ask, from: From::Nobody });
            let after = Duration::from_millis(1 + self.entropy.below(50));
            self.schedule.after(after, Happening::Arrive { arrival, tries: 0 });
        }
    }

    fn firmware_up(&mut self, number: u32) {
        let server = &mut self.servers[number as usize];
        if server.entropy.chance(server.faults.boot_hangs_ppm) {
            server.running = Running::Nothing;
            return;
        }
        let mac = server.mac();
        let broken = server.faults.http_boot_broken;
        let target = server.next_boot.take();
        let media = server.media.clone();
        let client = "HTTPClient:Arch:00016".to_owned();
        self.sight(Sighting::Dhcp { mac, arch: Some(16), client });
        match target {
            Some(BootTarget::Http { uri }) if !broken => match self.permitted(&uri) {
                Some(token) => {
                    self.sight(Sighting::Fetching { token: token.clone() });
                    let after = Duration::from_secs(2 + self.entropy.below(8));
                    self.later(number, after, ServerEvent::Fetched { token });
                }
                None => self.boot_disk(number),
            },
            Some(BootTarget::Media) if media.is_some() => {
                let after = Duration::from_secs(10 + self.entropy.below(30));
                self.later(number, after, ServerEvent::Hello { tries: 0 });
            }
            _ => self.boot_disk(number),
        }
    }

    /// The token of an address, when the control plane would serve it.
    fn permitted(&self, uri: &str) -> Option<String> {
        let token = uri.split('/').nth_back(1)?;
        let process = self.process.as_ref()?;
        process.cell.nouns().machine_by_boot_token(token)?;
        Some(token.to_owned())
    }

    /// The BMC fetched its virtual medium.
    pub fn media_fetched(&mut self, url: &str) {
        if let Some(token) = self.permitted(url) {
            self.sight(Sighting::Fetching { token });
        }
    }

    fn boot_disk(&mut self, number: u32) {
        let server = &mut self.servers[number as usize];
        match server.disk {
            Content::System { deployed_in, .. } => {
                server.running = Running::System;
                server.tenant = deployed_in;
                let after = Duration::from_secs(20 + server.entropy.below(60));
                self.later(number, after, ServerEvent::SystemUp);
            }
            Content::Clean | Content::Half => server.running = Running::Nothing,
        }
    }

    fn system_up(&mut self, number: u32) {
        let server = &mut self.servers[number as usize];
        if server.entropy.chance(server.faults.system_silent_ppm) {
            return;
        }
        let Content::System { home, .. } = &server.disk else { return };
        let token_digest = machine::step::write_image::digest(home);
        let boot = server.boot;
        let call = Call::CalledHome {
            token_digest,
            address: format!("10.1.0.{number}"),
            host_keys: vec!["ssh-ed25519 AAAA".to_owned()],
        };
        let arrival =
            Arrival { ask: Ask::from("system", call), from: From::Home { server: number, boot } };
        self.arrive(arrival, 0);
    }

    fn hello(&mut self, number: u32, tries: u32) {
        let server = &mut self.servers[number as usize];
        server.running = Running::Agent;
        if server.faults.tpm_replaced && server.boot > 3 {
            server.tpm = 2;
        }
        let Some(machine) = self.machine_of(number) else { return };
        let server = &self.servers[number as usize];
        let boot = server.boot;
        let call = Call::Admit {
            machine,
            presence: AgentPresence {
                admitted: self.now(),
                certificate: format!("{number}-{boot}"),
                version: "sim".to_owned(),
            },
            endorsement: server.endorsement(),
            macs: vec![server.mac()],
            serial: server.serial(),
        };
        let ask = Ask::from(format!("machine:{machine}"), call);
        self.arrive(Arrival { ask, from: From::Hello { server: number, boot } }, tries);
    }

    /// The agent is let in, or tries again.
    pub fn agent_hears(&mut self, number: u32, boot: u64, answer: Result<Reply, Problem>) {
        if self.servers[number as usize].boot != boot {
            return;
        }
        let Ok(Reply::Machine(machine)) = answer else { return };
        if machine.status.agent.is_none() {
            return;
        }
        self.servers[number as usize].certificate = Some(format!("{number}-{boot}"));
        self.deliver_outstanding(machine.id);
    }

    fn carry_out_again(&mut self, effect: &model::effect::Effect) {
        match &effect.action {
            Action::Bmc { .. } => self.request(effect),
            Action::Agent { command } => {
                let after = Duration::from_millis(5 + self.entropy.below(200));
                let what = ServerEvent::Order {
                    id: effect.id,
                    sequence: effect.sequence,
                    command: Box::new(command.clone()),
                };
                if let Some(number) = self.numbers.get(&effect.machine).copied() {
                    self.later(number, after, what);
                }
            }
        }
    }

    fn order(&mut self, number: u32, id: EffectId, sequence: u64, command: Box<AgentCommand>) {
        let working_for = self.operation_of(number);
        let server = &mut self.servers[number as usize];
        if server.certificate.is_none() || server.working == Some(id) {
            return;
        }
        if let Some(news) = server.finished.get(&id).cloned() {
            return self.report(number, id, news);
        }
        if sequence < server.newest_sequence {
            return;
        }
        server.newest_sequence = sequence;
        server.working = Some(id);
        server.working_for = working_for;
        if server.entropy.chance(server.faults.agent_hangs_ppm) {
            return;
        }
        let long =
            matches!(*command, AgentCommand::WriteImage { .. } | AgentCommand::Sanitise { .. });
        let span = 1 + server.entropy.below(if long { 100 } else { 5 });
        if server.entropy.chance(server.faults.agent_dies_ppm) {
            let after = Duration::from_secs(span / 2);
            return self.later(number, after, ServerEvent::Restart);
        }
        if long {
            let news = AgentNews::Progress { doing: "working".to_owned(), done: 1, total: 2 };
            self.report(number, id, news);
        }
        self.later(number, Duration::from_secs(span), ServerEvent::Worked { id, command });
    }

    /// The operation that moves a server's machine, as far as anybody knows now.
    fn operation_of(&self, number: u32) -> Option<model::id::OperationId> {
        let nouns = self.process.as_ref()?.cell.nouns();
        nouns.machines.get(self.machine_of(number)?.uuid())?.status.operation
    }

    fn worked(&mut self, number: u32, id: EffectId, command: &AgentCommand) {
        let server = &mut self.servers[number as usize];
        if server.working != Some(id) {
            return;
        }
        let news = server.work(id, command);
        let leaves = matches!(news, AgentNews::Done { fact: AgentFact::Leaving });
        self.report(number, id, news);
        if leaves {
            self.later(number, Duration::from_secs(2), ServerEvent::Restart);
        }
    }
}

fn enroll(number: u32) -> Call {
    let password = Sealed { key: "sim".to_owned(), ciphertext: Encoded(vec![1]) };
    Call::Enroll {
        name: format!("sim-{number}"),
        bmc: BmcSpec {
            address: format!("https://bmc-{number}"),
            username: "root".to_owned(),
            password,
            certificate: None,
        },
        rack: Some(format!("rack-{}", number / 40)),
        policy: None,
        labels: [].into(),
    }
}

fn deployment() -> Deployment {
    Deployment {
        project: "lab".to_owned(),
        image: "os".to_owned(),
        hostname: "web".to_owned(),
        ssh_keys: vec!["ssh-ed25519 AAAA".to_owned()],
        user_data: None,
        disk: None,
        kexec: false,
    }
}

/// What the control plane's listener would have judged: the quote, the wipe.
pub fn judgements(
    server: &Server,
    machine: MachineId,
    news: &AgentNews,
    now: Timestamp,
) -> (Option<Box<Verdict>>, Option<Box<SanitiseCertificate>>) {
    let AgentNews::Done { fact } = news else { return (None, None) };
    match fact {
        AgentFact::Quoted { quote } => {
            let finding = if server.faults.firmware_tampered {
                let message = "PCR 4, event 3: another boot application".to_owned();
                Finding::Refused { code: RefusalCode::PolicyMismatch, message }
            } else {
                Finding::Trusted
            };
            let nonce = quote.attest.0.iter().map(|byte| format!("{byte:02x}")).collect();
            let verdict = Verdict {
                at: now,
                nonce,
                policy: "default/1".to_owned(),
                finding,
                pcrs: [].into(),
                events: [].into(),
            };
            (Some(Box::new(verdict)), None)
        }
        AgentFact::Sanitised { disks } => {
            let certificate = SanitiseCertificate {
                machine,
                serial: server.serial(),
                at: now,
                operation: None,
                disks: disks.clone(),
                endorsement: server.endorsement(),
                signature: Encoded(vec![1]),
            };
            (None, Some(Box::new(certificate)))
        }
        _ => (None, None),
    }
}
