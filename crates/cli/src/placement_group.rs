//! `bedplate placement-group`: instances that keep apart, or together.

use clap::{Args, Subcommand};
use model::api::{
    CreatePlacementGroup, CreatePlacementGroupRequest, ListPlacementGroups, Page,
    RemovePlacementGroup,
};
use model::fleet::{DomainLevel, PlacementGroup, PlacementGroupSpec, SpreadRule};

use crate::Failure;
use crate::session::{Session, rehearsal};
use crate::table::{Table, cell, keep};
use crate::terminal::Tone;

/// What is done with groups.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List groups
    List(List),
    /// Make a group
    Create(Create),
    /// Remove a group without members
    Remove(Remove),
}

/// Nothing to say.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate placement-group list")]
pub struct List {}

/// What to make.
#[derive(Args, Debug)]
#[command(
    after_help = "Levels are host, rack, switch, power and wave.\n\nExamples:\n  bedplate placement-group create web-apart --project web --spread rack\n  bedplate placement-group create job-7 --project train --together switch --spread host=8"
)]
pub struct Create {
    /// Its name
    name: String,
    /// Whose instances
    #[arg(long)]
    project: String,
    /// At most so many in one domain of a level, LEVEL or LEVEL=MOST; may be repeated
    #[arg(long, value_name = "LEVEL[=MOST]", value_parser = rule)]
    spread: Vec<SpreadRule>,
    /// All in one domain of this level
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    together: Option<DomainLevel>,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// What to remove.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate placement-group remove web-apart")]
pub struct Remove {
    /// Which group
    name: String,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

fn level(text: &str) -> Result<DomainLevel, String> {
    let found = DomainLevel::ALL.into_iter().find(|level| level.name() == text);
    let names = || DomainLevel::ALL.map(DomainLevel::name).join(", ");
    found.ok_or_else(|| format!("the levels are {}", names()))
}

fn rule(text: &str) -> Result<SpreadRule, String> {
    let (name, most) = text.split_once('=').unwrap_or((text, "1"));
    let most = most.parse().map_err(|_| format!("`{most}` is no whole number"))?;
    Ok(SpreadRule { level: level(name)?, most })
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(_) => {
            let page = session.list::<ListPlacementGroups, PlacementGroup>(&[]).await?;
            let empty = "no groups yet; make one: bedplate placement-group create NAME --project P --spread rack";
            session.show_list(&page, table, empty)
        }
        Verb::Create(arguments) => create(session, arguments).await,
        Verb::Remove(arguments) => {
            let (path, options) = ([arguments.name.as_str()], rehearsal(arguments.dry_run));
            let group = session.call::<RemovePlacementGroup>(&path, &(), options).await?;
            let would = if arguments.dry_run { "would be " } else { "" };
            session.show(&group, |group| format!("group {} {would}removed\n", group.name))
        }
    }
}

fn table(page: &Page<PlacementGroup>) -> Table {
    let mut table =
        Table::new(&[keep("NAME", 8), keep("PROJECT", 8), keep("APART", 10), keep("TOGETHER", 8)]);
    for group in &page.items {
        let rules: Vec<String> = group
            .spec
            .spread
            .iter()
            .map(|rule| format!("{} a {}", rule.most, rule.level))
            .collect();
        table.row(vec![
            cell(Tone::Bold, &group.name),
            (&group.spec.project).into(),
            rules.join(", ").into(),
            group.spec.together.map(|level| level.name()).unwrap_or_default().into(),
        ]);
    }
    table
}

async fn create(session: &Session, arguments: Create) -> Result<(), Failure> {
    let spec = PlacementGroupSpec {
        project: arguments.project,
        spread: arguments.spread,
        together: arguments.together,
    };
    let request = CreatePlacementGroupRequest { name: arguments.name, spec };
    let options = rehearsal(arguments.dry_run);
    let group = session.call::<CreatePlacementGroup>(&[], &request, options).await?;
    let would = if arguments.dry_run { "would be " } else { "" };
    session.show(&group, |group| format!("group {} {would}made\n", group.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_a_level_and_a_number() {
        assert_eq!(rule("rack"), Ok(SpreadRule { level: DomainLevel::Rack, most: 1 }));
        assert_eq!(rule("power=3"), Ok(SpreadRule { level: DomainLevel::Power, most: 3 }));
        assert!(rule("shelf").is_err() && rule("rack=x").is_err());
    }
}
