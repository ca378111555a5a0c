//! `bedplate machine power`: on, off, restart.

use clap::{Args, ValueEnum};
use model::api::{PowerMachine, PowerRequest};
use model::bmc::PowerAction;
use model::machine::Lifecycle;

use crate::Failure;
use crate::session::{Session, rehearsal};

/// Which machine, and how.
#[derive(Args, Debug)]
#[command(
    after_help = "For machines that are available, active, quarantined or in maintenance.\n\nExamples:\n  bedplate machine power m1 on\n  bedplate machine power m1 cycle --yes"
)]
pub struct Arguments {
    /// Which machine
    machine: String,
    /// How
    #[arg(value_enum)]
    action: Action,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// A change of power.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Action {
    /// On; nothing when it is on
    On,
    /// Off at once
    Off,
    /// Ask the operating system to shut down
    GracefulOff,
    /// Off and on at once
    Cycle,
}

/// Asks for it; what cuts off a running system is confirmed first.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let (action, harsh) = match arguments.action {
        Action::On => (PowerAction::On, false),
        Action::Off => (PowerAction::Off, true),
        Action::GracefulOff => (PowerAction::GracefulOff, false),
        Action::Cycle => (PowerAction::Cycle, true),
    };
    if harsh && !arguments.dry_run {
        let machine = session.client()?.machine(&arguments.machine).await?;
        if machine.status.lifecycle == Lifecycle::Active {
            session.confirm(&format!("The running system of {} is cut off", machine.name))?;
        }
    }
    let (path, options) = ([arguments.machine.as_str()], rehearsal(arguments.dry_run));
    let machine = session.call::<PowerMachine>(&path, &PowerRequest { action }, options).await?;
    session.show(&machine, |machine| match arguments.dry_run {
        true => format!("the BMC of {} would be asked\n", machine.name),
        false => {
            format!("the BMC of {} is being asked; it was {}\n", machine.name, machine.status.power)
        }
    })
}
