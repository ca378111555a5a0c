//! Vhost-user sessions: how a VMM hands a device's memory and queues to us.
//!
//! One thread for each connection reads messages and tells a [`Sink`]. The messages are
//! walked here and not by the crate `vhost`, whose handler keeps what was negotiated to
//! itself: a session must be able to go on in another process. A message is only looked
//! at (`MSG_PEEK`) until it is done and deposited, so a process that dies over it leaves
//! it to its successor.

mod description;
mod sink;

pub use description::{Description, QueueDescription, VERSION};
pub use sink::{QueueStart, Sink};
