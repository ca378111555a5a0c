//! Verbs on attestation policies. Each verb is a file.

pub mod learn;
pub mod list;
pub mod set;
pub mod show;

use clap::{Subcommand, ValueEnum};
use model::attestation::PolicyMode;

use crate::Failure;
use crate::session::Session;

/// What is done with policies.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List attestation policies
    List(list::Arguments),
    /// Show a policy: what each PCR may hold
    Show(show::Arguments),
    /// Change a policy, or make it
    Set(set::Arguments),
    /// Learn a policy from the last quote of a golden machine, and enforce it
    Learn(learn::Arguments),
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(arguments) => list::run(session, arguments).await,
        Verb::Show(arguments) => show::run(session, arguments).await,
        Verb::Set(arguments) => set::run(session, arguments).await,
        Verb::Learn(arguments) => learn::run(session, arguments).await,
    }
}

/// Whether a policy is enforced.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Mode {
    /// What the log says is kept, not judged
    Learn,
    /// The log must say what the policy says
    Enforce,
}

impl Mode {
    /// As the API has it.
    pub const fn meant(self) -> PolicyMode {
        match self {
            Mode::Learn => PolicyMode::Learn,
            Mode::Enforce => PolicyMode::Enforce,
        }
    }
}

/// The word for a mode.
pub const fn mode(mode: PolicyMode) -> &'static str {
    match mode {
        PolicyMode::Learn => "learn",
        PolicyMode::Enforce => "enforce",
    }
}
