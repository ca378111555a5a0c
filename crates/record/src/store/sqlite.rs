//! The embedded store: SQLite in one file, for one control process.
//!
//! Write-ahead log with a full sync at every commit. Another process may open
//! the same file: SQLite lets writers in one after the other, and the lease
//! keeps all but one of them from committing.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql};

use super::database::{Database, Mode, PATIENCE, Row, Value};
use super::{StoreError, tables};
use crate::Revision;

/// How a connection is set up. `FULL` syncs the log at every commit; `fullfsync`
/// does the same where a plain sync stops at the cache of the drive (macOS). The log is
/// written back into the file every 32 MiB and not every 4: each time costs two more syncs.
const SETTINGS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA fullfsync = ON;
    PRAGMA foreign_keys = OFF;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA cache_size = -32768;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA wal_autocheckpoint = 8192;
";

/// A record in one SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    poisoned: bool,
}

impl Sqlite {
    /// Opens the record at `path`, or makes a new one, readable only by its
    /// owner. The folder must exist.
    pub fn open(path: impl AsRef<Path>) -> Result<Sqlite, StoreError> {
        let path = path.as_ref();
        // SQLite gives its log the permissions of the file. 0600, for a record
        // holds secrets, even if sealed ones.
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| StoreError::Refused(format!("{}: {error}", path.display())))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(fault)?;
        connection.set_prepared_statement_cache_capacity(128);
        connection.busy_timeout(PATIENCE.std()).map_err(fault)?;
        let journal: String = connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
            .map_err(fault)?;
        if journal != "wal" {
            return Err(StoreError::Refused(format!(
                "{}: no write-ahead log here; use a local file system",
                path.display()
            )));
        }
        connection.execute_batch(SETTINGS).map_err(fault)?;
        let mut sqlite = Sqlite { connection, poisoned: false };
        tables::set_up(&mut sqlite)?;
        Ok(sqlite)
    }

    /// Lets the file grow to `bytes` at most, rounded up to whole pages; what is
    /// more is refused as [`StoreError::Full`]. Holds until the store is closed
    /// and never makes the file smaller.
    pub fn limit_bytes(&mut self, bytes: u64) -> Result<(), StoreError> {
        let page: i64 = self
            .connection
            .pragma_query_value(None, "page_size", |row| row.get(0))
            .map_err(fault)?;
        let page = u64::try_from(page).unwrap_or(4_096).max(512);
        let pages = bytes.div_ceil(page).clamp(1, 4_294_967_294);
        self.connection
            .pragma_update_and_check(None, "max_page_count", pages.cast_signed(), |_| Ok(()))
            .map_err(fault)
    }
}

impl Database for Sqlite {
    // Only this spelling makes the key the row number itself, with no second index.
    const REVISION_KEY: &'static str = "INTEGER PRIMARY KEY";
    // A transaction that begins as a writer already keeps the others out.
    const LOCK: &'static str = "";

    fn begin(&mut self, mode: Mode) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Io("not opened again after a fault".to_owned()));
        }
        let begin = match mode {
            Mode::Read => "BEGIN DEFERRED",
            Mode::Write => "BEGIN IMMEDIATE",
        };
        self.execute(begin, &[]).map(|_| ())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        match self.execute("COMMIT", &[]) {
            Ok(_) => Ok(()),
            Err(known @ (StoreError::Full(_) | StoreError::Busy(_))) => Err(known),
            Err(unknown) => Err(StoreError::Io(format!("at the commit: {unknown}"))),
        }
    }

    fn rollback(&mut self) {
        // Some errors have rolled back already.
        if !self.connection.is_autocommit() && self.execute("ROLLBACK", &[]).is_err() {
            self.poison();
        }
    }

    fn poison(&mut self) {
        self.poisoned = true;
    }

    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(fault)?;
        let changed =
            statement.execute(rusqlite::params_from_iter(values.iter())).map_err(fault)?;
        Ok(changed as u64)
    }

    fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(fault)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values.iter())).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            each(row)?;
        }
        Ok(())
    }

    fn lock_setup(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn notify(&mut self, _: Revision) -> Result<(), StoreError> {
        Ok(())
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Null => ValueRef::Null,
        }))
    }
}

impl Row for rusqlite::Row<'_> {
    fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.get(column).map_err(fault)
    }
    fn text_or_null(&self, column: usize) -> Result<Option<String>, StoreError> {
        self.get(column).map_err(fault)
    }
}

/// In our words, by the primary result code of SQLite.
fn fault(error: rusqlite::Error) -> StoreError {
    use StoreError::{Busy, Corrupt, Full, Io, Refused};
    let text = error.to_string();
    let Some(code) = error.sqlite_error_code() else {
        // A column of another type than ours, or text that is not UTF-8.
        return Corrupt(text);
    };
    match code {
        ErrorCode::DiskFull => Full(text),
        ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::ConstraintViolation
        | ErrorCode::TypeMismatch => Corrupt(text),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Busy(text),
        ErrorCode::SystemIoFailure => Io(text),
        _ => Refused(text),
    }
}
