//! `bedplate machine list`: all machines, first those that need attention.

use std::cmp::Ordering;

use clap::Args;
use model::Timestamp;
use model::api::{ListMachines, Page};
use model::machine::{Lifecycle, Machine};

use super::words;
use crate::Failure;
use crate::human::{ago, by_number, count};
use crate::session::Session;
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// Which machines.
#[derive(Args, Debug)]
#[command(
    after_help = "A ! marks what waits for a person; `bedplate machine show` says why and what to do.\n\nExamples:\n  bedplate machine list\n  bedplate machine list --state quarantined --label zone=a\n  bedplate machine list --unhealthy\n  bedplate machine list --output json"
)]
pub struct Arguments {
    /// Only those in this state; may be repeated
    #[arg(long = "state", value_parser = lifecycle)]
    states: Vec<Lifecycle>,
    /// Only those that are not well: quarantined, or with work that needs attention
    #[arg(long)]
    unhealthy: bool,
    /// Only those with this label, key=value; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
}

fn lifecycle(text: &str) -> Result<Lifecycle, String> {
    let names = || Lifecycle::ALL.map(Lifecycle::name).join(", ");
    let found = Lifecycle::ALL.into_iter().find(|state| state.name() == text);
    found.ok_or_else(|| format!("the states are {}", names()))
}

/// Lists them.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let mut page = session.list::<ListMachines, Machine>(&arguments.labels).await?;
    if !arguments.states.is_empty() {
        page.items.retain(|machine| arguments.states.contains(&machine.status.lifecycle));
    }
    if arguments.unhealthy {
        page.items.retain(words::needs_attention);
    }
    let narrowed =
        arguments.unhealthy || !arguments.states.is_empty() || !arguments.labels.is_empty();
    let empty = match !narrowed {
        true => "no machines yet; find some: bedplate machine discover 10.0.0.0/28",
        false => "no such machines",
    };
    let now = session.now();
    session.show_list(&page, |page| table(page, now), empty)?;
    match session.json || page.items.is_empty() {
        true => Ok(()),
        false => session.say(&summary(&page.items)),
    }
}

/// The table of machines.
pub fn table(page: &Page<Machine>, now: Timestamp) -> Table {
    let columns = [
        keep("", 1),
        keep("NAME", 8),
        keep("STATE", 11),
        keep("DOING", 12),
        spare("SINCE", 3, 8),
        spare("POWER", 4, 3),
        spare("SYSTEM", 5, 10),
        spare("ADDRESS", 2, 12),
        spare("RACK", 6, 4),
        spare("PRODUCT", 8, 12),
        spare("LABELS", 7, 8),
    ];
    let mut table = Table::new(&columns);
    let mut machines: Vec<&Machine> = page.items.iter().collect();
    machines.sort_by(|a, b| order(a, b));
    for machine in machines {
        let status = &machine.status;
        let attention = words::needs_attention(machine);
        table.row(vec![
            cell(Tone::Bad, if attention { "!" } else { "" }),
            cell(Tone::Bold, &machine.name),
            cell(words::tone(status.lifecycle), status.lifecycle.name()),
            doing(machine).into(),
            cell(Tone::Dim, ago(now, status.since)),
            status.power.to_string().into(),
            system(machine).into(),
            address(machine).into(),
            machine.spec.rack.as_deref().unwrap_or_default().into(),
            product(machine).into(),
            cell(Tone::Dim, labels(machine)),
        ]);
    }
    table
}

/// First what waits for a person, then what moves, then the rest; by name in each.
fn order(a: &Machine, b: &Machine) -> Ordering {
    let rank = |machine: &Machine| match machine.status.lifecycle {
        _ if words::needs_attention(machine) => 0,
        state if !state.rests() => 1,
        Lifecycle::Retired => 3,
        _ => 2,
    };
    rank(a).cmp(&rank(b)).then_with(|| by_number(&a.name, &b.name))
}

/// What it does, or why it cannot go on.
fn doing(machine: &Machine) -> String {
    match (&machine.status.step, &machine.status.reason) {
        (Some(step), _) => words::step(step),
        (None, Some(reason)) => reason.code.name().to_owned(),
        (None, None) => String::new(),
    }
}

fn system(machine: &Machine) -> String {
    let wanted = machine.spec.deployment.as_ref();
    wanted.map_or_else(String::new, |it| format!("{}/{} ({})", it.project, it.hostname, it.image))
}

fn address(machine: &Machine) -> &str {
    let system = machine.status.system.as_ref();
    system.and_then(|system| system.address.as_deref()).unwrap_or_default()
}

fn product(machine: &Machine) -> String {
    let status = &machine.status;
    let parts = status.parts.as_ref().or(status.parts_by_bmc.as_ref());
    let system = parts.map(|parts| &parts.system);
    system.map_or_else(String::new, |it| format!("{} {}", it.manufacturer, it.product))
}

fn labels(machine: &Machine) -> String {
    let pairs: Vec<String> =
        machine.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(" ")
}

/// How many are in which state.
fn summary(machines: &[Machine]) -> String {
    let of = |state: Lifecycle| machines.iter().filter(|it| it.status.lifecycle == state).count();
    let parts: Vec<String> = Lifecycle::ALL
        .into_iter()
        .map(|state| (of(state), state))
        .filter(|(number, _)| *number > 0)
        .map(|(number, state)| format!("{number} {state}"))
        .collect();
    format!("{}: {}", count(machines.len(), "machine"), parts.join(", "))
}
