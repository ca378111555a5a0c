//! The store on tables: one implementation for every [`Database`].
//!
//! A writer first locks the one row of `meta`. So writers come one after the
//! other, whatever process they are in, and a fence that was checked stays
//! checked until the commit.

use model::{Duration, Timestamp};

use super::database::{Database, Mode, Value, within};
use super::statements::{
    BEGIN_RECORD, CREATE, DELETE_EVENTS, READ_BASE, READ_EVENTS, READ_META, READ_SCHEMA, SCHEMA,
    SET_KEPT, SET_REVISION,
};
use super::{Fence, Store, StoreError, lease, rows};
use crate::{EventRow, Revision, State, Transaction};

/// Events that one database transaction prunes: short ones, so that commits of
/// the leader fit between.
const PRUNE_AT_ONCE: i64 = 2_000;

/// Where the record stands.
#[derive(Clone, Copy, Debug)]
struct Meta {
    revision: Revision,
    kept: Revision,
}

impl<D: Database> Store for D {
    fn load(&mut self) -> Result<State, StoreError> {
        within(self, Mode::Read, |database| {
            let mut state = State::at(meta(database)?.revision);
            rows::read_rows(database, &mut state)?;
            Ok(state)
        })
    }

    fn commit(
        &mut self,
        fence: Fence,
        first: Revision,
        batch: &[Transaction],
    ) -> Result<(), StoreError> {
        within(self, Mode::Write, |database| {
            let meta = lock(database)?;
            lease::check(database, &fence)?;
            if first != meta.revision + 1 {
                let expected = first.saturating_sub(1);
                return Err(StoreError::Diverged { stored: meta.revision, expected });
            }
            append(database, first, batch)
        })
    }

    fn events(&mut self, after: Revision, limit: u32) -> Result<Vec<EventRow>, StoreError> {
        within(self, Mode::Read, |database| {
            let meta = meta(database)?;
            if after < meta.kept {
                return Err(StoreError::Pruned { kept: meta.kept });
            }
            if after > meta.revision {
                return Err(StoreError::Diverged { stored: meta.revision, expected: after });
            }
            let mut events = Vec::new();
            read_events(database, after, meta.revision, i64::from(limit), &mut |event| {
                events.push(event);
            })?;
            Ok(events)
        })
    }

    fn replay(&mut self) -> Result<State, StoreError> {
        within(self, Mode::Read, |database| {
            let meta = meta(database)?;
            let mut state = State::at(meta.kept);
            database.query(READ_BASE, &[], &mut |row| {
                state.apply_change(&rows::from_json(&rows::text(row, 0)?)?);
                Ok(())
            })?;
            read_events(database, meta.kept, meta.revision, i64::MAX, &mut |event| {
                state.apply_event(event.revision, &event.change);
            })?;
            if state.revision() != meta.revision {
                return Err(gap(state.revision() + 1));
            }
            Ok(state)
        })
    }

    fn prune(&mut self, keep_after: Revision) -> Result<(), StoreError> {
        while within(self, Mode::Write, |database| prune_some(database, keep_after))? {}
        Ok(())
    }

