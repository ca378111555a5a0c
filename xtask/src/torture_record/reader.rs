//! The independent reader: SQL of its own through a fresh connection. It shares
//! no code with the record that it judges.

use anyhow::Result;
use rusqlite::OpenFlags;

use super::child::KIND;

/// Orders that are whole: with their operation and their first step.
const ORDERS: &str = "SELECT o.id, o.name FROM objects o \
     JOIN operations p ON p.id = o.id AND p.target = o.id \
     JOIN steps s ON s.operation = o.id AND s.number = 0 \
     WHERE o.kind = $1 AND o.id >= $2";
/// All orders, whole or not.
const COUNT: &str = "SELECT count(*) FROM objects WHERE kind = $1";

/// An order in the tables: its id and its name.
pub type Order = (String, String);

/// A connection that only reads.
pub enum Reader {
    /// On a SQLite file.
    Sqlite(rusqlite::Connection),
    /// On a PostgreSQL server.
    Postgres(postgres::Client),
}

impl Reader {
    /// Opens a SQLite file.
    pub fn sqlite(path: &std::path::Path) -> Result<Reader> {
        // Writable, for a log that a dead process left has to be recovered.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        Ok(Reader::Sqlite(rusqlite::Connection::open_with_flags(path, flags)?))
    }

    /// The whole orders from an id on.
    pub fn orders(&mut self, from: &str) -> Result<Vec<Order>> {
        match self {
            Reader::Sqlite(connection) => {
                let mut statement = connection.prepare(ORDERS)?;
                let rows = statement.query_map((KIND, from), |row| row.try_into())?;
                Ok(rows.collect::<Result<_, _>>()?)
            }
            Reader::Postgres(client) => {
                let rows = client.query(ORDERS, &[&KIND, &from])?;
                Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
            }
        }
    }

    /// How many orders there are, whole or not.
    pub fn count(&mut self) -> Result<u64> {
        let count: i64 = match self {
            Reader::Sqlite(connection) => connection.query_row(COUNT, [KIND], |row| row.get(0))?,
            Reader::Postgres(client) => client.query_one(COUNT, &[&KIND])?.get(0),
        };
        Ok(u64::try_from(count)?)
    }
}
