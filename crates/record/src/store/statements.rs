//! The tables and the statements, written once for SQLite and PostgreSQL.
//!
//! `meta` is one row that every writer locks first. `events` is the record, and
//! the five tables of rows are its projection. `base` holds, for the events that
//! were pruned, the last change of each row that was there at the time.

use std::fmt::Write;

/// The version of the tables below. A record with a newer one is refused.
pub(crate) const SCHEMA: u32 = 1;

/// Rows of one statement, most first. Few sizes, so that all of them stay
/// prepared; many rows a statement, for each one is a round trip to a server.
pub(crate) const CHUNKS: [usize; 4] = [64, 16, 4, 1];

/// Makes all tables. `{revision}` is the type of the key of the events.
pub(crate) const CREATE: [&str; 9] = [
    "CREATE TABLE IF NOT EXISTS meta (one BIGINT PRIMARY KEY, schema_version BIGINT NOT NULL, \
     revision BIGINT NOT NULL, kept BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS events (revision {revision}, at BIGINT NOT NULL, \
     actor TEXT NOT NULL, request TEXT, change TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS objects (kind TEXT NOT NULL, id TEXT NOT NULL, \
     name TEXT NOT NULL, generation BIGINT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id))",
    "CREATE TABLE IF NOT EXISTS operations (id TEXT PRIMARY KEY, kind TEXT NOT NULL, \
     target TEXT NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS steps (operation TEXT NOT NULL, number BIGINT NOT NULL, \
     body TEXT NOT NULL, PRIMARY KEY (operation, number))",
    "CREATE TABLE IF NOT EXISTS outbox (id TEXT PRIMARY KEY, target TEXT NOT NULL, \
     sequence BIGINT NOT NULL, body TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS idempotency (key TEXT PRIMARY KEY, digest TEXT NOT NULL, \
     reply TEXT NOT NULL, expires BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS leases (name TEXT PRIMARY KEY, holder TEXT, \
     number BIGINT NOT NULL, expires BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS base (key TEXT PRIMARY KEY, change TEXT NOT NULL)",
];

/// The schema version that a record has.
pub(crate) const READ_SCHEMA: &str = "SELECT schema_version FROM meta WHERE one = 1";
/// The one row of `meta` in a new record.
pub(crate) const BEGIN_RECORD: &str =
    "INSERT INTO meta (one, schema_version, revision, kept) VALUES (1, $1, 0, 0)";
/// Where the record stands. A writer adds the lock of its database.
pub(crate) const READ_META: &str = "SELECT revision, kept FROM meta WHERE one = 1";
/// The last revision.
pub(crate) const SET_REVISION: &str = "UPDATE meta SET revision = $1 WHERE one = 1";
/// The revision up to which events are pruned.
pub(crate) const SET_KEPT: &str = "UPDATE meta SET kept = $1 WHERE one = 1";

/// Events after a revision, up to a revision, at most so many.
pub(crate) const READ_EVENTS: &str = "SELECT revision, at, actor, request, change FROM events \
     WHERE revision > $1 AND revision <= $2 ORDER BY revision LIMIT $3";
/// Forgets events.
pub(crate) const DELETE_EVENTS: &str = "DELETE FROM events WHERE revision <= $1";
/// What pruned events left.
pub(crate) const READ_BASE: &str = "SELECT change FROM base";

/// A lease.
pub(crate) const READ_LEASE: &str = "SELECT holder, number, expires FROM leases WHERE name = $1";
/// A lease is taken.
pub(crate) const TAKE_LEASE: &str = "INSERT INTO leases (name, holder, number, expires) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, \
     number = excluded.number, expires = excluded.expires";
/// A lease is extended.
pub(crate) const RENEW_LEASE: &str =
    "UPDATE leases SET expires = $1 WHERE name = $2 AND holder = $3 AND number = $4";
/// A lease is given back. Its row stays, for its number must never be used again.
pub(crate) const RELEASE_LEASE: &str =
    "UPDATE leases SET holder = NULL WHERE name = $1 AND holder = $2 AND number = $3";

/// The column of the steps that is a key and a number.
const NUMBER: &str = "number";

