//! `bedplate host`: machines that take instances.

use clap::{Args, Subcommand};
use model::api::{ListHosts, OfferHost, Page, WithdrawHost};
use model::fleet::{Host, HostSpec};
use model::{Bytes, Resources, Timestamp};

use crate::Failure;
use crate::amounts::{Amounts, millicores};
use crate::human::ago;
use crate::session::{Session, rehearsal};
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// What is done with hosts.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List hosts
    List(List),
    /// Offer an active machine to instances, or change the offer while it has none
    Offer(Box<Offer>),
    /// Take the offer back; the machine must have no instances
    Withdraw(Withdraw),
}

/// Which hosts.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate host list --label zone=a")]
pub struct List {
    /// Only those with this label, key=value; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
}

/// Which machine, and what of it.
#[derive(Args, Debug)]
#[command(
    after_help = "Without amounts the machine's parts count, as one memory node. Rack and labels are the machine's, as they are now.\n\nExamples:\n  bedplate host offer m1 --reserve-cores 1 --reserve-memory 4GiB\n  bedplate host offer m1 --cores 32 --memory 128GiB --nodes 2 --power feed-a --switch tor-7"
)]
pub struct Offer {
    /// Which machine
    machine: String,
    /// What one memory node has, when the machine's parts are not to count
    #[command(flatten)]
    amounts: Amounts,
    /// Memory nodes that have as much each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    nodes: u8,
    /// Cores that the host keeps for itself
    #[arg(long, value_name = "CORES", value_parser = millicores, default_value = "1")]
    reserve_cores: u32,
    /// Memory that the host keeps for itself
    #[arg(long, value_name = "SIZE", default_value = "2GiB")]
    reserve_memory: Bytes,
    /// Cores that are given out, in percent of those that there are
    #[arg(long, default_value_t = 100)]
    cores_percent: u32,
    /// The switch that it hangs on
    #[arg(long)]
    switch: Option<String>,
    /// The power feed that it hangs on
    #[arg(long)]
    power: Option<String>,
    /// The wave of updates that it belongs to
    #[arg(long)]
    wave: Option<String>,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Which machine.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate host withdraw m1")]
pub struct Withdraw {
    /// Which machine
    machine: String,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(arguments) => list(session, arguments).await,
        Verb::Offer(arguments) => offer(session, *arguments).await,
        Verb::Withdraw(arguments) => {
            let (path, options) = ([arguments.machine.as_str()], rehearsal(arguments.dry_run));
            let host = session.call::<WithdrawHost>(&path, &(), options).await?;
            let would = if arguments.dry_run { "would take" } else { "takes" };
            session.show(&host, |host| format!("{} {would} no instances any more\n", host.name))
        }
    }
}

async fn list(session: &Session, arguments: List) -> Result<(), Failure> {
    let page = session.list::<ListHosts, Host>(&arguments.labels).await?;
    let empty = "no hosts; offer an active machine: bedplate host offer MACHINE";
    let now = session.now();
    session.show_list(&page, |page| table(page, now), empty)
}

fn table(page: &Page<Host>, now: Timestamp) -> Table {
    let columns = [
        keep("NAME", 8),
        keep("HAS", 20),
        spare("NODES", 2, 2),
        spare("RACK", 1, 4),
        spare("SWITCH", 3, 4),
        spare("POWER", 3, 4),
        spare("WAVE", 4, 4),
        spare("SINCE", 5, 8),
    ];
    let mut table = Table::new(&columns);
    for host in &page.items {
        let room = &host.status.room;
        let whole = room.iter().fold(Resources::default(), |sum, node| sum.plus(node));
        let name = |name: &Option<String>| name.clone().unwrap_or_default();
        table.row(vec![
            cell(Tone::Bold, &host.name),
            whole.to_string().into(),
            room.len().to_string().into(),
            name(&host.status.rack).into(),
            name(&host.spec.switch).into(),
            name(&host.spec.power).into(),
            name(&host.spec.wave).into(),
            cell(Tone::Dim, ago(now, host.created)),
        ]);
    }
    table
}

async fn offer(session: &Session, arguments: Offer) -> Result<(), Failure> {
    let node = arguments.amounts.resources();
    let nodes = if node.is_none() { 0 } else { usize::from(arguments.nodes) };
    let memory = u32::try_from(arguments.reserve_memory.0 >> 20).unwrap_or(u32::MAX);
    let reserve = Resources {
        millicores: arguments.reserve_cores,
        memory_mib: memory,
        ..Resources::default()
    };
    let spec = HostSpec {
        nodes: vec![node; nodes],
        reserve,
        cores_percent: arguments.cores_percent,
        switch: arguments.switch,
        power: arguments.power,
        wave: arguments.wave,
    };
    let (path, options) = ([arguments.machine.as_str()], rehearsal(arguments.dry_run));
    let host = session.call::<OfferHost>(&path, &spec, options).await?;
    let would = if arguments.dry_run { "would take" } else { "takes" };
    session.show(&host, |host| {
        let whole = host.status.room.iter().fold(Resources::default(), |sum, it| sum.plus(it));
        format!("{} {would} instances: {whole}\n", host.name)
    })
}
