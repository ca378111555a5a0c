//! Verbs on machines. Each verb is a file.

pub mod certificate;
pub mod console;
pub mod deploy;
pub mod discover;
pub mod enroll;
pub mod events;
pub mod hold;
pub mod list;
pub mod power;
pub mod quarantine;
pub mod recover;
pub mod release;
pub mod remove;
pub mod set_aside;
pub mod show;
pub mod timeline;
pub mod update;
pub mod words;

use clap::Subcommand;
use model::machine::Machine;

use crate::Failure;
use crate::session::Session;

/// What is done with machines.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Look for BMCs at addresses
    Discover(discover::Arguments),
    /// Take a machine in: from its BMC's address to available
    Enroll(enroll::Arguments),
    /// List machines; first those that need attention
    List(list::Arguments),
    /// Show everything that is known of a machine
    Show(show::Arguments),
    /// Change labels, rack and policy
    Update(update::Arguments),
    /// Remove a machine that is retired or was only discovered
    Remove(remove::Arguments),
    /// Switch on or off, or restart
    Power(power::Arguments),
    /// Install an image on an available machine
    Deploy(deploy::Arguments),
    /// Take a machine back: sanitise its disks and make it available
    Release(release::Arguments),
    /// Put a machine out of service, with a reason
    Quarantine(quarantine::Arguments),
    /// Hand a resting machine to a person, or take note that it left
    SetAside(set_aside::Arguments),
    /// Empty a machine: no new instances, and those that it has are moved
    Drain(hold::Drain),
    /// Let a drained machine take instances again
    Undrain(hold::Undrain),
    /// Keep everything automatic off a machine
    Lock(hold::Lock),
    /// Give a locked machine back
    Unlock(hold::Unlock),
    /// Bring a quarantined or maintained machine back, sanitised and proven
    Recover(recover::Arguments),
    /// Where the seconds of a machine's life went
    Timeline(timeline::Arguments),
    /// The serial console
    Console(console::Arguments),
    /// The signed certificate of the last sanitising
    Certificate(certificate::Arguments),
    /// What happened to machines, and what happens
    Events(events::Arguments),
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Discover(arguments) => discover::run(session, arguments).await,
        Verb::Enroll(arguments) => enroll::run(session, arguments).await,
        Verb::List(arguments) => list::run(session, arguments).await,
        Verb::Show(arguments) => show::run(session, arguments).await,
        Verb::Update(arguments) => update::run(session, arguments).await,
        Verb::Remove(arguments) => remove::run(session, arguments).await,
        Verb::Power(arguments) => power::run(session, arguments).await,
        Verb::Deploy(arguments) => deploy::run(session, arguments).await,
        Verb::Release(arguments) => release::run(session, arguments).await,
        Verb::Quarantine(arguments) => quarantine::run(session, arguments).await,
        Verb::SetAside(arguments) => set_aside::run(session, arguments).await,
        Verb::Drain(arguments) => hold::drain(session, arguments).await,
        Verb::Undrain(arguments) => hold::undrain(session, arguments).await,
        Verb::Lock(arguments) => hold::lock(session, arguments).await,
        Verb::Unlock(arguments) => hold::unlock(session, arguments).await,
        Verb::Recover(arguments) => recover::run(session, arguments).await,
        Verb::Timeline(arguments) => timeline::run(session, arguments).await,
        Verb::Console(arguments) => console::run(session, arguments).await,
        Verb::Certificate(arguments) => certificate::run(session, arguments).await,
        Verb::Events(arguments) => events::run(session, arguments).await,
    }
}

/// Shows a machine after a short change: its JSON, or one line.
fn changed(session: &Session, machine: &Machine, dry_run: bool, what: &str) -> Result<(), Failure> {
    let would = if dry_run { "would be " } else { "" };
    session.show(machine, |machine| format!("{} {would}{what}\n", machine.name))
}

/// Labels of a command line: `key=value` each.
pub fn labels(given: &[String]) -> Result<std::collections::BTreeMap<String, String>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Failure::usage(format!("the label `{text}` is not key=value"))),
    };
    given.iter().map(pair).collect()
}
