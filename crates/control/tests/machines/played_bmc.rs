//! BMCs that do as the test says, in the place of Redfish.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bmc::{Bmc, ByteStream, Endpoint, EventStream};
use control::carriers::Connector;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use model::bmc::{
    BmcAbilities, BmcCommand, BmcFact, BmcFailure, BmcFailureKind, PowerAction, PowerState,
};
use model::inventory::{Inventory, Nic, SystemParts};

/// How a BMC behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Answers at once.
    Good,
    /// Takes the request and never answers.
    Hangs,
}

/// All BMCs, by the host in their address.
#[derive(Clone, Default)]
pub struct PlayedBmcs(Arc<Played>);

#[derive(Default)]
struct Played {
    manners: Mutex<HashMap<String, Manner>>,
    heard: Mutex<Vec<(String, BmcCommand)>>,
    passwords: Mutex<Vec<String>>,
}

impl PlayedBmcs {
    /// From now on this BMC behaves like this. The others are good.
    pub fn set(&self, name: &str, manner: Manner) {
        self.0.manners.lock().expect("whole").insert(name.to_owned(), manner);
    }

    /// What a BMC was asked, in order.
    pub fn heard(&self, name: &str) -> Vec<BmcCommand> {
        let heard = self.0.heard.lock().expect("whole");
        heard.iter().filter(|(to, _)| to == name).map(|(_, command)| command.clone()).collect()
    }

    /// The passwords that were used.
    pub fn passwords(&self) -> Vec<String> {
        self.0.passwords.lock().expect("whole").clone()
    }

    fn manner(&self, name: &str) -> Manner {
        self.0.manners.lock().expect("whole").get(name).copied().unwrap_or(Manner::Good)
    }
}

/// The hardware address of the machine with this name.
pub fn mac_of(name: &str) -> String {
    let sum = name.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(131) + u32::from(byte));
    let [a, b, c, d] = sum.to_be_bytes();
    format!("52:54:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

impl Connector for PlayedBmcs {
    fn connect(&self, endpoint: Endpoint) -> Result<Box<dyn Bmc>, BmcFailure> {
        let password = endpoint.password.expose().to_owned();
        self.0.passwords.lock().expect("whole").push(password);
        let name = endpoint.address.trim_start_matches("http://").to_owned();
        Ok(Box::new(PlayedBmc { name, all: self.clone(), power: PowerState::Off }))
    }
}

struct PlayedBmc {
    name: String,
    all: PlayedBmcs,
    power: PowerState,
}

impl PlayedBmc {
    fn answer(&mut self, command: &BmcCommand) -> BmcFact {
        match command {
            BmcCommand::Inspect => BmcFact::Inventory {
                inventory: Box::new(inventory(&self.name)),
                power: self.power,
                abilities: BmcAbilities { http_boot: true, virtual_media: true, events: false },
                certificate: None,
            },
            BmcCommand::ReadPower => BmcFact::Power { state: self.power },
            BmcCommand::Power { action } => {
                self.power = match action {
                    PowerAction::On | PowerAction::Cycle => PowerState::On,
                    PowerAction::Off | PowerAction::GracefulOff => PowerState::Off,
                };
                BmcFact::Power { state: self.power }
            }
            _ => BmcFact::Accepted,
        }
    }
}

/// What the BMC of this machine tells.
pub fn inventory(name: &str) -> Inventory {
    Inventory {
        system: SystemParts { serial: format!("serial-{name}"), ..Default::default() },
        nics: vec![Nic { mac: mac_of(name), ..Default::default() }],
        ..Default::default()
    }
}

impl Bmc for PlayedBmc {
    fn execute<'a>(
        &'a mut self,
        command: &'a BmcCommand,
    ) -> BoxFuture<'a, Result<BmcFact, BmcFailure>> {
        async move {
            let heard = (self.name.clone(), command.clone());
            self.all.0.heard.lock().expect("whole").push(heard);
            match self.all.manner(&self.name) {
                Manner::Good => Ok(self.answer(command)),
                Manner::Hangs => std::future::pending().await,
            }
        }
        .boxed()
    }

    fn events(&mut self) -> BoxFuture<'_, Result<Option<EventStream>, BmcFailure>> {
        async { Ok(None) }.boxed()
    }

    fn console(&mut self, _: bool) -> BoxFuture<'_, Result<ByteStream, BmcFailure>> {
        let message = "no console".to_owned();
        async { Err(BmcFailure { kind: BmcFailureKind::Unsupported, message }) }.boxed()
    }
}
