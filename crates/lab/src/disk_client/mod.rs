//! A client for disks that are served by vhost-user, without a virtual machine: guest
//! memory is a memfd, the driver's side of the rings is here, and one thread drives
//! all queues, as fast as it can be or asleep between answers.
//!
//! It measures every answer and, when it is told to, checks every block that it reads
//! by what it saw itself: nothing acknowledged may be lost, doubled, undone or
//! somebody else's. It speaks to any server (ours, qemu-storage-daemon), so it shares
//! no code with ours.
//!
//! Read in this order: [`connection`] (messages and features), [`queue`] (requests and
//! memory), [`split`] and [`packed`] (rings), [`client`] (the loop), [`ledger`] (what
//! must be true), [`nbd`] (the same by NBD), [`session`] (the program `bedplate lab
//! disk-client`).

pub mod chain;
pub mod cipher;
pub mod client;
pub mod connection;
pub mod histogram;
pub mod ledger;
pub mod measured;
pub mod memory;
pub mod message;
pub mod nbd;
pub mod packed;
pub mod plan;
pub mod queue;
pub mod session;
pub mod split;
mod target;
pub mod ticks;

pub use client::Client;
pub use connection::{Connection, Wish};
pub use ledger::Ledger;
pub use measured::Measured;
pub use plan::{Pattern, Plan};
pub use queue::{BLOCK, Shape};
