//! Disks. The real side: what a pool lies on ([`medium`]) and the ring that reads and
//! writes it ([`uring`]). The simulated side: [`model_disk`], which keeps what it was
//! told in a volatile cache, forgets it when the power goes, and lies on request.
//!
//! Both give the same three things: operations named by a number, completions in any
//! order, and error numbers of the system. What is written to them means nothing here.

pub mod fate;
pub mod image;
pub mod medium;
pub mod model_disk;
pub mod setup;
#[cfg(test)]
mod tests;
pub mod uring;

pub use fate::{Fate, Piece, each_fate};
pub use image::Image;
pub use medium::{Medium, MediumError, MediumKind, Opening};
pub use model_disk::{Did, Finished, Ills, ModelDisk};
pub use setup::{Abilities, RingError, Way, probe};
pub use uring::{Completion, FileSlot, Ring, RingSettings};

/// How an operation on a disk ended: the bytes moved, or an error number of the
/// system (`EIO` is 5).
pub type Ended = Result<u32, i32>;
