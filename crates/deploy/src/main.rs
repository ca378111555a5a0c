//! PID 1 of the provisioning ramdisk; with `--agent` an ordinary process that
//! does the same work on a made-up machine:
//!
//! `bedplate-deploy --agent --control FILE --root DIR [--tpm SOCKET]`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use deploy::network::lldp::Heard;
use deploy::settings::{Control, Patience, Roots, Settings};
use deploy::tpm::TpmPlace;
use deploy::{agent, init};

fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["-q", "--", module] => init::load_module(module),
        ["--agent", ..] => {
            if let Err(error) = run_agent(&arguments[1..]) {
                deploy::say!("{error:#}");
                return ExitCode::FAILURE;
            }
        }
        _ if std::process::id() == 1 => init::run(),
        _ => {
            deploy::say!("this is the init of a ramdisk; elsewhere it wants --agent");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Runs the agent until it is to leave, which here means to end.
fn run_agent(arguments: &[String]) -> anyhow::Result<()> {
    let (mut control, mut root, mut tpm) = (None, None, TpmPlace::Absent);
    let mut rest = arguments.iter();
    while let Some(option) = rest.next() {
        let value = rest.next().with_context(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--control" => control = Some(PathBuf::from(value)),
            "--root" => root = Some(PathBuf::from(value)),
            "--tpm" => tpm = TpmPlace::Socket(PathBuf::from(value)),
            other => anyhow::bail!("there is no option {other}"),
        }
    }
    let settings = Settings {
        control: Control::read(&control.context("--control is missing")?)?,
        roots: Roots::new(root.context("--root is missing")?),
        patience: Patience::default(),
        tpm,
        owns_machine: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let departure = runtime.block_on(agent::run(settings, Heard::default()))?;
    deploy::say!("leaving: {departure:?}");
    Ok(())
}
