//! `bedplate machine discover`: look for BMCs at addresses.

use clap::Args;
use model::api::{Discover, DiscoverMachines, Discovered};

use crate::Failure;
use crate::human::count;
use crate::session::{Session, rehearsal};
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// Where to look.
#[derive(Args, Debug)]
#[command(
    after_help = "No password is sent: only what a BMC tells everybody is read.\n\nExamples:\n  bedplate machine discover 10.0.0.0/28\n  bedplate machine discover 10.0.0.10-40 https://bmc7.example:8443"
)]
pub struct Arguments {
    /// A host, https://host[:port], or an IPv4 range: 10.0.0.10-40, 10.0.0.0/28
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// Show also those that did not answer
    #[arg(long)]
    all: bool,
    /// Look, and keep nothing of it
    #[arg(long)]
    dry_run: bool,
}

/// Looks and shows.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let request = Discover { addresses: arguments.addresses };
    if session.terminal.live {
        session.say("looking; addresses where nobody answers take a few seconds each")?;
    }
    let options = rehearsal(arguments.dry_run);
    let discovered = session.call::<DiscoverMachines>(&[], &request, options).await?;
    session.show(&discovered, |discovered| text(session, discovered, arguments.all))
}

fn text(session: &Session, discovered: &Discovered, all: bool) -> String {
    let columns = [keep("ADDRESS", 20), keep("FOUND", 8), spare("MACHINE", 1, 10)];
    let mut table = Table::new(&columns);
    for machine in &discovered.found {
        let address = machine.status.seen_at.as_deref().unwrap_or_default();
        table.row(vec![address.into(), cell(Tone::Good, "new"), (&machine.name).into()]);
    }
    for address in &discovered.known {
        table.row(vec![address.into(), cell(Tone::Dim, "known"), "".into()]);
    }
    for (address, why) in discovered.silent.iter().filter(|_| all) {
        table.row(vec![address.into(), cell(Tone::Dim, why), "".into()]);
    }
    let mut text = match table.is_empty() {
        true => String::new(),
        false => table.render(session.terminal.width, session.terminal.paint),
    };
    text.push_str(&format!(
        "{} new, {} known, {} silent\n",
        discovered.found.len(),
        discovered.known.len(),
        count(discovered.silent.len(), "address").replace("addresss", "addresses"),
    ));
    if let Some(machine) = discovered.found.first() {
        let address = machine.status.seen_at.as_deref().unwrap_or("URL");
        text.push_str(&format!(
            "next: bedplate machine enroll {} --bmc {address} --username USER\n",
            machine.name
        ));
    }
    text
}
