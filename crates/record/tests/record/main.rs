//! One contract, three stores: what `contract.rs` promises holds for SQLite,
//! PostgreSQL and the simulated store, and each has a file for what is its own.
#![allow(
    clippy::disallowed_methods,
    reason = "a database server is started, waited for and ended, by many threads"
)]

extern crate bedplate_record as record;

mod contract;
mod on_postgres;
mod on_simulated;
mod on_sqlite;
mod postgres_server;
