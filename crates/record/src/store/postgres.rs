//! The store for more than one control process: PostgreSQL.
//!
//! Every writer locks the one row of `meta` first, under READ COMMITTED, so that
//! each later statement sees what the writer before left. A process that freezes
//! while it holds the lock is put out by the server. A commit notifies, so that
//! followers need not poll.
//!
//! The connection is plain, without TLS: use a socket, or a network that is
//! protected by other means. An address that demands TLS is refused.

use std::collections::HashMap;

use model::Duration;
use postgres::error::SqlState;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::private::BytesMut;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, NoTls, Statement};

use super::database::{Database, Mode, PATIENCE, Row, Value};
use super::{StoreError, tables};
use crate::Revision;

/// The channel on which commits are announced.
const CHANNEL: &str = "bedplate_record";
/// The key of the advisory lock under which the tables are made: `bedplate`.
const SETUP_LOCK: i64 = i64::from_be_bytes(*b"bedplate");

/// A record in a PostgreSQL database.
pub struct Postgres {
    client: Client,
    statements: HashMap<String, Statement>,
    listening: bool,
    poisoned: bool,
}

impl Postgres {
    /// Opens the record in the database at `url`, or makes a new one there. The
    /// url is what libpq takes: `postgresql://user@host/database` or
    /// `host=/run/postgresql dbname=bedplate`.
    pub fn connect(url: &str) -> Result<Postgres, StoreError> {
        let mut config: Config =
            url.parse().map_err(|error| StoreError::Refused(format!("{error}")))?;
        if config.get_application_name().is_none() {
            config.application_name("bedplate");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE.std());
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(PATIENCE.std());
        }
        let mut client = config.connect(NoTls).map_err(fault)?;
        let millis = PATIENCE.micros() / 1_000;
        let settings = format!(
            "SET synchronous_commit = on; SET lock_timeout = {millis}; \
             SET idle_in_transaction_session_timeout = {millis}; \
             SET client_min_messages = warning;"
        );
        client.batch_execute(&settings).map_err(fault)?;
        let statements = HashMap::new();
        let mut postgres = Postgres { client, statements, listening: false, poisoned: false };
        tables::set_up(&mut postgres)?;
        Ok(postgres)
    }

    /// Waits until somebody commits, at most so long: true when there may be
    /// events to read. The first call says true at once, for what was committed
    /// before it began to listen goes unannounced.
    pub fn wait(&mut self, timeout: Duration) -> Result<bool, StoreError> {
        if !self.listening {
            self.client.batch_execute(&format!("LISTEN {CHANNEL}")).map_err(fault)?;
            self.listening = true;
            return Ok(true);
        }
        let mut notifications = self.client.notifications();
        let woken = notifications.timeout_iter(timeout.std()).next().map_err(fault)?.is_some();
        while notifications.iter().next().map_err(fault)?.is_some() {}
        drop(notifications);
        if !woken && self.client.is_closed() {
            return Err(StoreError::Unreachable("the server closed the connection".to_owned()));
        }
        Ok(woken)
    }

    fn prepare(&mut self, sql: &str) -> Result<Statement, StoreError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).map_err(fault)?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("poisoned", &self.poisoned).finish_non_exhaustive()
    }
}

impl Database for Postgres {
    const REVISION_KEY: &'static str = "BIGINT PRIMARY KEY";
    const LOCK: &'static str = " FOR UPDATE";

    fn begin(&mut self, mode: Mode) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Unreachable("not opened again after a fault".to_owned()));
        }
        let begin = match mode {
            Mode::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Mode::Write => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        };
        self.client.batch_execute(begin).map_err(fault)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.client
            .batch_execute("COMMIT")
            .map_err(|error| StoreError::Unreachable(format!("at the commit: {}", fault(error))))
    }

    fn rollback(&mut self) {
        if self.client.batch_execute("ROLLBACK").is_err() {
            self.poison();
        }
    }

    fn poison(&mut self) {
        self.poisoned = true;
    }

    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let statement = self.prepare(sql)?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        self.client.execute(&statement, &values).map_err(fault)
    }

    fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let statement = self.prepare(sql)?;
        let mut rows = self.client.query_raw(&statement, values).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            each(&row)?;
        }
        Ok(())
    }

    fn lock_setup(&mut self) -> Result<(), StoreError> {
        // Two processes that make the same table at once would both try.
        self.query("SELECT pg_advisory_xact_lock($1)", &[Value::Int(SETUP_LOCK)], &mut |_| Ok(()))
    }

    fn notify(&mut self, revision: Revision) -> Result<(), StoreError> {
        let revision = revision.to_string();
        let values = [Value::Text(CHANNEL), Value::Text(&revision)];
        self.query("SELECT pg_notify($1, $2)", &values, &mut |_| Ok(()))
    }
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        of: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Int(number) => number.to_sql_checked(of, out),
            Value::Text(text) => text.to_sql_checked(of, out),
            Value::Null => Ok(IsNull::Yes),
        }
    }
    fn accepts(of: &Type) -> bool {
        *of == Type::INT8 || *of == Type::TEXT
    }
    to_sql_checked!();
}

impl Row for postgres::Row {
    fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.try_get(column).map_err(|error| StoreError::Corrupt(error.to_string()))
    }
    fn text_or_null(&self, column: usize) -> Result<Option<String>, StoreError> {
        self.try_get(column).map_err(|error| StoreError::Corrupt(error.to_string()))
    }
}

/// In our words, by the SQLSTATE of the server; without one the connection broke.
fn fault(error: postgres::Error) -> StoreError {
    use StoreError::{Busy, Corrupt, Full, Io, Refused, Unreachable};
    let Some(server) = error.as_db_error() else {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        return Unreachable(format!("{error}{}", cause.unwrap_or_default()));
    };
    let text = format!("{} ({})", server.message(), server.code().code());
    match server.code() {
        code if *code == SqlState::DISK_FULL => Full(text),
        code if *code == SqlState::IO_ERROR => Io(text),
        code if *code == SqlState::LOCK_NOT_AVAILABLE
            || *code == SqlState::QUERY_CANCELED
            || *code == SqlState::T_R_SERIALIZATION_FAILURE
            || *code == SqlState::T_R_DEADLOCK_DETECTED =>
        {
            Busy(text)
        }
        code => match code.code().get(..2) {
            // No resources, operator intervention, a broken connection, a session
            // that was put out for idling in a transaction.
            Some("08" | "53" | "57") => Unreachable(text),
            Some("25") => Unreachable(text),
            // Damage, and keys that come twice.
            Some("XX" | "23") => Corrupt(text),
            _ => Refused(text),
        },
    }
}
