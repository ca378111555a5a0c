//! `bedplate policy set`: change a policy, or make it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use client::Options;
use model::ErrorCode;
use model::api::{GetPolicy, UpdatePolicy};
use model::attestation::PolicySpec;

use super::Mode;
use crate::Failure;
use crate::session::Session;

/// No policy is larger.
const LARGEST: u64 = 16 << 20;

/// Which policy, and what.
#[derive(Args, Debug)]
#[command(
    after_help = "What is not named stays as it is. A file holds the `spec` of a policy as JSON:\n  bedplate policy show default --output json | jq .spec > default.json\n\nExamples:\n  bedplate policy set default --mode enforce\n  bedplate policy set strict --file strict.json\n  bedplate policy set strict --endorsement-root maker-ca.pem"
)]
pub struct Arguments {
    /// Which policy
    policy: String,
    /// File with its spec as JSON; - is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Whether it is enforced
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// File with PEM certificates that a TPM's certificate must chain to; replaces those that there are
    #[arg(long = "endorsement-root", value_name = "FILE")]
    roots: Vec<PathBuf>,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Reads, changes, sends.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    if arguments.file.is_none() && arguments.mode.is_none() && arguments.roots.is_empty() {
        return Err(Failure::usage("There is nothing to change")
            .next("Say --mode, --file or --endorsement-root."));
    }
    let path = [arguments.policy.as_str()];
    let known = session.call::<GetPolicy>(&path, &(), Options::default()).await;
    let (mut spec, generation) = match known {
        Ok(policy) => (policy.spec, Some(policy.generation)),
        Err(failure) if failure.code == ErrorCode::NotFound.name() => (PolicySpec::default(), None),
        Err(failure) => return Err(failure),
    };
    if let Some(file) = &arguments.file {
        let text = read(file)?;
        spec = serde_json::from_str(&text).map_err(|error| {
            Failure::usage(format!("{} is not the spec of a policy", file.display()))
                .why(error.to_string())
                .next("See one: bedplate policy show default --output json")
        })?;
    }
    if let Some(mode) = arguments.mode {
        spec.mode = mode.meant();
    }
    if !arguments.roots.is_empty() {
        let roots: Result<_, Failure> = arguments.roots.iter().map(|path| read(path)).collect();
        spec.endorsement_roots = roots?;
    }
    let options =
        Options { if_match: generation, dry_run: arguments.dry_run, ..Options::default() };
    let policy = session.call::<UpdatePolicy>(&path, &spec, options).await?;
    let would = if arguments.dry_run { "would be " } else { "" };
    session.show(&policy, |policy| {
        format!("policy {} {would}set: {}\n", policy.name, super::mode(policy.spec.mode))
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin().take(LARGEST).read_to_string(&mut text),
        false => {
            std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_string(&mut text))
        }
    };
    read.map(|_| text).map_err(|error| Failure::file(path, &error))
}
