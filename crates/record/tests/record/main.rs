//! One contract, three stores: what `contract.rs` promises holds for SQLite,
//! PostgreSQL and the simulated store, and each has a file for what is its own.

extern crate bedplate_record as record;

mod contract;
mod on_postgres;
mod on_simulated;
mod on_sqlite;
mod postgres_server;