    fn acquire(
        &mut self,
        name: &str,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Option<Fence>, StoreError> {
        within(self, Mode::Write, |database| {
            lock(database)?;
            lease::acquire(database, name, holder, now, ttl)
        })
    }

    fn renew(&mut self, fence: &Fence, now: Timestamp, ttl: Duration) -> Result<bool, StoreError> {
        within(self, Mode::Write, |database| {
            lock(database)?;
            lease::renew(database, fence, now, ttl)
        })
    }

    fn release(&mut self, fence: &Fence) -> Result<(), StoreError> {
        within(self, Mode::Write, |database| {
            lock(database)?;
            lease::release(database, fence)
        })
    }
}

/// Makes the tables of a new record, or refuses one that is newer than we are.
pub(crate) fn set_up<D: Database>(database: &mut D) -> Result<(), StoreError> {
    within(database, Mode::Write, |database| {
        database.lock_setup()?;
        let [meta, others @ ..] = CREATE;
        database.execute(meta, &[])?;
        let mut found = None;
        database.query(READ_SCHEMA, &[], &mut |row| {
            found = Some(rows::number(row, 0)?);
            Ok(())
        })?;
        match found {
            Some(found) if found == u64::from(SCHEMA) => return Ok(()),
            Some(found) if found > u64::from(SCHEMA) => {
                let found = u32::try_from(found).unwrap_or(u32::MAX);
                return Err(StoreError::Schema { found, known: SCHEMA });
            }
            Some(found) => {
                return Err(StoreError::Corrupt(format!("{found} was never a schema version")));
            }
            None => {}
        }
        for table in others {
            database.execute(&table.replace("{revision}", D::REVISION_KEY), &[])?;
        }
        database.execute(BEGIN_RECORD, &[Value::Int(i64::from(SCHEMA))]).map(|_| ())
    })
}

/// Keeps other writers out until the end of the transaction.
fn lock<D: Database>(database: &mut D) -> Result<Meta, StoreError> {
    read_meta(database, &format!("{READ_META}{}", D::LOCK))
}

fn meta<D: Database>(database: &mut D) -> Result<Meta, StoreError> {
    read_meta(database, READ_META)
}

fn read_meta<D: Database>(database: &mut D, sql: &str) -> Result<Meta, StoreError> {
    let mut meta = None;
    database.query(sql, &[], &mut |row| {
        meta = Some(Meta { revision: rows::number(row, 0)?, kept: rows::number(row, 1)? });
        Ok(())
    })?;
    let meta = meta.ok_or_else(|| StoreError::Corrupt("the table meta is empty".to_owned()))?;
    if meta.kept > meta.revision {
        return Err(StoreError::Corrupt(format!("pruned to {} of {}", meta.kept, meta.revision)));
    }
    Ok(meta)
}

fn append<D: Database>(
    database: &mut D,
    first: Revision,
    batch: &[Transaction],
) -> Result<(), StoreError> {
    if let Some(fault) = batch.iter().find_map(Transaction::fault) {
        return Err(StoreError::Refused(fault.to_owned()));
    }
    let changes = || batch.iter().flat_map(|tx| tx.changes.iter().map(move |change| (tx, change)));
    let last = first - 1 + changes().count() as u64;
    if last < first {
        return Ok(());
    }
    let events = (first..).zip(changes()).map(|(revision, (tx, change))| (revision, tx, change));
    rows::write_events(database, events)?;
    rows::write_rows(database, changes().map(|(_, change)| change))?;
    database.execute(SET_REVISION, &[revision(last)])?;
    database.notify(last)
}

fn revision(revision: Revision) -> Value<'static> {
    Value::Int(i64::try_from(revision).unwrap_or(i64::MAX))
}

/// Shows the events after one revision up to another in order, each of them once.
fn read_events<D: Database>(
    database: &mut D,
    after: Revision,
    to: Revision,
    limit: i64,
    each: &mut dyn FnMut(EventRow),
) -> Result<(), StoreError> {
    let mut next = after + 1;
    let values = [revision(after), revision(to), Value::Int(limit)];
    database.query(READ_EVENTS, &values, &mut |row| {
        let event = rows::event(row)?;
        if event.revision != next {
            return Err(gap(next));
        }
        next += 1;
        each(event);
        Ok(())
    })
}

fn gap(missing: Revision) -> StoreError {
    StoreError::Corrupt(format!("event {missing} is missing"))
}

/// Prunes some events, and says whether there are more.
fn prune_some<D: Database>(database: &mut D, keep_after: Revision) -> Result<bool, StoreError> {
    let meta = lock(database)?;
    let to = keep_after.min(meta.revision);
    if to <= meta.kept {
        return Ok(false);
    }
    let mut changes = Vec::new();
    read_events(database, meta.kept, to, PRUNE_AT_ONCE, &mut |event| changes.push(event.change))?;
    if changes.is_empty() {
        return Err(gap(meta.kept + 1));
    }
    let kept = meta.kept + changes.len() as u64;
    rows::write_base(database, &changes)?;
    database.execute(DELETE_EVENTS, &[revision(kept)])?;
    database.execute(SET_KEPT, &[revision(kept)])?;
    Ok(kept < to)
}
