//! The link to the control plane: TLS, hello and proof, then orders and reports.
//! The agent's work goes on while the link is down.

pub mod admission;
pub mod desk;
pub mod https;
pub mod session;
pub mod trust;
