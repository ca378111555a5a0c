//! A machine that is only pretended: for whoever wants a BMC and needs no firmware
//! behind it. It switches at once, and remembers what it was asked to boot.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::future::BoxFuture;
use model::Bytes;
use model::bmc::{BootTarget, PowerState};
use model::inventory::{Disk, Firmware, Inventory, MemoryModule, Nic, Processor, SystemParts, Tpm};
use tokio::sync::broadcast;
use world::{Clock, SystemClock};

use crate::console::Console;
use crate::error::LabError;
use crate::hardware::{BootStage, Hardware, HardwareEvent, View};

/// A pretended machine.
pub struct DummyHardware {
    parts: Inventory,
    console: Console,
    clock: SystemClock,
    events: broadcast::Sender<HardwareEvent>,
    state: Mutex<State>,
}

struct State {
    view: View,
    boots: Vec<Option<BootTarget>>,
    media: Option<PathBuf>,
}

impl DummyHardware {
    /// A machine that is off.
    pub fn new() -> Arc<Self> {
        let clock = SystemClock::default();
        let view = View { power: PowerState::Off, stage: BootStage::None, since: clock.now() };
        let state = Mutex::new(State { view, boots: Vec::new(), media: None });
        let (events, console) = (broadcast::channel(256).0, Console::new(None));
        Arc::new(Self { parts: parts(), console, clock, events, state })
    }

    /// What it was asked to boot each time that it was switched on.
    pub fn boots(&self) -> Vec<Option<BootTarget>> {
        self.state().boots.clone()
    }

    /// The image in its virtual drive.
    pub fn media(&self) -> Option<PathBuf> {
        self.state().media.clone()
    }

    /// Comes to a stage of its boot.
    pub fn reach(&self, stage: BootStage) {
        let mut state = self.state();
        state.view = View { stage, since: self.clock.now(), ..state.view };
        let _ = self.events.send(HardwareEvent::Stage(stage));
    }

    /// Restarts as if its own system had wanted it.
    pub fn restart_itself(&self) {
        let _ = self.events.send(HardwareEvent::Restarted);
    }

    fn switch(&self, power: PowerState) {
        let stage = match power {
            PowerState::On => BootStage::PrimaryProcessorInitializationStarted,
            _ => BootStage::None,
        };
        self.state().view = View { power, stage, since: self.clock.now() };
        let _ = self.events.send(HardwareEvent::Power(power));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

impl Hardware for DummyHardware {
    fn parts(&self) -> &Inventory {
        &self.parts
    }
    fn view(&self) -> View {
        self.state().view
    }
    fn secure_boot(&self) -> bool {
        true
    }
    fn load(&self) -> f64 {
        if self.view().power == PowerState::On { 0.25 } else { 0.0 }
    }
    fn console(&self) -> &Console {
        &self.console
    }
    fn events(&self) -> broadcast::Receiver<HardwareEvent> {
        self.events.subscribe()
    }
    fn power_on(&self, boot: Option<BootTarget>) -> BoxFuture<'_, Result<(), LabError>> {
        Box::pin(async move {
            self.state().boots.push(boot);
            self.switch(PowerState::On);
            Ok(())
        })
    }
    fn power_off(&self) -> BoxFuture<'_, Result<(), LabError>> {
        Box::pin(async {
            self.switch(PowerState::Off);
            Ok(())
        })
    }
    fn press_button(&self) -> BoxFuture<'_, Result<(), LabError>> {
        self.power_off()
    }
    fn set_media(&self, image: Option<PathBuf>) -> BoxFuture<'_, Result<(), LabError>> {
        Box::pin(async move {
            self.state().media = image;
            Ok(())
        })
    }
}

fn parts() -> Inventory {
    let text = str::to_owned;
    Inventory {
        system: SystemParts {
            manufacturer: text("Bedplate"),
            product: text("Dummy"),
            serial: text("BPL00000001"),
            uuid: text("3d1f6f0e-9a3c-4d59-8f0b-2f6f0f1a7c11"),
        },
        processors: vec![Processor { model: text("Dummy processor"), cores: 2, threads: 4 }],
        memory: vec![MemoryModule { slot: text("DIMM 0"), size: Bytes::gib(2) }],
        disks: vec![Disk {
            name: text("disk0"),
            model: text("Dummy disk"),
            serial: text("BPL00000001-D0"),
            size: Bytes::gib(8),
            rotational: false,
            transport: text("nvme"),
        }],
        nics: vec![Nic {
            name: text("nic0"),
            mac: text("52:54:00:00:00:01"),
            speed_mbps: 10_000,
            link: true,
            neighbour: None,
        }],
        tpm: Some(Tpm { family: text("2.0"), ..Tpm::default() }),
        firmware: vec![Firmware { part: text("bios"), version: text("1") }],
        ..Inventory::default()
    }
}
