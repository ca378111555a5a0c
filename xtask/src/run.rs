//! Running programs: said before, and failing with what failed.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The top of the repository.
pub fn top() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask lies in the repository").to_path_buf()
}

/// A command in the top of the repository.
pub fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(top());
    // What cargo told us about this package is not for another build: crates that look at
    // it would be built anew after each chore, and again after each plain `cargo build`.
    let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| ours.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command
}

/// Says a command, runs it, and fails when it fails.
pub fn run(mut command: Command) -> Result<()> {
    let line = shown(&command);
    eprintln!("==> {line}");
    let status = command.status().with_context(|| format!("{line} could not be started"))?;
    if !status.success() {
        bail!("{line} failed ({status})");
    }
    Ok(())
}

/// What a command prints.
pub fn output(mut command: Command) -> Result<String> {
    let line = shown(&command);
    let output = command.output().with_context(|| format!("{line} could not be started"))?;
    if !output.status.success() {
        bail!("{line} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs a verb of the program itself, built for speed.
pub fn program(noun: &str, verb: &str, arguments: &[String]) -> Result<()> {
    let build = ["build", "--release", "-p", "bedplate", "--locked"];
    run(command("cargo", &build))?;
    let mut program = Command::new(top().join("target/release/bedplate"));
    program.args([noun, verb]).args(arguments);
    run(program)
}
