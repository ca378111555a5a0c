//! What a BMC sits on: a machine that can be switched, watched and listened to.
//!
//! The BMC knows only this trait. QEMU stands behind it in a rack; a dummy stands
//! behind it where only the protocol matters (tests, DMTF's validator).

use std::path::PathBuf;

use futures_util::future::BoxFuture;
use model::Timestamp;
use model::bmc::{BootTarget, PowerState};
use model::inventory::Inventory;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::console::Console;
use crate::error::LabError;

/// How far the machine has booted (Redfish `BootProgress.LastState`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BootStage {
    /// Off, or nothing seen yet.
    #[default]
    None,
    /// Firmware runs.
    PrimaryProcessorInitializationStarted,
    /// Firmware looks for something to boot.
    SystemHardwareInitializationComplete,
    /// Firmware's own menu.
    SetupEntered,
    /// A boot loader or kernel was started.
    OSBootStarted,
    /// A kernel speaks.
    OSRunning,
}

impl BootStage {
    /// The word that Redfish has for it.
    pub const fn name(self) -> &'static str {
        match self {
            BootStage::None => "None",
            BootStage::PrimaryProcessorInitializationStarted => {
                "PrimaryProcessorInitializationStarted"
            }
            BootStage::SystemHardwareInitializationComplete => {
                "SystemHardwareInitializationComplete"
            }
            BootStage::SetupEntered => "SetupEntered",
            BootStage::OSBootStarted => "OSBootStarted",
            BootStage::OSRunning => "OSRunning",
        }
    }
}

/// Power and boot, as they are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// On or off.
    pub power: PowerState,
    /// How far it booted.
    pub stage: BootStage,
    /// Since when.
    pub since: Timestamp,
}

/// Something that happened to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HardwareEvent {
    /// Power changed.
    Power(PowerState),
    /// It booted further, or began anew.
    Stage(BootStage),
    /// The machine restarted itself.
    Restarted,
}

/// A machine, seen from its BMC.
pub trait Hardware: Send + Sync + 'static {
    /// What it is made of. Does not change while it runs.
    fn parts(&self) -> &Inventory;
    /// Power and boot.
    fn view(&self) -> View;
    /// Whether the next boot is a secure boot.
    fn secure_boot(&self) -> bool;
    /// How busy it is, from 0 to 1.
    fn load(&self) -> f64;
    /// Its serial console.
    fn console(&self) -> &Console;
    /// What happens from now on.
    fn events(&self) -> broadcast::Receiver<HardwareEvent>;
    /// Switches it on, booting from somewhere else once; nothing when it is on.
    fn power_on(&self, boot: Option<BootTarget>) -> BoxFuture<'_, Result<(), LabError>>;
    /// Switches it off at once; nothing when it is off.
    fn power_off(&self) -> BoxFuture<'_, Result<(), LabError>>;
    /// Presses the power button: a system that listens shuts down.
    fn press_button(&self) -> BoxFuture<'_, Result<(), LabError>>;
    /// Puts an image into the virtual drive, or takes it out.
    fn set_media(&self, image: Option<PathBuf>) -> BoxFuture<'_, Result<(), LabError>>;
}
