//! `bedplate policy learn`: learn a policy from a golden machine.

use clap::Args;
use model::api::{LearnPolicy, LearnRequest};

use super::Mode;
use crate::Failure;
use crate::session::{Session, rehearsal};

/// Which policy, from which machine.
#[derive(Args, Debug)]
#[command(
    after_help = "Learn from a machine whose firmware and settings you know to be right. Machines that differ\nafter that are quarantined with the PCR and the event.\n\nExamples:\n  bedplate policy learn default --machine m1\n  bedplate policy learn r750 --machine m1 --mode learn"
)]
pub struct Arguments {
    /// Which policy; made when there is none of that name
    policy: String,
    /// The golden machine
    #[arg(long)]
    machine: String,
    /// Enforce at once, or only keep
    #[arg(long, value_enum, default_value = "enforce")]
    mode: Mode,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Asks for it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let request = LearnRequest { machine: arguments.machine, mode: arguments.mode.meant() };
    let (path, options) = ([arguments.policy.as_str()], rehearsal(arguments.dry_run));
    let policy = session.call::<LearnPolicy>(&path, &request, options).await?;
    let would = if arguments.dry_run { "would be " } else { "" };
    let events: usize = policy.spec.pcrs.values().map(Vec::len).sum();
    session.show(&policy, |policy| {
        let mode = super::mode(policy.spec.mode);
        format!("policy {} {would}learnt: {events} events, {mode}\n", policy.name)
    })
}
