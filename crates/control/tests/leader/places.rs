//! Where records lie: the three stores, each in a place of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use record::store::postgres::Postgres;
use record::store::simulated::{Disk, Simulated};
use record::store::sqlite::Sqlite;
use record::{Store, StoreError};

use crate::postgres_server::{SKIPPED, Server};

/// A place that outlives the processes that open it.
pub trait Place: Send + Sync {
    fn open(&self) -> Result<Box<dyn Store>, StoreError>;
    /// Does what goes wrong in such a place now and then.
    fn disturb(&self) {}
}

impl Place for Disk {
    fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(Box::new(Simulated::open(self)))
    }
}

/// A disk in memory.
pub fn memory() -> Disk {
    Disk::new(1)
}

/// A SQLite file in a folder that goes with it.
pub struct File(PathBuf);

impl File {
    pub fn new() -> Arc<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bedplate-leader-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        Arc::new(Self(folder))
    }
}

impl Place for File {
    fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(Box::new(Sqlite::open(self.0.join("record.db"))?))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A database on a server of its own.
pub struct Database(Server);

impl Database {
    /// `None`, with a sentence, where PostgreSQL is not installed.
    pub fn new(label: &str) -> Option<Arc<Self>> {
        let server = Server::start(label).unwrap();
        if server.is_none() {
            println!("{SKIPPED}");
        }
        let server = server?;
        server.create_schema("leader").unwrap();
        Some(Arc::new(Self(server)))
    }
}

impl Place for Database {
    fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(Box::new(Postgres::connect(&self.0.url("leader"))?))
    }

    /// The server ends every connection, whatever it is at.
    fn disturb(&self) {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE application_name = 'bedplate' AND pid <> pg_backend_pid()";
        self.0.connect("leader").unwrap().execute(end, &[]).unwrap();
    }
}
