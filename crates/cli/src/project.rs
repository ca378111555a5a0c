//! `bedplate project`: whose machines and images these are.

use clap::{Args, Subcommand};
use model::api::{CreateProject, CreateProjectRequest, ListProjects, RemoveProject};
use model::project::{Project, ProjectSpec};

use crate::Failure;
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
    let spec = ProjectSpec { description: arguments.description };
    let request = CreateProjectRequest { name: arguments.name, spec };
    let options = rehearsal(arguments.dry_run);
    let project = session.call::<CreateProject>(&[], &request, options).await?;
    let would = if arguments.dry_run { "would be " } else { "" };
    session.show(&project, |project| format!("project {} {would}made\n", project.name))
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
