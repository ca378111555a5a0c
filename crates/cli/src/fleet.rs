//! `bedplate fleet`: the fleet at a glance.

use clap::{Args, Subcommand};
use client::Options;
use model::api::GetFleet;
use model::fleet::FleetStatus;

use crate::Failure;
use crate::amounts::sums;
use crate::page::Page;
use crate::session::Session;
use crate::terminal::{Paint, Tone};

/// What is done with the fleet.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// How many machines, hosts and instances there are, and how they are
    Status(Status),
}

/// Nothing to say.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate fleet status\n  bedplate fleet status --output json")]
pub struct Status {}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    let Verb::Status(_) = verb;
    let status = session.call::<GetFleet>(&[], &(), Options::default()).await?;
    let (width, paint) = (session.terminal.width, session.terminal.paint);
    session.show(&status, |status| page(status, width, paint))
}

/// The page.
pub fn page(status: &FleetStatus, width: Option<usize>, paint: Paint) -> String {
    let mut page = Page::new(width, paint);
    page.heading("Machines");
    for (state, count) in &status.machines {
        page.line(state, count.to_string());
    }
    let some = |count: u64| if count == 0 { String::new() } else { count.to_string() };
    page.toned(Tone::Bad, "unhealthy", some(status.unhealthy));
    page.toned(Tone::Warn, "draining", some(status.draining));
    page.toned(Tone::Warn, "locked", some(status.locked));
    page.heading("Hosts");
    page.line("offered", status.hosts.to_string());
    page.line("open", status.open_hosts.to_string());
    page.line("in use", status.hosts_in_use.to_string());
    page.line("have", sums(&status.whole));
    page.line("free", sums(&status.free));
    page.line("states", status.states.to_string());
    page.heading("Instances");
    page.line("placed", status.placed.to_string());
    page.toned(Tone::Warn, "wait for room", some(status.waiting));
    page.toned(Tone::Warn, "to move", some(status.to_move));
    page.finish()
}
