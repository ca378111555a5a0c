//! Leases on tables. Every function runs inside a transaction that has locked
//! the row of `meta`, so that nobody takes a lease over between check and commit.

use model::{Duration, Timestamp};

use super::database::{Database, Value};
use super::statements::{READ_LEASE, RELEASE_LEASE, RENEW_LEASE, TAKE_LEASE};
use super::{Fence, StoreError, rows};

struct Lease {
    /// Absent when it was given back.
    holder: Option<String>,
    number: u64,
    expires: Timestamp,
}

fn read<D: Database>(database: &mut D, name: &str) -> Result<Option<Lease>, StoreError> {
    let mut lease = None;
    database.query(READ_LEASE, &[Value::Text(name)], &mut |row| {
        lease = Some(Lease {
            holder: row.text_or_null(0)?,
            number: rows::number(row, 1)?,
            expires: Timestamp::from_micros(row.int(2)?),
        });
        Ok(())
    })?;
    Ok(lease)
}

fn number(number: u64) -> Value<'static> {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Refuses a fence that is not the newest of its lease, or was given back.
pub(super) fn check<D: Database>(database: &mut D, fence: &Fence) -> Result<(), StoreError> {
    let lease = read(database, &fence.name)?;
    let newest = lease.as_ref().map_or(0, |lease| lease.number);
    let ours = lease.is_some_and(|lease| {
        lease.number == fence.number && lease.holder.as_deref() == Some(&fence.holder)
    });
    if !ours {
        return Err(StoreError::Fenced { name: fence.name.clone(), ours: fence.number, newest });
    }
    Ok(())
}

/// See [`super::Store::acquire`].
pub(super) fn acquire<D: Database>(
    database: &mut D,
    name: &str,
    holder: &str,
    now: Timestamp,
    ttl: Duration,
) -> Result<Option<Fence>, StoreError> {
    let old = read(database, name)?;
    let taken = old.as_ref().is_some_and(|lease| {
        lease.expires > now && lease.holder.as_deref().is_some_and(|other| other != holder)
    });
    if taken {
        return Ok(None);
    }
    let fence = Fence {
        name: name.to_owned(),
        holder: holder.to_owned(),
        number: old.map_or(0, |lease| lease.number) + 1,
    };
    let expires = Value::Int((now + ttl).micros());
    let values = [Value::Text(name), Value::Text(holder), number(fence.number), expires];
    database.execute(TAKE_LEASE, &values)?;
    Ok(Some(fence))
}

/// See [`super::Store::renew`].
pub(super) fn renew<D: Database>(
    database: &mut D,
    fence: &Fence,
    now: Timestamp,
    ttl: Duration,
) -> Result<bool, StoreError> {
    let expires = Value::Int((now + ttl).micros());
    let (name, holder) = (Value::Text(&fence.name), Value::Text(&fence.holder));
    let renewed = database.execute(RENEW_LEASE, &[expires, name, holder, number(fence.number)])?;
    Ok(renewed == 1)
}

/// See [`super::Store::release`].
pub(super) fn release<D: Database>(database: &mut D, fence: &Fence) -> Result<(), StoreError> {
    let (name, holder) = (Value::Text(&fence.name), Value::Text(&fence.holder));
    database.execute(RELEASE_LEASE, &[name, holder, number(fence.number)]).map(|_| ())
}
