//! The one door to the outside: clock, entropy, disks, network and
//! processes.
//!
//! Engines never reach past this crate. Each thing here has a real side, which
//! asks Linux, and a simulated side, which asks a seed: with the simulated side a
//! whole cloud runs in one thread, faults included, and the same seed gives the
//! same run byte for byte.
//!
//! Read in this order: [`clock`], [`entropy`], [`schedule`] (simulated time),
//! [`disk`] and [`files`] (real and simulated), then the real things: [`network`], [`process`],
//! [`memory`].

pub mod clock;
#[allow(unsafe_code, reason = "io_uring reads and writes memory after the call that asked for it")]
pub mod disk;
pub mod entropy;
pub mod files;
#[allow(unsafe_code, reason = "the allocator is told to give memory back")]
pub mod memory;
pub mod network;
pub mod process;
pub mod schedule;

pub use clock::{Clock, SystemClock};
pub use entropy::{Entropy, Seeded, SystemEntropy};
pub use schedule::Schedule;
