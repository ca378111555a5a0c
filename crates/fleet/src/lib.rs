//! Engines that keep a fleet full and well: pure functions over what is known of it. No I/O,
//! no clock, no randomness: times and salts are handed in by whoever records what is decided.
//!
//! - [`budget`]: how many machines may be out of service at once, and where.
//! - [`health`]: what is wrong with a machine or a domain, since when, and why it is thought so.
//! - [`placement`]: which host an instance goes to.
//! - [`repair`]: which step is tried next, from what worked before.
//! - [`rollout`]: which machine gets a release, and when it is taken back.

pub mod budget;
pub mod health;
pub mod placement;
pub mod repair;
pub mod rollout;
