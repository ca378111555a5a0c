//! The reactor with a small service and real sockets.

mod faults;
pub(crate) mod fixture;
mod hostile;
mod replies;
mod requests;
mod tls;
mod turns;
mod wakeups;
