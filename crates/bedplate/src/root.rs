//! The command tree: the roles of the program beside the verbs of the crate `cli`.

use clap::{ArgAction, Parser, Subcommand};

use crate::{disk, gateway, lab, up};

/// The program.
#[derive(Debug, Parser)]
#[command(
    name = "bedplate",
    version,
    about = "Turns racks of servers into a cloud",
    disable_help_flag = true,
    disable_help_subcommand = true,
    after_help = "First steps:\n  bedplate up                  the control plane, in one directory\n  bedplate doctor              what is wrong here, and how to mend it\n  bedplate machine --help      servers: find, take in, install, take back\n  bedplate object --help       objects: put, get, list, share"
)]
pub struct Root {
    /// What every verb takes.
    #[command(flatten)]
    pub global: cli::Global,
    /// Tell more of what is done; twice for everything. RUST_LOG says it in detail
    #[arg(long, short, global = true, action = ArgAction::Count, help_heading = "Options of every verb")]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub choice: Choice,
}

impl Root {
    /// The words of a role that do not run it are verbs like all others.
    pub fn settled(self) -> Self {
        let choice = match self.choice {
            Choice::Gateway(mut arguments) => match arguments.verb.take() {
                Some(verb) => Choice::Verb(cli::Verb::Gateway(verb)),
                None => Choice::Gateway(arguments),
            },
            choice => choice,
        };
        Self { choice, ..self }
    }
}

/// A role, or a verb.
#[derive(Debug, Subcommand)]
pub enum Choice {
    /// Run the control plane
    Up(up::Arguments),
    /// Volumes on this host: pools, and who is served
    Disk(disk::Arguments),
    /// Objects over HTTP: a server that speaks S3
    Gateway(Box<gateway::Arguments>),
    /// Virtual racks and simulated sites
    Lab(lab::Arguments),
    /// What people do.
    #[command(flatten)]
    Verb(cli::Verb),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_tree_is_sound() {
        Root::command().debug_assert();
    }

    /// With `BEDPLATE_WRITE=1` it is made anew.
    #[test]
    fn the_reference_is_that_of_the_program() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
        let made = cli::reference::markdown(&Root::command());
        if std::env::var_os("BEDPLATE_WRITE").is_some() {
            std::fs::write(path, &made).expect("docs/cli.md can be written");
        }
        let known = std::fs::read_to_string(path).unwrap_or_default();
        let differs = known.lines().zip(made.lines()).find(|(known, made)| known != made);
        assert!(
            known == made,
            "docs/cli.md is not that of the program, first at {differs:?}; make it anew: \
             BEDPLATE_WRITE=1 cargo test -p bedplate reference"
        );
    }
}
