//! Engines that keep a fleet full and well: pure functions over what is known of it. No I/O,
//! no clock, no randomness: times and salts are handed in by whoever records what is decided.
//!
//! - [`budget`]: how many machines may be out of service at once, and where.
//! - [`placement`]: which host an instance goes to.
//! - [`rollout`]: which machine gets a release, and when it is taken back.

pub mod budget;
pub mod placement;
pub mod rollout;
