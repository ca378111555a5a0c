//! One machine's whole life: from its BMC's address to a tenant's system, back,
//! and sanitised, with everything that the agent is asked on the way.

use control::carriers::{CarrierSettings, Carriers};
use control::cell::{Call, Reply};
use control::identity::verify_certificate;
use futures_util::stream;
use model::agent::{
    AgentCommand, AgentFact, AgentFailure, AgentFailureKind, AgentNews, AgentOrder, BurnInResult,
    SanitisedDisk,
};
use model::id::{ImageId, MachineId};
use model::image::{Compression, ImageFormat, ImageSpec};
use model::inventory::{Disk, Inventory, SystemParts};
use model::machine::{Deployment, Lifecycle, ReasonCode, SanitiseMethod, StepKind};
use model::{Bytes, ErrorCode, Problem};

use crate::agent::{Agent, Web};
use crate::house::House;
use crate::swtpm::SwTpm;

/// What the image is.
const IMAGE: &[u8] = b"the bytes of a system, as far as a test needs them";
/// A host key as cloud-init sends it.
const HOME: &str = "pub_key_ed25519=ssh-ed25519+AAAAC3NzaC1lZDI1NTE5AAAAIJkbWGDvKGMnPfWQcMDMsM6nNUJB5AwNqZbqVhFh4fLV+root%40one&instance_id=one";

/// A machine with its agent's side.
struct Life {
    house: House,
    carriers: Carriers,
    machine: MachineId,
    agent: Agent,
    inside: Option<Web>,
    // Ends last.
    _tpm: SwTpm,
}

impl Life {
    async fn begin() -> Option<Self> {
        let tpm = SwTpm::start()?;
        let house = House::new();
        let carriers = house.carry(CarrierSettings::default());
        let machine = house.enroll("one").await;
        let agent = Agent::new("one", Some(tpm.open()));
        Some(Self { house, carriers, machine, agent, inside: None, _tpm: tpm })
    }

    /// The machine boots our image: its agent comes in.
    async fn boots(&mut self) {
        let restarts = |it: &model::machine::Machine| {
            it.status.step.as_ref().is_some_and(|step| step.kind == StepKind::Restart)
        };
        self.house.until_machine(self.machine, "it restarts", restarts).await;
        let address = self.house.serve();
        let pem = self.house.plane.authority.pem();
        let (csr, key) = crate::agent::request();
        (self.agent.hello.csr, self.agent.key) = (csr.into(), key);
        let admission = self.agent.enter(&Web::new(address, pem, None)).await.expect("let in");
        let certificate = Some((admission.certificate.as_str(), &self.agent.key));
        self.inside = Some(Web::new(address, pem, certificate));
    }

    fn web(&self) -> &Web {
        self.inside.as_ref().expect("it was let in")
    }

    async fn order(&self) -> AgentOrder {
        let mut orders = self.web().orders(30).await.expect("it is let in");
        assert_eq!(orders.len(), 1, "{orders:?}");
        orders.remove(0)
    }

    async fn done(&self, order: &AgentOrder, fact: AgentFact) {
        let heard = self.web().report(order, AgentNews::Done { fact }).await.expect("heard");
        assert!(!heard.stale, "{order:?}");
    }

    /// Does as it is told until it is told to write, to leave, or nothing more.
    async fn works(&mut self) -> AgentOrder {
        loop {
            let order = self.order().await;
            let fact = match &order.command {
                AgentCommand::Report => AgentFact::Inventory { inventory: Box::new(parts()) },
                AgentCommand::Quote { nonce, pcrs } => {
                    let binding = attest::binding(nonce.as_ref(), &[]);
                    let tpm = self.agent.tpm.as_mut().expect("it has one");
                    let quote = tpm.quote(&binding, pcrs, Vec::new()).expect("a quote");
                    AgentFact::Quoted { quote: Box::new(quote) }
                }
                AgentCommand::BurnIn { .. } => AgentFact::BurnedIn { results: vec![passed()] },
                AgentCommand::Sanitise { .. } => AgentFact::Sanitised { disks: vec![wiped()] },
                _ => return order,
            };
            self.done(&order, fact).await;
            if self.house.machine(self.machine).status.lifecycle.rests() {
                return order;
            }
        }
    }

    async fn ask(&self, call: Call) -> Reply {
        self.house.ask(call).await.expect("it may")
    }

