//! The memory of a guest: regions that its VMM hands over as files, mapped here, and
//! found by guest address.
//!
//! Nothing a guest says is believed: every address and length is looked up in a sorted
//! table before it becomes a pointer. The table never changes; a VMM that adds or
//! removes memory makes a new one that shares the mappings of the old one, so requests
//! in flight keep what they point to.

mod mapping;
mod pinned;
mod table;

pub use mapping::{MapError, Mapping};
pub use pinned::Pinned;
pub use table::{GuestMemory, Hint, MemoryError, REGIONS_MAX, RegionSpec};
