//! A machine as a QEMU process: how it is started, spoken to and ended.

mod command;
mod flash;
mod machine;
mod probe;
mod progress;
mod qmp;
mod run;

pub use command::Accelerator;
pub(crate) use command::Plan;
pub(crate) use flash::prepare;
pub(crate) use machine::QemuMachine;
pub(crate) use probe::choose;
