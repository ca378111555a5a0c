//! `bedplate gateway project`: what projects hold, and may hold.

use clap::{ArgGroup, Args, Subcommand};
use model::Bytes;
use model::gateway::{GatewayOrder, GatewayProject};

use super::service::Which;
use crate::Failure;
use crate::session::Session;
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// What is done with projects.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List projects: what they hold, and may hold
    List(List),
    /// Say what a project may hold
    Quota(Quota),
}

/// Which gateway.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate gateway project list")]
pub struct List {
    #[command(flatten)]
    which: Which,
}

/// How much.
#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("limit").required(true).multiple(true).args(["bytes", "objects", "none"]),
    after_help = "It counts all versions in the buckets of the project's accounts. A write that would be more is\nrefused: QuotaExceeded. What is there already stays. What is not said has no limit.\n\nExamples:\n  bedplate gateway project quota research --bytes 2T --objects 10000000\n  bedplate gateway project quota research --none"
)]
pub struct Quota {
    /// Which project
    project: String,
    /// The most bytes
    #[arg(long, value_name = "SIZE")]
    bytes: Option<Bytes>,
    /// The most objects, with their versions
    #[arg(long, value_name = "NUMBER")]
    objects: Option<u64>,
    /// No limit
    #[arg(long, conflicts_with_all = ["bytes", "objects"])]
    none: bool,
    #[command(flatten)]
    which: Which,
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(List { which }) => {
            let all: Vec<GatewayProject> = which.order(session, GatewayOrder::Projects).await?;
            list(session, &all)
        }
        Verb::Quota(Quota { project, bytes, objects, which, .. }) => {
            let order = GatewayOrder::ProjectQuota { project, bytes, objects };
            let project: GatewayProject = which.order(session, order).await?;
            session.show(&project, |it| {
                let (bytes, objects) = (of_bytes(it), of_objects(it));
                format!("project {} holds {bytes} and {objects} objects\n", it.project)
            })
        }
    }
}

fn of_bytes(project: &GatewayProject) -> String {
    match project.bytes_quota {
        Some(most) => format!("{} of {most}", project.bytes),
        None => project.bytes.to_string(),
    }
}

fn of_objects(project: &GatewayProject) -> String {
    match project.objects_quota {
        Some(most) => format!("{} of {most}", project.objects),
        None => project.objects.to_string(),
    }
}

fn list(session: &Session, projects: &[GatewayProject]) -> Result<(), Failure> {
    if session.json {
        return session.print_json(&projects);
    }
    if projects.is_empty() {
        return session.say("no account is of a project; say it with bedplate gateway key create ACCOUNT --project PROJECT");
    }
    let mut table = Table::new(&[
        keep("PROJECT", 8),
        keep("BYTES", 10),
        keep("OBJECTS", 8),
        spare("ACCOUNTS", 1, 12),
    ]);
    for project in projects {
        let over = project.bytes_quota.is_some_and(|most| project.bytes >= most)
            || project.objects_quota.is_some_and(|most| project.objects >= most);
        let tone = if over { Tone::Warn } else { Tone::Plain };
        table.row(vec![
            cell(Tone::Bold, &project.project),
            cell(tone, of_bytes(project)),
            cell(tone, of_objects(project)),
            project.accounts.join(", ").into(),
        ]);
    }
    session.print(&table.render(session.terminal.width, session.terminal.paint))
}
