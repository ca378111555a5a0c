//! `bedplate instance`: what runs on hosts.

use clap::{Args, Subcommand};
use client::Options;
use model::Timestamp;
use model::api::{
    CreateInstance, CreateInstanceRequest, GetInstance, ListHosts, ListInstances, Page,
    RemoveInstance,
};
use model::fleet::{Host, Instance};

use crate::Failure;
use crate::human::{ago, moment};
use crate::machine::labels;
use crate::session::{Session, rehearsal};
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// What is done with instances.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List instances
    List(List),
    /// Make an instance and place it
    Create(Create),
    /// Show an instance
    Show(Show),
    /// Remove an instance and give its room back
    Remove(Remove),
}

/// Which instances.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate instance list --label tier=web")]
pub struct List {
    /// Only those with this label, key=value; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
}

/// What to make.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate instance create web-1 --project web --type small\n  bedplate instance create web-2 --project web --type small --group web-apart --wait-for-room"
)]
pub struct Create {
    /// Its name
    name: String,
    /// Whose
    #[arg(long)]
    project: String,
    /// Its type
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,
    /// The placement group that it belongs to
    #[arg(long)]
    group: Option<String>,
    /// When nothing has room: keep it, and place it when something has
    #[arg(long)]
    wait_for_room: bool,
    /// A label, key=value; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Which instance.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate instance show web-1")]
pub struct Show {
    /// Which instance, by name or id
    instance: String,
}

/// What to remove.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate instance remove web-1 --yes")]
pub struct Remove {
    /// Which instance, by name or id
    instance: String,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(arguments) => list(session, arguments).await,
        Verb::Create(arguments) => create(session, arguments).await,
        Verb::Show(arguments) => {
            let path = [arguments.instance.as_str()];
            let instance = session.call::<GetInstance>(&path, &(), Options::default()).await?;
            let now = session.now();
            session.show(&instance, |instance| page(instance, now, session))
        }
        Verb::Remove(arguments) => {
            if !arguments.dry_run {
                session.confirm(&format!("The instance {} is removed", arguments.instance))?;
            }
            let (path, options) = ([arguments.instance.as_str()], rehearsal(arguments.dry_run));
            let instance = session.call::<RemoveInstance>(&path, &(), options).await?;
            let would = if arguments.dry_run { "would be " } else { "" };
            session.show(&instance, |it| format!("instance {} {would}removed\n", it.name))
        }
    }
}

async fn list(session: &Session, arguments: List) -> Result<(), Failure> {
    let page = session.list::<ListInstances, Instance>(&arguments.labels).await?;
    // Who is bound to a project has no part in hosts; then their ids are shown.
    let hosts = match session.json || page.items.is_empty() {
        true => Vec::new(),
        false => session.list::<ListHosts, Host>(&[]).await.map(|it| it.items).unwrap_or_default(),
    };
    let empty = "no instances yet; make one: bedplate instance create NAME --project P --type T";
    let now = session.now();
    session.show_list(&page, |page| table(page, &hosts, now), empty)
}

fn table(page: &Page<Instance>, hosts: &[Host], now: Timestamp) -> Table {
    let columns = [
        keep("NAME", 8),
        keep("PROJECT", 6),
        keep("TYPE", 6),
        keep("HOST", 8),
        spare("SINCE", 1, 8),
        spare("GROUP", 2, 6),
        spare("MOVES", 3, 2),
    ];
    let mut table = Table::new(&columns);
    for instance in &page.items {
        let status = &instance.status;
        let host = match status.host {
            Some(id) => {
                let known = hosts.iter().find(|host| host.id == id);
                let name = known.map_or_else(|| id.short(), |host| host.name.clone());
                cell(Tone::Plain, name)
            }
            None => cell(Tone::Warn, "waits for room"),
        };
        table.row(vec![
            cell(Tone::Bold, &instance.name),
            (&instance.spec.project).into(),
            (&instance.spec.kind).into(),
            host,
            cell(Tone::Dim, ago(now, status.since)),
            instance.spec.group.as_deref().unwrap_or_default().into(),
            if status.moves == 0 { String::new() } else { status.moves.to_string() }.into(),
        ]);
    }
    table
}

fn page(instance: &Instance, now: Timestamp, session: &Session) -> String {
    let mut page = crate::page::Page::new(session.terminal.width, session.terminal.paint);
    let status = &instance.status;
    page.heading(&format!("Instance {}", instance.name));
    page.line("project", &instance.spec.project);
    page.line("type", &instance.spec.kind);
    page.line("group", instance.spec.group.as_deref().unwrap_or_default());
    page.line("host", status.host.map(|host| host.to_string()).unwrap_or_default());
    page.toned(Tone::Warn, "waits", status.waits.as_deref().unwrap_or_default());
    page.line("since", moment(now, status.since));
    page.line("moved", if status.moves == 0 { String::new() } else { status.moves.to_string() });
    page.line("why there", format!("bedplate placement explain {}", instance.name));
    page.line("id", instance.id.to_string());
    page.finish()
}

async fn create(session: &Session, arguments: Create) -> Result<(), Failure> {
    let request = CreateInstanceRequest {
        name: arguments.name,
        project: arguments.project,
        kind: arguments.kind,
        group: arguments.group,
        wait_for_room: arguments.wait_for_room,
        labels: labels(&arguments.labels)?,
    };
    let options = rehearsal(arguments.dry_run);
    let instance = session.call::<CreateInstance>(&[], &request, options).await?;
    let would = if arguments.dry_run { "would be " } else { "" };
    session.show(&instance, |instance| match instance.status.host {
        Some(host) => {
            format!("instance {} {would}placed on host {}\n", instance.name, host.short())
        }
        None => format!("instance {} {would}made; it waits for room\n", instance.name),
    })
}
