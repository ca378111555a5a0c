//! The one program: its role is chosen by the first word of the command line. `up`
//! and `lab` run things; every other word is a verb of the crate `cli`.

mod bench_fleet;
mod boot;
mod demo;
mod disk;
mod disk_client;
mod disk_instructions;
mod gateway;
mod lab;
mod objects;
mod root;
mod sim_disk;
mod sim_gateway;
mod sim_rollout;
mod up;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use cli::{Exit, Failure, Output, Terminal};
use client::disk_orders::OrderError;
use tracing_subscriber::EnvFilter;

use root::{Choice, Root};

fn main() -> ExitCode {
    // Whoever installed one before us did it in this process, and the same one.
    rustls::crypto::ring::default_provider().install_default().ok();
    if let Some(engine) = disk::Engine::of(std::env::args_os().skip(1)) {
        log("info", false);
        return ExitCode::from(ended(engine.run(), false).code());
    }
    let root = Root::parse().settled();
    log(usual(&root), root.global.no_color);
    let root = match host(root) {
        Ok(exit) => return ExitCode::from(exit.code()),
        Err(root) => root,
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error[runtime]: no threads to work with: {error}");
            return ExitCode::from(Exit::Problem.code());
        }
    };
    let exit = runtime.block_on(run(*root));
    // What still reads a terminal or a pipe is not waited for.
    runtime.shutdown_background();
    ExitCode::from(exit.code())
}

/// What is logged when nobody says: what `--verbose` does, else what the role needs: a
/// control plane tells more than a verb.
fn usual(root: &Root) -> &'static str {
    let serves = match &root.choice {
        Choice::Up(_) | Choice::Gateway(_) => true,
        Choice::Disk(arguments) => arguments.serves(),
        Choice::Lab(_) | Choice::Verb(_) => false,
    };
    match (root.verbose, serves) {
        (0, false) => "error",
        (0, true) => "info",
        (1, false) => "info",
        (1, true) | (2, _) => "debug",
        _ => "trace",
    }
}

/// Logs go to standard error: what `RUST_LOG` asks for, else the usual.
fn log(usual: &str, no_color: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let terminal = Terminal::of_process(no_color);
    let colours = terminal.err_paint != cli::terminal::Paint::plain();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .init();
}

/// The roles that have threads of their own, and want none of a runtime. Gives back what
/// is none of them.
fn host(root: Root) -> Result<Exit, Box<Root>> {
    let json = root.global.output == Output::Json;
    let (directory, no_color) = (root.global.directory(), root.global.no_color);
    match root.choice {
        Choice::Disk(arguments) => Ok(ended(disk::run(arguments, &directory, json), no_color)),
        Choice::Gateway(arguments) => Ok(ended(gateway::run(*arguments, &directory), no_color)),
        choice => Err(Box::new(Root { choice, ..root })),
    }
}

async fn run(root: Root) -> Exit {
    let terminal = Terminal::of_process(root.global.no_color);
    let directory = root.global.directory();
    let json = root.global.output == Output::Json;
    let done = match root.choice {
        Choice::Up(arguments) => up::run(arguments, &directory).await,
        Choice::Lab(arguments) => lab::run(arguments, lab::Place { directory, json }).await,
        Choice::Disk(arguments) => disk::run(arguments, &directory, json),
        Choice::Gateway(arguments) => gateway::run(*arguments, &directory),
        Choice::Verb(verb) => {
            return cli::run(Root::command(), root.global, verb, terminal).await;
        }
    };
    ended(done, root.global.no_color)
}

/// How a role ended, for people.
fn ended(done: anyhow::Result<()>, no_color: bool) -> Exit {
    let Err(error) = done else { return Exit::Done };
    let terminal = Terminal::of_process(no_color);
    eprint!("{}", told(error).render(terminal.err_width, terminal.err_paint));
    Exit::Problem
}

/// An error of a role in the one shape that errors have.
fn told(error: anyhow::Error) -> Failure {
    let error = match error.downcast::<OrderError>() {
        // What the disk service says has a code and a next step already.
        Ok(said) => return said.into(),
        Err(error) => error,
    };
    let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
    Failure::new("failed", error.to_string()).why(causes.join("\n"))
}
