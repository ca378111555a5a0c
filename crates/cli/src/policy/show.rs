//! `bedplate policy show`: a policy with the events that it expects.

use clap::Args;
use client::Options;
use model::Timestamp;
use model::api::GetPolicy;
use model::attestation::Policy;

use crate::Failure;
use crate::human::{clean, cut, moment};
use crate::page::Page;
use crate::session::Session;
use crate::terminal::Paint;

/// Which policy.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate policy show default\n  bedplate policy show default --output json"
)]
pub struct Arguments {
    /// Which policy
    policy: String,
}

/// Asks and shows.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let path = [arguments.policy.as_str()];
    let policy = session.call::<GetPolicy>(&path, &(), Options::default()).await?;
    let (width, paint, now) = (session.terminal.width, session.terminal.paint, session.now());
    session.show(&policy, |policy| page(policy, now, width, paint))
}

fn page(policy: &Policy, now: Timestamp, width: Option<usize>, paint: Paint) -> String {
    let mut page = Page::new(width, paint);
    page.heading(&format!("Policy {}", policy.name));
    page.line("mode", super::mode(policy.spec.mode));
    page.line("generation", policy.generation.to_string());
    if let Some(machine) = policy.status.learnt_from {
        page.line("learnt from", machine.to_string());
    }
    if let Some(at) = policy.status.learnt_at {
        page.line("learnt", moment(now, at));
    }
    page.line(
        "roots",
        match policy.spec.endorsement_roots.len() {
            0 => "any TPM whose key proves itself".to_owned(),
            number => format!("{number}; a TPM's certificate must chain to one"),
        },
    );
    let room = page.room();
    for (pcr, events) in &policy.spec.pcrs {
        page.heading(&format!("PCR {pcr}"));
        for event in events {
            let digest: String = event.digest.chars().take(16).collect();
            let text = format!("{digest:<16}  {}: {}", event.kind, event.what);
            page.block(&cut(&clean(&text), room));
        }
    }
    page.finish()
}
