//! `bedplate project`: whose machines and images these are.

use clap::{Args, Subcommand};
use client::Options;
use model::Bytes;
use model::api::{
    CreateProject, CreateProjectRequest, GetProject, ListProjects, ProjectDetail, RemoveProject,
    UpdateProject,
};
use model::fleet::Quota;
use model::project::{Project, ProjectSpec};

use crate::Failure;
use crate::amounts::{millicores, sums};
use crate::human::ago;
use crate::session::{Session, rehearsal};
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// What is done with projects.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List projects
    List(List),
    /// Make a project
    Create(Create),
    /// Show a project with what it takes of its quota
    Show(Show),
    /// Change a project's description and quota
    Update(Update),
    /// Remove an empty project
    Remove(Remove),
}

/// Nothing to say.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate project list")]
pub struct List {}

/// What to make.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate project create web --description \"the shop\"")]
pub struct Create {
    /// Its name
    name: String,
    /// One line for people
    #[arg(long, default_value = "")]
    description: String,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Which project.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate project show web")]
pub struct Show {
    /// Which project
    project: String,
}

/// What to change.
#[derive(Args, Debug)]
#[command(
    after_help = "What is not named stays as it is. A quota counts what instances take together.\n\nExamples:\n  bedplate project update web --cores 400 --memory 2TiB --gpus 16\n  bedplate project update web --no-quota"
)]
pub struct Update {
    /// Which project
    project: String,
    /// One line for people
    #[arg(long)]
    description: Option<String>,
    /// At most so many cores
    #[arg(long, value_name = "CORES", value_parser = millicores)]
    cores: Option<u32>,
    /// At most so much memory
    #[arg(long, value_name = "SIZE")]
    memory: Option<Bytes>,
    /// At most so much local disk
    #[arg(long, value_name = "SIZE")]
    disk: Option<Bytes>,
    /// At most so much network, in megabits a second
    #[arg(long, value_name = "MBIT")]
    network: Option<u64>,
    /// At most so many GPUs
    #[arg(long, value_name = "NUMBER")]
    gpus: Option<u64>,
    /// No limits but those that are named here
    #[arg(long)]
    no_quota: bool,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// What to remove.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate project remove web")]
pub struct Remove {
    /// Which project
    project: String,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(_) => list(session).await,
        Verb::Create(arguments) => create(session, arguments).await,
        Verb::Show(arguments) => {
            let path = [arguments.project.as_str()];
            let detail = session.call::<GetProject>(&path, &(), Options::default()).await?;
            session.show(&detail, |detail| page(detail, session))
        }
        Verb::Update(arguments) => update(session, arguments).await,
        Verb::Remove(arguments) => remove(session, arguments).await,
    }
}

async fn list(session: &Session) -> Result<(), Failure> {
    let page = session.list::<ListProjects, Project>(&[]).await?;
    let now = session.now();
    let empty = "no projects yet; make one: bedplate project create NAME";
    session.show_list(
        &page,
        |page| {
            let columns = [keep("NAME", 8), spare("DESCRIPTION", 1, 12), spare("MADE", 2, 8)];
            let mut table = Table::new(&columns);
            for project in &page.items {
                table.row(vec![
                    cell(Tone::Bold, &project.name),
                    (&project.spec.description).into(),
                    cell(Tone::Dim, ago(now, project.created)),
                ]);
            }
            table
        },
        empty,
    )
}

async fn create(session: &Session, arguments: Create) -> Result<(), Failure> {
    let spec = ProjectSpec { description: arguments.description, ..ProjectSpec::default() };
    let request = CreateProjectRequest { name: arguments.name, spec };
    let options = rehearsal(arguments.dry_run);
    let project = session.call::<CreateProject>(&[], &request, options).await?;
    let would = if arguments.dry_run { "would be " } else { "" };
    session.show(&project, |project| format!("project {} {would}made\n", project.name))
}

fn page(detail: &ProjectDetail, session: &Session) -> String {
    let (project, now) = (&detail.project, session.now());
    let mut page = crate::page::Page::new(session.terminal.width, session.terminal.paint);
    page.heading(&format!("Project {}", project.name));
    page.line("description", &project.spec.description);
    page.line("made", ago(now, project.created));
    page.line("takes", sums(&detail.used));
    let limits = project.spec.quota.limits();
    let limited = model::fleet::Amounts::from(limits.map(Option::unwrap_or_default));
    let none = project.spec.quota.is_none();
    page.line("at most", if none { "as much as there is".to_owned() } else { sums(&limited) });
    page.line("generation", project.generation.to_string());
    page.finish()
}

async fn update(session: &Session, arguments: Update) -> Result<(), Failure> {
    let path = [arguments.project.as_str()];
    let known = session.call::<GetProject>(&path, &(), Options::default()).await?.project;
    let before = match arguments.no_quota {
        true => Quota::default(),
        false => known.spec.quota,
    };
    let quota = Quota {
        millicores: arguments.cores.map(u64::from).or(before.millicores),
        memory_mib: arguments.memory.map(|size| size.0 >> 20).or(before.memory_mib),
        disk_gib: arguments.disk.map(|size| size.0 >> 30).or(before.disk_gib),
        network_mbps: arguments.network.or(before.network_mbps),
        gpus: arguments.gpus.or(before.gpus),
    };
    let description = arguments.description.unwrap_or(known.spec.description);
    let spec = ProjectSpec { description, quota };
    let options = Options { dry_run: arguments.dry_run, ..Options::at(known.generation) };
    let project = session.call::<UpdateProject>(&path, &spec, options).await?;
    let would = if arguments.dry_run { "would be " } else { "" };
    session.show(&project, |project| format!("project {} {would}changed\n", project.name))
}

async fn remove(session: &Session, arguments: Remove) -> Result<(), Failure> {
    if !arguments.dry_run {
        session.confirm(&format!("The project {} is removed", arguments.project))?;
    }
    let (path, options) = ([arguments.project.as_str()], rehearsal(arguments.dry_run));
    let project = session.call::<RemoveProject>(&path, &(), options).await?;
    let would = if arguments.dry_run { "would be " } else { "" };
    session.show(&project, |project| format!("project {} {would}removed\n", project.name))
}
