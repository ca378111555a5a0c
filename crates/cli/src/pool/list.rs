//! `bedplate pool list`: pools, and how full they are.

use clap::Args;
use model::volume::{DiskOrder, Pool};

use crate::Failure;
use crate::human::by_number;
use crate::session::Session;
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;
use crate::volume::{service, words};

/// Nothing to say.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate pool list")]
pub struct Arguments {}

/// Asks and lists.
pub async fn run(session: &Session, _: Arguments) -> Result<(), Failure> {
    let mut pools: Vec<Pool> = service::order(session, DiskOrder::PoolList).await?;
    pools.sort_by(|a, b| by_number(&a.name, &b.name));
    if session.json {
        return session.print_json(&pools);
    }
    if pools.is_empty() {
        return session
            .say("no pools yet; make one: bedplate pool create NAME --file PATH --size 20G");
    }
    let mut table = Table::new(&[
        keep("NAME", 8),
        keep("SIZE", 8),
        keep("FREE", 8),
        spare("VOLUMES", 2, 3),
        spare("STATE", 1, 6),
        spare("LIES ON", 3, 10),
    ]);
    for pool in &pools {
        let (tone, state) = state(pool);
        table.row(vec![
            cell(Tone::Bold, &pool.name),
            pool.size.to_string().into(),
            pool.free.to_string().into(),
            pool.volumes.to_string().into(),
            cell(tone, state),
            cell(Tone::Dim, words::medium(&pool.medium)),
        ]);
    }
    session.print(&table.render(session.terminal.width, session.terminal.paint))
}

/// Whether it is well, in a word or two.
pub fn state(pool: &Pool) -> (Tone, String) {
    match (&pool.frozen, pool.damaged) {
        (Some(_), _) => (Tone::Bad, "frozen".to_owned()),
        (None, 0) => (Tone::Good, "well".to_owned()),
        (None, damaged) => (Tone::Bad, format!("{damaged} damaged")),
    }
}
