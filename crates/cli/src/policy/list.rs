//! `bedplate policy list`: attestation policies.

use clap::Args;
use model::Timestamp;
use model::api::{ListPolicies, Page};
use model::attestation::{Policy, PolicyMode};

use crate::Failure;
use crate::human::ago;
use crate::session::Session;
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// Nothing to say.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate policy list")]
pub struct Arguments {}

/// Lists them.
pub async fn run(session: &Session, _: Arguments) -> Result<(), Failure> {
    let page = session.list::<ListPolicies, Policy>(&[]).await?;
    let now = session.now();
    let empty = "no policies yet: every genuine TPM is let in. Learn one: bedplate policy learn default --machine NAME";
    session.show_list(&page, |page| table(page, now), empty)
}

fn table(page: &Page<Policy>, now: Timestamp) -> Table {
    let columns = [
        keep("NAME", 8),
        keep("MODE", 7),
        spare("PCRS", 1, 6),
        spare("EVENTS", 3, 6),
        spare("ROOTS", 4, 5),
        spare("LEARNT", 2, 8),
    ];
    let mut table = Table::new(&columns);
    for policy in &page.items {
        let pcrs: Vec<String> = policy.spec.pcrs.keys().map(u8::to_string).collect();
        let events: usize = policy.spec.pcrs.values().map(Vec::len).sum();
        let learnt = policy.status.learnt_at.map_or_else(String::new, |at| ago(now, at));
        let tone = match policy.spec.mode {
            PolicyMode::Enforce => Tone::Good,
            PolicyMode::Learn => Tone::Warn,
        };
        table.row(vec![
            cell(Tone::Bold, &policy.name),
            cell(tone, super::mode(policy.spec.mode)),
            pcrs.join(" ").into(),
            events.to_string().into(),
            policy.spec.endorsement_roots.len().to_string().into(),
            cell(Tone::Dim, learnt),
        ]);
    }
    table
}
