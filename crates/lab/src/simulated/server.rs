//! A simulated machine as hardware: power, what runs on it, its disk, its TPM,
//! and what its BMC and its agent answer. It knows nothing of the control plane;
//! it is asked by [`super::site`] and tells what happens when.

use std::collections::BTreeMap;

use model::agent::{
    AgentCommand, AgentFact, AgentFailure, AgentFailureKind, AgentNews, BurnInResult, Quote,
    SanitisedDisk,
};
use model::bmc::{
    BmcAbilities, BmcCommand, BmcFact, BmcFailure, BmcFailureKind, BootTarget, PowerAction,
    PowerState,
};
use model::effect::Outcome;
use model::id::{EffectId, OperationId};
use model::inventory::{Disk, Inventory, MemoryModule, Nic, Processor, SystemParts};
use model::machine::SanitiseMethod;
use model::{Bytes, Duration, Encoded};
use world::{Entropy, Seeded};

use super::faults::Faults;

/// What runs on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Running {
    /// Nothing: it is off, or hangs.
    Nothing,
    /// Its firmware, on its way to a boot target.
    Firmware,
    /// Our agent.
    Agent,
    /// A system from its disk.
    System,
}

/// What is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing that could be read.
    Clean,
    /// An image half written: it does not boot.
    Half,
    /// A system with the token that it calls home with.
    System {
        /// The token.
        home: String,
        /// In which operation it was written.
        deployed_in: Option<OperationId>,
    },
}

/// A machine.
pub struct Server {
    /// Its number: everything that names it derives from this.
    pub number: u32,
    /// What is wrong with it.
    pub faults: Faults,
    /// Its own randomness, so that machines do not disturb one another.
    pub entropy: Seeded,
    /// Power.
    pub power: PowerState,
    /// What runs.
    pub running: Running,
    /// Counts boots: whatever belongs to an older one never happens.
    pub boot: u64,
    /// What its BMC was told to boot next, once.
    pub next_boot: Option<BootTarget>,
    /// What is in the virtual drive.
    pub media: Option<String>,
    /// What is on the disk.
    pub disk: Content,
    /// Whose data has been on it since it was last sanitised: the operation that
    /// deployed the system that ran.
    pub tenant: Option<OperationId>,
    /// The operation in which the order in progress came.
    pub working_for: Option<OperationId>,
    /// Which TPM is in it.
    pub tpm: u32,
    /// Whether the BMC is stuck, or has lost its session.
    pub bmc: BmcHealth,
    /// Orders that the agent finished, with what it reported.
    pub finished: BTreeMap<EffectId, AgentNews>,
    /// The order in progress.
    pub working: Option<EffectId>,
    /// The newest order that was taken.
    pub newest_sequence: u64,
    /// Times that an image was written over what was not sanitised: must stay 0.
    pub overwritten: u32,
    /// The certificate of the agent that runs.
    pub certificate: Option<String>,
}

/// The health of a BMC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BmcHealth {
    /// Only a restart of the BMC helps.
    pub stuck: bool,
    /// Only a new session helps.
    pub session_lost: bool,
}

/// What a BMC does with a request.
pub struct BmcReply {
    /// When it answers; `None` when never.
    pub after: Option<Duration>,
    /// What it answers.
    pub outcome: Outcome,
    /// Whether the machine restarts with it.
    pub restarts: bool,
}

impl Server {
    /// A machine that is off, with nothing on its disk.
    pub fn new(number: u32, faults: Faults, entropy: Seeded) -> Self {
        Self {
            number,
            faults,
            entropy,
            power: PowerState::Off,
            running: Running::Nothing,
            boot: 0,
            next_boot: None,
            media: None,
            disk: Content::Clean,
            tenant: None,
            working_for: None,
            tpm: 1,
            bmc: BmcHealth::default(),
            finished: BTreeMap::new(),
            working: None,
            newest_sequence: 0,
            overwritten: 0,
            certificate: None,
        }
    }

