//! The leader thread: what is acknowledged is recorded once, what is recorded is
//! seen once, and what can happen to a store, to a lease or to the thread itself
//! changes nothing of that.
//!
//! On the simulated store with faults, on SQLite, and on a PostgreSQL server of
//! our own. The clock is set by hand; where a test waits, it waits for a condition.

#[path = "leader/commits.rs"]
mod commits;
#[path = "leader/faults.rs"]
mod faults;
#[path = "leader/following.rs"]
mod following;
#[path = "leader/found.rs"]
mod found;
#[path = "leader/gate.rs"]
mod gate;
#[path = "leader/panics.rs"]
mod panics;
#[path = "leader/places.rs"]
mod places;
#[path = "../../record/tests/record/postgres_server.rs"]
mod postgres_server;
#[path = "leader/process.rs"]
mod process;
#[path = "leader/storm.rs"]
mod storm;
#[path = "leader/takeover.rs"]
mod takeover;
