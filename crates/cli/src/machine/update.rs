//! `bedplate machine update`: change labels, rack and policy.
//!
//! What is not named stays as it is: the machine is read, changed here, and sent
//! on the condition that nobody changed it meanwhile; otherwise once more.

use clap::Args;
use client::Options;
use model::ErrorCode;
use model::api::{MachineUpdate, UpdateMachine};
use model::machine::Machine;

use super::{changed, labels};
use crate::Failure;
use crate::session::Session;

/// How often it is tried when others change the machine at the same time.
const TRIES: usize = 4;

/// Which machine, and what.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate machine update m1 --rack r2\n  bedplate machine update m1 --label zone=a --remove-label old --policy strict"
)]
pub struct Arguments {
    /// Which machine
    machine: String,
    /// Rack; empty for none
    #[arg(long)]
    rack: Option<String>,
    /// Attestation policy; empty for the default one
    #[arg(long)]
    policy: Option<String>,
    /// Set a label, key=value; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// Remove a label; may be repeated
    #[arg(long = "remove-label", value_name = "KEY")]
    removed: Vec<String>,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Reads, changes, sends.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    for try_ in 1.. {
        let machine = session.client()?.machine(&arguments.machine).await?;
        let update = changes(&machine, &arguments)?;
        let options = Options { dry_run: arguments.dry_run, ..Options::at(machine.generation) };
        let path = [arguments.machine.as_str()];
        match session.call::<UpdateMachine>(&path, &update, options).await {
            Err(failure)
                if failure.code == ErrorCode::GenerationMismatch.name() && try_ < TRIES => {}
            Err(failure) => return Err(failure),
            Ok(machine) => return changed(session, &machine, arguments.dry_run, "changed"),
        }
    }
    unreachable!("the last try returns")
}

/// The machine's labels, rack and policy as they are to be.
fn changes(machine: &Machine, arguments: &Arguments) -> Result<MachineUpdate, Failure> {
    let or_none = |given: &Option<String>, known: &Option<String>| match given {
        Some(text) if text.is_empty() => None,
        Some(text) => Some(text.clone()),
        None => known.clone(),
    };
    let mut all = machine.labels.clone();
    all.extend(labels(&arguments.labels)?);
    all.retain(|key, _| !arguments.removed.contains(key));
    Ok(MachineUpdate {
        labels: all,
        rack: or_none(&arguments.rack, &machine.spec.rack),
        policy: or_none(&arguments.policy, &machine.spec.policy),
    })
}
