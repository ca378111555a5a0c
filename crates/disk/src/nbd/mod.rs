//! An NBD server: fixed newstyle negotiation, structured replies, block status, several
//! connections to one export, TLS. Protocol: doc/proto.md of the NBD project.
//!
//! Nothing in [`negotiation`] and [`connection`] makes a system call. A [`Listener`]
//! accepts, negotiates each client in a thread of its own under a deadline, and hands
//! an [`Arrived`] to a [`Sink`]. From there a lane's reactor drives it, with a socket
//! that does not block:
//!
//! ```text
//! let mut connection = Connection::new(arrived.agreed, region, &arrived.rest);
//! transport.receive(&mut connection)?      one recv: many requests
//! while lane.ready(volume) {               what is not fetched waits in the socket
//!     connection.next()                    a request: submit it under its ticket
//! }
//! connection.replied(ticket, outcome)      as the engine answers, in any order
//! connection.status(ticket, extents)       the same for block status
//! transport.send(&mut connection)?         one sendmsg: many replies
//! connection.finished()                    hang up
//! ```
//!
//! Answers and sends make room for requests that were received already. Nothing tells
//! of them: before waiting for the socket, ask [`Connection::has_request`].
//!
//! A [`Pace`] says when it is better to wait a little, so that requests come together.
//!
//! Data is not copied: a read goes into the memory that is sent, a write is taken from
//! the memory it was received in. Memory is one region for each connection, given when
//! it begins; when it is full, no more is read from the socket.
//!
//! **Live replacement.** [`Connection::save`] gives a small serde value; with the region
//! and the socket, a successor goes on from it, requests in flight included. A TLS
//! connection cannot: the state of the cipher cannot be taken out. It is closed at a
//! request's boundary ([`Connection::retire`]), and clients that can, connect again.

pub mod connection;
pub mod export;
pub mod listener;
pub mod negotiation;
pub mod pace;
pub mod tls;
pub mod transport;
pub mod wire;

pub use connection::{Ask, Broken, Connection, RestoreError, Saved, StatusExtent, Ticket, Wanted};
pub use export::{Agreed, Export, Exports};
pub use listener::{Arrived, Listener, Listening, Open, Permit, PlainTcp, Rules, Sink};
pub use negotiation::{Negotiation, Progress, TlsMode};
pub use pace::Pace;
pub use tls::{ServerTls, TlsError, TlsSocket};
pub use transport::{Received, Sent, Transport};