    /// An image that is stored and ready.
    async fn image(&self) -> ImageId {
        let spec =
            ImageSpec { format: ImageFormat::Raw, compression: Compression::None, project: None };
        let call = Call::CreateImage {
            name: "system".to_owned(),
            spec: spec.clone(),
            checksum: None,
            labels: Default::default(),
        };
        let Reply::Image(image) = self.ask(call).await else { panic!("an image was made") };
        let parts = stream::iter([Ok::<_, Problem>(bytes::Bytes::from_static(IMAGE))]);
        let stored = self.house.plane.images.receive(image.id, &spec, None, parts).await;
        let stored = stored.expect("it is stored");
        let call = Call::ImageReady {
            image: image.id,
            checksum: stored.checksum,
            stored: stored.stored,
            size: stored.size,
        };
        self.ask(call).await;
        image.id
    }

    async fn until(&self, lifecycle: Lifecycle) -> model::machine::Machine {
        let what = format!("it is {lifecycle}");
        self.house.until_machine(self.machine, &what, |it| it.status.lifecycle == lifecycle).await
    }
}

fn disk() -> Disk {
    let (name, serial) = ("vda".to_owned(), "D1".to_owned());
    Disk { name, serial, size: Bytes::gib(4), ..Disk::default() }
}

fn parts() -> Inventory {
    let system = SystemParts { serial: "serial-one".to_owned(), ..SystemParts::default() };
    Inventory { system, disks: vec![disk()], ..Inventory::default() }
}

fn passed() -> BurnInResult {
    BurnInResult { test: "cpu".to_owned(), passed: true, detail: String::new() }
}

fn wiped() -> SanitisedDisk {
    let Disk { name, model, serial, size, .. } = disk();
    let (method, sampled, residue) = (SanitiseMethod::Overwrite, Bytes::mib(4), Bytes(0));
    SanitisedDisk { disk: name, model, serial, size, method, sampled, residue }
}

fn deployment() -> Deployment {
    Deployment {
        project: "default".to_owned(),
        image: "system".to_owned(),
        hostname: "one".to_owned(),
        ssh_keys: Vec::new(),
        user_data: None,
        disk: None,
        kexec: false,
    }
}