/// A table and its columns, keys first.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [&'static str],
    /// How many of the columns are the primary key.
    pub(crate) keys: usize,
}

pub(crate) const EVENTS: Table =
    Table { name: "events", columns: &["revision", "at", "actor", "request", "change"], keys: 1 };
pub(crate) const OBJECTS: Table =
    Table { name: "objects", columns: &["kind", "id", "name", "generation", "body"], keys: 2 };
pub(crate) const OPERATIONS: Table =
    Table { name: "operations", columns: &["id", "kind", "target", "state", "body"], keys: 1 };
pub(crate) const STEPS: Table =
    Table { name: "steps", columns: &["operation", "number", "body"], keys: 2 };
pub(crate) const OUTBOX: Table =
    Table { name: "outbox", columns: &["id", "target", "sequence", "body"], keys: 1 };
pub(crate) const IDEMPOTENCY: Table =
    Table { name: "idempotency", columns: &["key", "digest", "reply", "expires"], keys: 1 };
pub(crate) const BASE: Table = Table { name: "base", columns: &["key", "change"], keys: 1 };

impl Table {
    /// Reads every row.
    pub(crate) fn select(&self) -> String {
        format!("SELECT {} FROM {}", self.columns.join(", "), self.name)
    }

    /// Inserts so many rows.
    pub(crate) fn insert(&self, rows: usize) -> String {
        let columns = self.columns.join(", ");
        let values = placeholders(rows, self.columns.len());
        format!("INSERT INTO {} ({columns}) VALUES {values}", self.name)
    }

    /// Inserts so many rows, or replaces those whose keys are already there. No
    /// key may come twice in one statement.
    pub(crate) fn put(&self, rows: usize) -> String {
        let (keys, others) = self.columns.split_at(self.keys);
        let mut set = String::new();
        for column in others {
            let comma = if set.is_empty() { "" } else { ", " };
            let _ = write!(set, "{comma}{column} = excluded.{column}");
        }
        let keys = keys.join(", ");
        format!("{} ON CONFLICT ({keys}) DO UPDATE SET {set}", self.insert(rows))
    }

    /// Deletes so many rows by their keys.
    pub(crate) fn delete(&self, rows: usize) -> String {
        let keys = &self.columns[..self.keys];
        let values = placeholders_as(rows, keys.len(), |column| keys[column] == NUMBER);
        format!("DELETE FROM {} WHERE ({}) IN (VALUES {values})", self.name, keys.join(", "))
    }
}

/// `($1, $2), ($3, $4)` for two rows of two.
fn placeholders(rows: usize, columns: usize) -> String {
    placeholders_as(rows, columns, |_| false)
}

/// The same, where some columns say that they are numbers: what stands in `VALUES` without a
/// table to go into is text to PostgreSQL.
fn placeholders_as(rows: usize, columns: usize, number: impl Fn(usize) -> bool) -> String {
    assert!(rows > 0 && columns > 0, "a statement without values");
    let mut text = String::new();
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            let place = row * columns + column + 1;
            let comma = if column == 0 { "" } else { ", " };
            let _ = match number(column) {
                true => write!(text, "{comma}CAST(${place} AS BIGINT)"),
                false => write!(text, "{comma}${place}"),
            };
        }
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_read_as_they_should() {
        assert_eq!(
            STEPS.put(2),
            "INSERT INTO steps (operation, number, body) VALUES ($1, $2, $3), ($4, $5, $6) \
             ON CONFLICT (operation, number) DO UPDATE SET body = excluded.body"
        );
        assert_eq!(
            OBJECTS.delete(2),
            "DELETE FROM objects WHERE (kind, id) IN (VALUES ($1, $2), ($3, $4))"
        );
        assert_eq!(
            STEPS.delete(2),
            "DELETE FROM steps WHERE (operation, number) IN \
             (VALUES ($1, CAST($2 AS BIGINT)), ($3, CAST($4 AS BIGINT)))"
        );
        assert_eq!(OUTBOX.delete(2), "DELETE FROM outbox WHERE (id) IN (VALUES ($1), ($2))");
        assert_eq!(BASE.select(), "SELECT key, change FROM base");
    }
}
