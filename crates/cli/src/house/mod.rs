//! Verbs about the control plane itself, and about this program.

pub mod ca;
pub mod completions;
pub mod health;
pub mod metrics;
pub mod openapi;
pub mod whoami;
