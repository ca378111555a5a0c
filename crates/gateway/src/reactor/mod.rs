//! Movers: one thread per core that has its own listeners, connections and kept replies,
//! and shares nothing with the others while it serves (one epoll instance,
//! edge-triggered, so that a request takes a wait, a receive and a send).
//!
//! - [`turn`]: the loop: events, letters, whose turn it is.
//! - [`connection`] and [`drive`]: a connection, and how it moves: a head is read
//!   ([`begin`]), content is taken ([`receive`]), a reply is begun ([`reply`]) and sent
//!   ([`send`]), until it blocks or has had its share ([`shares`]).
//! - [`wire`]: the socket, plain or TLS. [`cache`]: replies that are kept; [`places`]:
//!   where the content of more of them lies.
//! - [`mailbox`]: what other threads say. [`sweep`]: who took too long.

mod begin;
pub mod cache;
mod connection;
mod drive;
mod lane;
pub mod mailbox;
pub mod places;
mod receive;
mod reply;
mod send;
pub mod shares;
pub mod slots;
mod sweep;
#[cfg(test)]
pub(crate) mod tests;
mod turn;
mod wire;

pub use lane::{Settings, Timeouts};
pub use turn::{Company, Listener, Reactor};
