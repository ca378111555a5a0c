//! The peer: a plain loop that commits each create by itself, with the same rows and the same
//! full sync, and nothing around it: no network, no checks, no decision.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::Timestamp;
use record::store::sqlite::Sqlite;
use record::{Change, Fence, Store, Transaction};

/// Events read at once.
const EVENTS: u32 = 10_000;
/// Creates that are written again and again, with new keys each time.
const CREATES: usize = 2_000;

/// A record of its own.
pub struct Loop {
    store: Sqlite,
    fence: Fence,
    next: u64,
    creates: Vec<Transaction>,
    round: u64,
}

impl Loop {
    /// With the creates that another record has.
    pub fn of(directory: &Path, path: &Path) -> Result<Self> {
        let creates = creates(&mut Sqlite::open(directory.join("record.db"))?)?;
        ensure!(!creates.is_empty(), "the record has no creates");
        let mut store = Sqlite::open(path)?;
        let (now, ttl) = (Timestamp::from_micros(0), model::Duration::from_secs(10));
        let fence = store.acquire("leader", "loop", now, ttl)?.context("nobody else writes")?;
        Ok(Self { store, fence, next: 1, creates, round: 0 })
    }

    /// Commits for so many seconds: how many a second.
    pub fn run(&mut self, seconds: f64) -> Result<f64> {
        let (began, length) = (Instant::now(), Duration::from_secs_f64(seconds));
        let mut count = 0_u64;
        while began.elapsed() < length {
            let at = count as usize % self.creates.len();
            if at == 0 {
                // Rows are new ones each time, as those of creates are.
                self.round += 1;
                let round = self.round;
                self.creates.iter_mut().for_each(|create| renew(create, round));
            }
            let create = &self.creates[at];
            self.store.commit(self.fence.clone(), self.next, std::slice::from_ref(create))?;
            self.next += create.changes.len() as u64;
            count += 1;
        }
        Ok(count as f64 / began.elapsed().as_secs_f64())
    }
}

/// The creates of instances in a record, each with all its changes.
fn creates(store: &mut Sqlite) -> Result<Vec<Transaction>> {
    let mut found: BTreeMap<String, Transaction> = BTreeMap::new();
    let mut after = 0;
    loop {
        let rows = store.events(after, EVENTS)?;
        let Some(last) = rows.last() else { break };
        after = last.revision;
        for row in rows {
            let Some(request) = row.request else { continue };
            let (at, actor) = (row.at, row.actor);
            let one = found.entry(request.clone()).or_insert_with(|| Transaction {
                at,
                actor,
                request: Some(request),
                changes: Vec::new(),
            });
            one.changes.push(row.change);
        }
    }
    let makes = |it: &Transaction| {
        it.changes.iter().any(|it| matches!(it, Change::Object(row) if row.kind == "instance"))
    };
    Ok(found.into_values().filter(makes).take(CREATES).collect())
}

/// Other ids and keys, of the same length and in the same order.
fn renew(create: &mut Transaction, round: u64) {
    for change in &mut create.changes {
        match change {
            Change::Object(row) => {
                let (high, low) = row.id.as_u64_pair();
                // The time of a UUIDv7 goes on, in its upper 48 bits.
                row.id = uuid::Uuid::from_u64_pair(high + (round << 34), low);
            }
            Change::Idempotent(row) => {
                let cut = row.key.len().saturating_sub(8);
                row.key.truncate(cut);
                row.key += &format!("{round:08}");
            }
            _ => {}
        }
    }
}
