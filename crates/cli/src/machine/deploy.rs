//! `bedplate machine deploy`: install an image on an available machine.

use std::path::{Path, PathBuf};

use clap::Args;
use model::api::{DeployMachine, ListProjects};
use model::machine::Deployment;
use model::project::Project;

use crate::Failure;
use crate::operation::{Begun, begun};
use crate::session::{Session, rehearsal};

/// What on which machine, for whom.
#[derive(Args, Debug)]
#[command(
    after_help = "Without --ssh-key the public keys of ~/.ssh are used. Without --project, the project of\nthe token, or the only one that there is.\n\nExamples:\n  bedplate machine deploy m1 --image debian-12\n  bedplate machine deploy m1 --image debian-12 --project web --hostname web-1 --ssh-key ~/.ssh/id_ed25519.pub"
)]
pub struct Arguments {
    /// Which machine
    machine: String,
    /// Image by name
    #[arg(long)]
    image: String,
    /// For which project
    #[arg(long)]
    project: Option<String>,
    /// What the system calls itself [default: the machine's name]
    #[arg(long)]
    hostname: Option<String>,
    /// SSH key of the first user, or a file with some; may be repeated
    #[arg(long = "ssh-key", value_name = "KEY|FILE")]
    ssh_keys: Vec<String>,
    /// File with cloud-init user data; made from the keys when absent
    #[arg(long, value_name = "FILE")]
    user_data: Option<PathBuf>,
    /// Which disk by name [default: the smallest that fits]
    #[arg(long)]
    disk: Option<String>,
    /// Start the system by kexec, without a second way through the firmware
    #[arg(long)]
    kexec: bool,
    #[command(flatten)]
    begun: Begun,
}

/// Asks for it, and follows it.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let user_data = match &arguments.user_data {
        Some(path) => Some(text(path)?),
        None => None,
    };
    let ssh_keys = keys(&arguments.ssh_keys, user_data.is_some())?;
    let project = match arguments.project {
        Some(project) => project,
        None => the_project(session).await?,
    };
    let machine = session.client()?.machine(&arguments.machine).await?;
    let deployment = Deployment {
        project,
        image: arguments.image,
        hostname: arguments.hostname.unwrap_or_else(|| machine.name.clone()),
        ssh_keys,
        user_data,
        disk: arguments.disk,
        kexec: arguments.kexec,
    };
    let options = rehearsal(arguments.begun.dry_run);
    let operation =
        session.call::<DeployMachine>(&[&arguments.machine], &deployment, options).await?;
    begun(session, &arguments.begun, &machine.name, operation).await
}

fn text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))
}

/// The keys that were given, or those of whoever asks.
fn keys(given: &[String], has_user_data: bool) -> Result<Vec<String>, Failure> {
    let mut keys = Vec::new();
    for key in given {
        match looks_like_key(key) {
            true => keys.push(key.trim().to_owned()),
            false => keys.extend(lines(&text(Path::new(key))?)),
        }
    }
    if keys.is_empty() && given.is_empty() && !has_user_data {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        for name in ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"] {
            let found = std::fs::read_to_string(home.join(".ssh").join(name));
            keys.extend(found.iter().flat_map(|text| lines(text)));
        }
    }
    if let Some(key) = keys.iter().find(|key| !looks_like_key(key)) {
        return Err(Failure::usage(format!(
            "`{}` is not an SSH public key",
            crate::human::cut(key, 40)
        )));
    }
    match keys.is_empty() && !has_user_data {
        true => Err(Failure::usage("Nobody could log in: there is no SSH key")
            .next("Give --ssh-key FILE or --user-data FILE, or make a key: ssh-keygen -t ed25519")),
        false => Ok(keys),
    }
}

/// Whether a text begins as a public key does (OpenSSH, `sshd(8)`).
fn looks_like_key(text: &str) -> bool {
    let kinds = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-sha2-"];
    kinds.iter().any(|kind| text.starts_with(kind)) && text.contains(' ')
}

fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// The project that is meant when none is named.
async fn the_project(session: &Session) -> Result<String, Failure> {
    if let Some(project) = session.client()?.whoami().await?.project {
        return Ok(project);
    }
    let (projects, _) = session.client()?.all::<ListProjects, Project>(&[]).await?;
    match projects.as_slice() {
        [only] => Ok(only.name.clone()),
        [] => Err(Failure::usage("There is no project yet")
            .next("Make one: bedplate project create NAME")),
        several => {
            let names: Vec<&str> = several.iter().map(|project| project.name.as_str()).collect();
            Err(Failure::usage("For which project?")
                .next(format!("Say --project with one of: {}", names.join(", "))))
        }
    }
}
