//! Vhost-user sessions: how a VMM hands a device's memory and queues to us.
//!
//! One thread for each connection reads messages and tells a [`Sink`]. The messages are
//! walked here and not by the crate `vhost`, whose handler keeps what was negotiated to
//! itself: a session must be able to go on in another process. A message is only looked
//! at (`MSG_PEEK`) until it is done and deposited, so a process that dies over it leaves
//! it to its successor.

mod body;
mod description;
mod features;
mod handle;
mod queues;
mod session;
mod sink;
mod wire;

#[cfg(test)]
mod tests;

pub use description::{Description, QueueDescription, VERSION};
pub use queues::ResumeError;
pub use session::{ChangeNotice, Ended, QUEUES_MAX, Refusal, Session};
pub use sink::{QueueStart, Sink};