    /// Its hardware address.
    pub fn mac(&self) -> String {
        let [a, b, c, d] = self.number.to_be_bytes();
        format!("52:54:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
    }

    /// Its serial number.
    pub fn serial(&self) -> String {
        format!("SIM{:06}", self.number)
    }

    /// The digest of its endorsement key.
    pub fn endorsement(&self) -> Option<String> {
        (!self.faults.tpm_missing).then(|| format!("ek-{}-{}", self.number, self.tpm))
    }

    /// The BMC is asked something.
    pub fn ask_bmc(&mut self, command: &BmcCommand) -> BmcReply {
        let slow = if self.faults.bmc_slow { 60_000 } else { 400 };
        let after = Some(Duration::from_millis(20 + self.entropy.below(slow)));
        if let Some(reply) = self.bmc_fault(command, after) {
            return reply;
        }
        let (fact, restarts) = self.obey(command);
        BmcReply { after, outcome: Outcome::Bmc { fact }, restarts }
    }

    /// The answer of a BMC that is not well, this time.
    fn bmc_fault(&mut self, command: &BmcCommand, after: Option<Duration>) -> Option<BmcReply> {
        let faults = &self.faults;
        match command {
            BmcCommand::Reconnect => self.bmc.session_lost = false,
            BmcCommand::ResetBmc if !faults.bmc_dead => self.bmc = BmcHealth::default(),
            _ => {
                self.bmc.stuck |= self.entropy.chance(faults.bmc_stuck_ppm);
                self.bmc.session_lost |= self.entropy.chance(faults.bmc_session_lost_ppm);
            }
        }
        let failed = |kind, message: &str| {
            let failure = BmcFailure { kind, message: message.to_owned() };
            Some(BmcReply { after, outcome: Outcome::BmcFailed { failure }, restarts: false })
        };
        if faults.bmc_dead || self.bmc.stuck || self.entropy.chance(faults.bmc_hangs_ppm) {
            let mut reply = failed(BmcFailureKind::Unreachable, "no answer")?;
            reply.after = None;
            return Some(reply);
        }
        if faults.bmc_password_wrong || self.bmc.session_lost {
            return failed(BmcFailureKind::Unauthorised, "401: the account was refused");
        }
        if self.entropy.chance(faults.bmc_busy_ppm) {
            return failed(BmcFailureKind::Busy, "503: try again later");
        }
        if self.entropy.chance(faults.bmc_nonsense_ppm) {
            return failed(BmcFailureKind::Malformed, "the answer is not JSON");
        }
        None
    }

    /// The BMC does as it is asked (or says so).
    fn obey(&mut self, command: &BmcCommand) -> (BmcFact, bool) {
        match command {
            BmcCommand::Inspect => {
                let inventory = Box::new(self.parts());
                let abilities =
                    BmcAbilities { http_boot: true, virtual_media: true, events: false };
                let certificate = Some(format!("bmc-{}", self.number));
                (BmcFact::Inventory { inventory, power: self.power, abilities, certificate }, false)
            }
            BmcCommand::ReadPower => (BmcFact::Power { state: self.power }, false),
            BmcCommand::Power { action } => (BmcFact::Accepted, self.change_power(*action)),
            BmcCommand::SetBoot { target } => {
                if !self.entropy.chance(self.faults.bmc_boot_lies_ppm) {
                    self.next_boot = Some(target.clone());
                }
                (BmcFact::Accepted, false)
            }
            BmcCommand::InsertMedia { url } => {
                self.media = Some(url.clone());
                (BmcFact::Accepted, false)
            }
            BmcCommand::EjectMedia => {
                self.media = None;
                (BmcFact::Accepted, false)
            }
            BmcCommand::Reconnect | BmcCommand::ResetBmc => (BmcFact::Accepted, false),
        }
    }

    fn change_power(&mut self, action: PowerAction) -> bool {
        if self.entropy.chance(self.faults.bmc_power_lies_ppm) {
            return false;
        }
        match action {
            PowerAction::Off | PowerAction::GracefulOff => {
                self.power = PowerState::Off;
                self.stop();
                false
            }
            PowerAction::On if self.power == PowerState::On => false,
            PowerAction::On | PowerAction::Cycle => {
                self.power = PowerState::On;
                true
            }
        }
    }

    /// Whatever ran is gone.
    pub fn stop(&mut self) {
        self.boot += 1;
        self.running = Running::Nothing;
        self.working = None;
        self.certificate = None;
        self.finished.clear();
        self.newest_sequence = 0;
    }

    /// What it is made of.
    pub fn parts(&self) -> Inventory {
        Inventory {
            system: SystemParts {
                manufacturer: "Bedplate".to_owned(),
                product: "Simulated".to_owned(),
                serial: self.serial(),
                uuid: String::new(),
            },
            processors: vec![Processor { model: "sim".to_owned(), cores: 8, threads: 16 }],
            memory: vec![MemoryModule { slot: "A1".to_owned(), size: Bytes::gib(64) }],
            disks: vec![Disk {
                name: "nvme0n1".to_owned(),
                serial: format!("D{}", self.number),
                size: Bytes::gib(480),
                ..Disk::default()
            }],
            nics: vec![Nic { name: "eth0".to_owned(), mac: self.mac(), ..Nic::default() }],
            ..Inventory::default()
        }
    }

    /// The agent does its work; what it reports at the end. Calling it is the end.
    pub fn work(&mut self, id: EffectId, command: &AgentCommand) -> AgentNews {
        assert!(!self.finished.contains_key(&id), "an agent does an order once");
        let news = match self.perform(command) {
            Ok(fact) => AgentNews::Done { fact },
            Err((kind, message)) => {
                AgentNews::Failed { failure: AgentFailure { kind, message: message.to_owned() } }
            }
        };
        self.finished.insert(id, news.clone());
        self.working = None;
        news
    }

    fn perform(
        &mut self,
        command: &AgentCommand,
    ) -> Result<AgentFact, (AgentFailureKind, &'static str)> {
        match command {
            AgentCommand::Report => Ok(AgentFact::Inventory { inventory: Box::new(self.parts()) }),
            AgentCommand::Quote { nonce, .. } => Ok(AgentFact::Quoted { quote: quote(nonce) }),
            AgentCommand::BurnIn { .. } => Ok(AgentFact::BurnedIn {
                results: vec![BurnInResult {
                    test: "memory".to_owned(),
                    passed: !self.faults.part_broken,
                    detail: "simulated".to_owned(),
                }],
            }),
            AgentCommand::WriteImage { order } => {
                // The same deployment may be tried again.
                let other = self.tenant.is_some() && self.tenant != self.working_for;
                self.overwritten += u32::from(other);
                if self.entropy.chance(self.faults.write_fails_ppm) {
                    self.disk = Content::Half;
                    return Err((AgentFailureKind::Disk, "EIO on write"));
                }
                let deployed_in = self.working_for;
                self.disk = Content::System { home: home_token(order), deployed_in };
                let written = order.size;
                let checksum = order.checksum.clone();
                Ok(AgentFact::ImageWritten { disk: "nvme0n1".to_owned(), written, checksum })
            }
            AgentCommand::Sanitise { .. } => Ok(self.sanitise()),
            AgentCommand::BootDisk { .. } | AgentCommand::PowerOff => Ok(AgentFact::Leaving),
        }
    }

    fn sanitise(&mut self) -> AgentFact {
        if self.faults.disk_lost {
            return AgentFact::Sanitised { disks: Vec::new() };
        }
        let residue = if self.faults.residue { Bytes(4096) } else { Bytes(0) };
        if !self.faults.residue {
            self.disk = Content::Clean;
            self.tenant = None;
        }
        AgentFact::Sanitised {
            disks: vec![SanitisedDisk {
                disk: "nvme0n1".to_owned(),
                model: String::new(),
                serial: format!("D{}", self.number),
                size: Bytes::gib(480),
                method: SanitiseMethod::CryptoErase,
                sampled: Bytes::mib(480),
                residue,
            }],
        }
    }
}

/// What stands for a quote here: the judgement is simulated by the site.
fn quote(nonce: &Encoded) -> Box<Quote> {
    Box::new(Quote {
        attest: nonce.clone(),
        signature: Encoded::default(),
        pcrs: Vec::new(),
        event_log: Encoded::default(),
    })
}

/// The token in a seed, found as a system finds it: in the address to call.
fn home_token(order: &model::agent::WriteImage) -> String {
    let vendor = order.seed.iter().find(|file| file.name == "vendor-data");
    let text = vendor.map_or("", |file| file.content.as_str());
    let token = text.split("/v1/systems/").nth(1).and_then(|rest| rest.split('/').next());
    token.unwrap_or_default().to_owned()
}
