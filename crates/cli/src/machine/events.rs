//! `bedplate machine events`: what happened to machines, and what happens.

use std::collections::BTreeSet;

use clap::Args;
use model::api::{ListEvents, ListMachines, ListOperations};
use model::event::Event;
use model::operation::Operation;

use crate::Failure;
use crate::events::{line, show_events};
use crate::session::Session;

/// Which machine, and whether to wait for more.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate machine events m1\n  bedplate machine events --watch\n  bedplate machine events m1 --watch --output json"
)]
pub struct Arguments {
    /// Which machine; all when absent
    machine: Option<String>,
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
}

/// Shows them.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let Some(name) = &arguments.machine else {
        return all(session, arguments.watch).await;
    };
    let machine = session.client()?.machine(name).await?;
    let (operations, _) = session.client()?.all::<ListOperations, Operation>(&[]).await?;
    let of_machine = operations.into_iter().filter(|it| it.machine == machine.id);
    let mut concerns = Concerns {
        machine: machine.id.to_string(),
        operations: of_machine.map(|it| it.id.to_string()).collect(),
    };
    let mut page = session.list::<ListEvents, Event>(&[]).await?;
    page.items.sort_by_key(|event| event.revision);
    page.items.retain(|event| concerns.takes(event));
    if !arguments.watch {
        return show_events(session, &page);
    }
    let from = page.revision;
    for event in &page.items {
        line(session, event)?;
    }
    let mut watch = session.client()?.watch::<ListEvents>(from, &[]);
    loop {
        let event = watch.next().await?;
        if concerns.takes(&event) {
            line(session, &event)?;
        }
    }
}

/// Of all machines.
async fn all(session: &Session, watch: bool) -> Result<(), Failure> {
    if !watch {
        let mut page = session.list::<ListEvents, Event>(&[]).await?;
        page.items.retain(|event| event.subject == "machine");
        return show_events(session, &page);
    }
    session.say("watching; Ctrl-C ends it")?;
    let from = session.client()?.health().await?.revision;
    let mut watch = session.client()?.watch::<ListMachines>(from, &[]);
    loop {
        line(session, &watch.next().await?)?;
    }
}

/// What concerns a machine: itself, its operations, their steps.
struct Concerns {
    machine: String,
    operations: BTreeSet<String>,
}

impl Concerns {
    fn takes(&mut self, event: &Event) -> bool {
        let field = |name: &str| event.object.as_ref()?.get(name)?.as_str();
        match event.subject.as_str() {
            "machine" => event.id == self.machine,
            "operation" => {
                let ours = field("machine") == Some(self.machine.as_str());
                if ours {
                    self.operations.insert(event.id.clone());
                }
                ours
            }
            "step" => {
                let operation = field("operation").unwrap_or(&event.id);
                self.operations.contains(operation)
            }
            _ => false,
        }
    }
}
