//! What a store on tables needs of a database: the seam under which SQLite and
//! PostgreSQL differ. Everything above it is written once, for both.

use model::Duration;

use super::StoreError;
use crate::Revision;

/// How long to wait for another writer before giving up as busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What a database transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Reads, all at one moment.
    Read,
    /// Reads and writes.
    Write,
}

/// A parameter of a statement. All our columns are whole numbers or text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A whole number.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// Nothing.
    Null,
}

/// A row of an answer. Columns count from 0.
pub trait Row {
    /// A column that holds a whole number.
    fn int(&self, column: usize) -> Result<i64, StoreError>;
    /// A column that holds text or nothing.
    fn text_or_null(&self, column: usize) -> Result<Option<String>, StoreError>;
}

/// A connection. At most one database transaction is open at a time. Statements
/// number their parameters `$1`, `$2` … in the order in which they appear, which
/// both databases understand.
pub trait Database: Send {
    /// The column type of a revision that is a primary key.
    const REVISION_KEY: &'static str;
    /// Ends the select that keeps other writers out until the end of the
    /// transaction.
    const LOCK: &'static str;

    /// Begins a database transaction.
    fn begin(&mut self, mode: Mode) -> Result<(), StoreError>;
    /// Ends it: durable when this gives `Ok`.
    fn commit(&mut self) -> Result<(), StoreError>;
    /// Ends it without an effect. Cannot fail in a way that matters: what is not
    /// committed is forgotten with the connection.
    fn rollback(&mut self);
    /// Refuses everything from now on, until the store is opened again.
    fn poison(&mut self);
    /// Runs a statement and gives the number of rows that it changed.
    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreError>;
    /// Runs a query and shows each row to `each`, one at a time.
    fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;
    /// Keeps other processes from setting the tables up at the same time.
    fn lock_setup(&mut self) -> Result<(), StoreError>;
    /// Tells followers about a new revision, once the transaction is durable.
    fn notify(&mut self, revision: Revision) -> Result<(), StoreError>;
}

/// Runs `work` in a database transaction: durable when this gives `Ok`.
pub(crate) fn within<D: Database, T>(
    database: &mut D,
    mode: Mode,
    work: impl FnOnce(&mut D) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    database.begin(mode)?;
    let outcome = match work(database) {
        Ok(done) => database.commit().map(|()| done),
        Err(error) => Err(error),
    };
    if let Err(error) = &outcome {
        database.rollback();
        if mode == Mode::Write && error.outcome_unknown() {
            database.poison();
        }
    }
    outcome
}
