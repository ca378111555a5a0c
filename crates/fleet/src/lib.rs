//! Engines that keep a fleet full and well: pure functions over what is known of it. No I/O,
//! no clock, no randomness: times and salts are handed in by whoever records what is decided.
//!
//! - [`placement`]: which host an instance goes to.

pub mod placement;
