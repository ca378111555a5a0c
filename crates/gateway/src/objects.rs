//! A data directory as a gateway that speaks S3: keys, accounts, the store, the dialect.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use object::store::{Store, Writer};
use object::{Mutation, Refusal, Reply};
use world::clock::{Clock, SystemClock};
use world::files::Directory;

use crate::accounts::{AccessKey, Accounts};
use crate::admin::Metrics;
use crate::administer::Administer;
use crate::metrics::{gauge, total};
use crate::quotas::Quotas;
use crate::run::Parts;
use crate::s3::{Gate, S3, Settings};
use crate::scrub::Scrub;
use crate::sealing::KeyProvider;
use crate::serve::{Opened, ServeError};
use crate::writer::Applies;

/// The store's writing end, with a clock, and what reads it over.
struct Writes {
    writer: Writer<Directory>,
    clock: Arc<dyn Clock>,
    scrub: Option<Scrub>,
}

/// How a data directory is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opening<'a> {
    /// The length of a day for rules by age, in seconds, when it is another.
    pub day_seconds: Option<u64>,
    /// A file of access keys in plain JSON that are taken over.
    pub access_keys: Option<&'a Path>,
    /// Bytes in a second that are compared with their checksums; 0: none.
    pub scrub: u64,
}

/// Between two looks at what else is to be done, at least and at most.
const OFTEN: i64 = 1_000;
const SELDOM: i64 = 60_000_000;

impl Applies for Writes {
    fn apply(&mut self, batch: Vec<Mutation>) -> Vec<Result<Reply, Refusal>> {
        self.writer.apply(batch, self.clock.now())
    }
    fn tick(&mut self) -> Duration {
        let next = self.writer.tick(self.clock.now());
        Duration::from_micros(pause(self.clock.now(), next))
    }
    fn dead(&self) -> Option<String> {
        self.writer.dead().map(str::to_owned)
    }
    fn close(&mut self) {
        drop(self.scrub.take());
        if let Err(error) = self.writer.close() {
            tracing::error!(%error, "the index could not be written down; the log has everything");
        }
    }
}

fn pause(now: Timestamp, next: Timestamp) -> u64 {
    next.micros().saturating_sub(now.micros()).clamp(OFTEN, SELDOM).unsigned_abs()
}

/// Opens a data directory. The second value is the first access key, when there was none:
/// it is shown once.
///
/// # Errors
/// When its keys, its accounts or its store cannot be opened.
pub fn open(
    data: &Path,
    settings: Settings,
    opening: Opening<'_>,
) -> Result<(Opened, Option<AccessKey>), ServeError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let keys = KeyProvider::open(data).map_err(|error| wrong("the keys", error.to_string()))?;
    let keys = Arc::new(keys);
    let (accounts, first) = accounts(data, &keys, opening.access_keys)?;
    let place = data.join("objects");
    let files = Directory::new(&place).map_err(|error| wrong("the store", error.to_string()))?;
    let (store, writer, found) = Store::open(files, engine(opening.day_seconds))
        .map_err(|error| wrong("the store", error.to_string()))?;
    tracing::info!(?found, "the store is open");
    let store = Arc::new(store);
    let scrub = (opening.scrub > 0).then(|| Scrub::start(&store, opening.scrub)).transpose();
    let scrub = scrub.map_err(|error| wrong("the reading over", error.to_string()))?;
    let quotas = Quotas::open(data, writer.projects(), Arc::clone(&accounts))
        .map_err(|error| wrong("the quotas", error.to_string()))?;
    let administer = Administer {
        store: Arc::clone(&store),
        accounts: Arc::clone(&accounts),
        quotas,
        clock: Arc::clone(&clock),
    };
    let gate =
        Gate { store: Arc::clone(&store), accounts, keys, clock: Arc::clone(&clock), settings };
    let parts = Parts {
        service: Arc::new(S3::new(gate)),
        store: Box::new(Writes { writer, clock: Arc::clone(&clock), scrub }),
        clock,
    };
    Ok((Opened { parts, metrics: metrics(store), administer: Some(administer) }, first))
}

fn wrong(what: &str, error: String) -> ServeError {
    ServeError::Open(format!("{what}: {error}"))
}

/// Who may sign, with those of a file of plain JSON; and the first key, when there was none.
fn accounts(
    data: &Path,
    keys: &Arc<KeyProvider>,
    added: Option<&Path>,
) -> Result<(Arc<Accounts>, Option<AccessKey>), ServeError> {
    let (accounts, first) = Accounts::open(data, Arc::clone(keys))
        .map_err(|error| wrong("the accounts", error.to_string()))?;
    if let Some(path) = added {
        let text = std::fs::read_to_string(path)
            .map_err(|error| wrong("the file of access keys", error.to_string()))?;
        let keys =
            Accounts::parse(&text).map_err(|error| wrong("the file of access keys", error))?;
        accounts.import(keys).map_err(|error| wrong("the accounts", error.to_string()))?;
    }
    Ok((Arc::new(accounts), first))
}

/// Settings of the store. A day of another length is for tests of rules by age, which
/// look often then.
fn engine(day_seconds: Option<u64>) -> object::store::Settings {
    let usual = object::store::Settings::default();
    match day_seconds {
        None => usual,
        Some(seconds) => {
            let (day_seconds, sweep_micros) = (seconds.max(1), 1_000_000);
            object::store::Settings { day_seconds, sweep_micros, ..usual }
        }
    }
}

/// What the store says about itself.
fn metrics(store: Arc<Store<Directory>>) -> Metrics {
    Arc::new(move |into: &mut String| {
        let report = store.report();
        gauge(into, "log_bytes", "Bytes of the log.", report.log_bytes);
        gauge(into, "log_live_bytes", "Of these, those that count.", report.log_live_bytes);
        gauge(into, "body_live_bytes", "Bytes of large bodies.", report.data_live_bytes);
        gauge(into, "free_bytes", "Bytes that the file system has left.", report.free_bytes);
        gauge(into, "readers_waited_for", "Extents that are still read.", report.waiting);
        gauge(into, "damaged", "Things found damaged.", report.damaged.len() as u64);
        gauge(into, "refuses_changes", "1: restart it.", u64::from(report.dead.is_some()));
        total(into, "changes_total", "Changes made.", report.changes);
        total(into, "batches_total", "Batches that changes came in.", report.batches);
        total(into, "syncs_total", "Syncs of files.", report.syncs);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_neither_spins_nor_sleeps_for_ever() {
        let at = Timestamp::from_micros;
        assert_eq!(pause(at(5_000_000), at(0)), 1_000);
        assert_eq!(pause(at(0), at(5_000_000)), 5_000_000);
        assert_eq!(pause(at(0), at(i64::MAX)), 60_000_000);
    }
}
