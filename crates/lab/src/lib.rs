//! Racks made of QEMU machines: real firmware (OVMF), a TPM and a Redfish BMC each,
//! on a wire of their own. For tests, for the demo, and for users who have no spare
//! servers: whatever works against this rack talks to firmware, TPM and BMC by the
//! same protocols as on metal.
//!
//! Read in this order: [`spec`] (what a rack is asked to be), [`rack`] (up and down),
//! [`hardware`] (what a BMC sits on), `qemu` (a machine as a process), [`uefi_vars`]
//! (its firmware's variables), [`bmc`] (the Redfish service).
//!
//! Beside racks, [`disk_client`] is a guest's driver without a guest, for what serves
//! volumes.
//!
//! Nothing outlives its rack: children die with the thread that started them (see
//! `keeper`), and what a power cut leaves is cleared by the next [`Rack::up`] or by
//! [`Remains::clear`].

pub mod bmc;
pub mod console;
pub mod disk_client;
pub mod dummy;
pub mod error;
pub mod hardware;
mod identity;
mod keeper;
pub mod needs;
mod network;
pub mod placement;
mod qemu;
pub mod rack;
mod remains;
pub mod simulated;
pub mod simulated_disk;
pub mod simulated_objects;
pub mod simulated_rollout;
pub mod single_lane;
pub mod spec;
pub mod system;
mod tpm;
pub mod uefi_vars;

pub use bmc::{Bmc, BmcSpec, Fault, Faults};
pub use console::Console;
pub use dummy::DummyHardware;
pub use error::LabError;
pub use hardware::{BootStage, Hardware, HardwareEvent, View};
pub use qemu::Accelerator;
pub use rack::{LabMachine, Rack};
pub use remains::Remains;
pub use spec::{Accel, MachineSpec, NetworkSpec, RackSpec};