/// The token in the seed, where the system finds it.
fn home_path(order: &AgentOrder) -> String {
    let AgentCommand::WriteImage { order } = &order.command else { panic!("{order:?}") };
    let seed: String = order.seed.iter().map(|file| file.content.as_str()).collect();
    let at = seed.find("/v1/systems/").expect("the seed says where to call");
    seed[at..].chars().take_while(|letter| *letter != '"').collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_lives_and_is_wiped() {
    let Some(mut life) = Life::begin().await else { return };
    life.boots().await;
    life.works().await;
    life.until(Lifecycle::Available).await;

    let image = life.image().await;
    if life.house.plane.leader.read().projects.by_name("default").is_none() {
        let (name, spec) = ("default".to_owned(), Default::default());
        life.ask(Call::CreateProject { name, spec }).await;
    }
    life.ask(Call::Deploy { machine: life.machine, deployment: deployment() }).await;
    let order = life.works().await;
    fetches(life.web(), image).await;
    let AgentCommand::WriteImage { order: write } = &order.command else { panic!("{order:?}") };
    let (disk, written, checksum) = ("vda".to_owned(), write.size, write.checksum.clone());
    life.done(&order, AgentFact::ImageWritten { disk, written, checksum }).await;
    let gone = life.web().get(&format!("/v1/agent/images/{image}"), None).await;
    assert_eq!(gone.status(), 403, "it is written, and not needed any more");

    let home = home_path(&order);
    let leaves = life.works().await;
    assert!(matches!(leaves.command, AgentCommand::BootDisk { .. }), "{leaves:?}");
    life.done(&leaves, AgentFact::Leaving).await;
    let call = || life.web().call(&home, HOME);
    call().await.expect("it is heard");
    assert_eq!(call().await.expect_err("once").code, ErrorCode::Gone);
    let active = life.until(Lifecycle::Active).await;
    let system = active.status.system.expect("it called");
    assert_eq!(system.address.as_deref(), Some("127.0.0.1"));
    assert_eq!(system.host_keys.len(), 1);

    life.ask(Call::Release { machine: life.machine }).await;
    life.boots().await;
    life.works().await;
    let clean = life.until(Lifecycle::Available).await;
    let certificate = clean.status.certificate.expect("it is signed");
    assert!(verify_certificate(life.house.plane.authority.public_key(), &certificate));
    assert_eq!(certificate.endorsement, clean.status.endorsement);
    assert_eq!((certificate.serial.as_str(), certificate.disks.len()), ("serial-one", 1));
    life.carriers.stop().await;
}

/// The image, whole and by ranges.
async fn fetches(web: &Web, image: ImageId) {
    let path = format!("/v1/agent/images/{image}");
    let whole = web.get(&path, None).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.bytes().await.expect("whole"), IMAGE);
    let part = web.get(&path, Some("bytes=4-8")).await;
    assert_eq!(part.status(), 206);
    let range = part.headers()["content-range"].to_str().expect("text").to_owned();
    assert_eq!(range, format!("bytes 4-8/{}", IMAGE.len()));
    assert_eq!(part.bytes().await.expect("whole"), IMAGE[4..9]);
    assert_eq!(web.get(&path, Some("bytes=9999-")).await.status(), 416);
    let other = ImageId::from_uuid(uuid::Uuid::from_u128(1));
    assert_eq!(web.get(&format!("/v1/agent/images/{other}"), None).await.status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_of_another_time_or_with_another_log_quarantines() {
    for tampered in ["the nonce", "the log"] {
        let Some(mut life) = Life::begin().await else { return };
        life.boots().await;
        let order = life.order().await;
        life.done(&order, AgentFact::Inventory { inventory: Box::new(parts()) }).await;
        let order = life.order().await;
        let AgentCommand::Quote { nonce, pcrs } = &order.command else { panic!("{order:?}") };
        let asked = if tampered == "the nonce" { &[7; 32] } else { nonce.as_ref() };
        let binding = attest::binding(asked, &[]);
        let tpm = life.agent.tpm.as_mut().expect("it has one");
        let mut quote = tpm.quote(&binding, pcrs, Vec::new()).expect("a quote");
        if tampered == "the log" {
            quote.event_log = b"something that never happened".to_vec().into();
        }
        life.done(&order, AgentFact::Quoted { quote: Box::new(quote) }).await;
        let machine = life.until(Lifecycle::Quarantined).await;
        let reason = machine.status.reason.expect("with a reason");
        assert_eq!(reason.code, ReasonCode::AttestationFailed, "{tampered}: {reason:?}");
        assert_eq!(life.web().orders(0).await.expect_err("no more orders").code, ErrorCode::Gone);
        life.carriers.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_remained_is_no_certificate() {
    let Some(mut life) = Life::begin().await else { return };
    life.boots().await;
    life.works().await;
    life.until(Lifecycle::Available).await;
    let (machine, reason) = (life.machine, "by hand".to_owned());
    life.ask(Call::Quarantine { machine, reason }).await;
    life.ask(Call::Recover { machine }).await;
    life.boots().await;
    loop {
        let order = life.order().await;
        match &order.command {
            AgentCommand::Report => {
                life.done(&order, AgentFact::Inventory { inventory: Box::new(parts()) }).await;
            }
            AgentCommand::Quote { nonce, pcrs } => {
                let binding = attest::binding(nonce.as_ref(), &[]);
                let tpm = life.agent.tpm.as_mut().expect("it has one");
                let quote = tpm.quote(&binding, pcrs, Vec::new()).expect("a quote");
                life.done(&order, AgentFact::Quoted { quote: Box::new(quote) }).await;
            }
            _ => {
                let disks = vec![SanitisedDisk { residue: Bytes(512), ..wiped() }];
                life.done(&order, AgentFact::Sanitised { disks }).await;
                break;
            }
        }
    }
    let machine = life.until(Lifecycle::Quarantined).await;
    assert_eq!(machine.status.reason.expect("a reason").code, ReasonCode::SanitiseFailed);
    assert!(machine.status.certificate.is_none(), "nothing was signed");
    life.carriers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_an_agent_tells_is_recorded() {
    let Some(mut life) = Life::begin().await else { return };
    life.boots().await;
    let order = life.order().await;
    let failure =
        AgentFailure { kind: AgentFailureKind::Disk, message: "vda does not answer".to_owned() };
    let heard = life.web().report(&order, AgentNews::Failed { failure }).await.expect("heard");
    assert!(!heard.stale);
    let told = |it: &model::machine::Machine| {
        let faults = it.status.step.as_ref().map(|step| step.faults.join(" "));
        let reason = it.status.reason.as_ref().map(|reason| reason.message.clone());
        faults.into_iter().chain(reason).any(|words| words.contains("vda does not answer"))
    };
    life.house.until_machine(life.machine, "the failure is noted", told).await;
    life.carriers.stop().await;
}
