//! `bedplate machine enroll`: take a machine in.

use std::path::PathBuf;

use clap::Args;
use model::api::{Enroll, EnrollMachine};

use super::labels;
use crate::operation::{Begun, begun};
use crate::session::{Session, rehearsal};
use crate::{Failure, prompt};

/// Which machine, and its BMC.
#[derive(Args, Debug)]
#[command(
    after_help = "The password comes from --password-file, from BEDPLATE_BMC_PASSWORD, or is asked for.\n\nExamples:\n  bedplate machine enroll m1 --bmc https://10.0.0.11 --username admin\n  bedplate machine enroll m1 --bmc 10.0.0.11 --username admin --password-file m1.password --rack r1 --detach"
)]
pub struct Arguments {
    /// Its name; a discovered machine of this name is taken in
    name: String,
    /// Its BMC: https://host[:port] or a host
    #[arg(long, value_name = "URL")]
    bmc: String,
    /// Account on the BMC
    #[arg(long, default_value = "admin")]
    username: String,
    /// File with the password; - is standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// SHA-256 of the BMC's TLS certificate; pinned at the first contact when absent
    #[arg(long, value_name = "SHA256")]
    certificate: Option<String>,
    /// In which rack it stands
    #[arg(long)]
    rack: Option<String>,
    /// Attestation policy [default: default]
    #[arg(long)]
    policy: Option<String>,
    /// A label, key=value; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    #[command(flatten)]
    begun: Begun,
}

/// Asks for it, and follows it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let what = format!("Password of {} on {}", arguments.username, arguments.bmc);
    let file = arguments.password_file.as_deref();
    let request = Enroll {
        password: prompt::bmc_password(file, session.terminal.asks, &what)?,
        labels: labels(&arguments.labels)?,
        name: arguments.name,
        bmc: arguments.bmc,
        username: arguments.username,
        certificate: arguments.certificate,
        rack: arguments.rack,
        policy: arguments.policy,
    };
    let options = rehearsal(arguments.begun.dry_run);
    let operation = session.call::<EnrollMachine>(&[], &request, options).await?;
    begun(session, &arguments.begun, &request.name, operation).await
}
