//! `bedplate completions`: completions for a shell.

use std::io::Write as _;

use clap::Args;
use clap_complete::Shell;

use crate::Failure;
use crate::terminal::Terminal;

/// For which shell.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate completions bash\n\nTo have them in every shell:\n  bedplate completions bash > ~/.local/share/bash-completion/completions/bedplate"
)]
pub struct Arguments {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints them.
pub fn run(
    mut root: clap::Command,
    terminal: &Terminal,
    arguments: Arguments,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut root, "bedplate", &mut script);
    Ok(terminal.out.clone().write_all(&script)?)
}
