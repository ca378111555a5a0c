//! The virtual disk. Requests and completions in; disk operations and replies out.
//!
//! Nothing here makes a system call, reads a clock or starts a thread: a
//! [`lane::Lane`] belongs to one core, and whoever drives it carries out what it asks.
//! With io_uring behind it, it serves guests; with a model disk that tears, loses and
//! corrupts, it is tested.
//!
//! Read in this order: [`units`] and [`request`], [`memory`] (guest memory and shared
//! regions), [`format`] (what is on the medium), [`log`], then the metadata:
//! [`directory`], [`table`], [`frames`], [`state`]; what happens to data: [`seal`];
//! who may go first: [`qos`]; and the machine that ties them together: [`lane`].

pub mod directory;
pub mod format;
pub mod frames;
pub mod histogram;
pub mod lane;
pub mod log;
pub mod memory;
pub mod qos;
pub mod recover;
pub mod request;
pub mod saved;
pub mod seal;
pub mod state;
pub mod table;
pub mod units;

pub use memory::{Region, Segment};
pub use request::{Fault, Kind, MediumFault, Outcome, Request, Tag};
pub use units::{
    BLOCK, EXTENT_BLOCKS, Epoch, ExtentIndex, Lba, Nanos, Origin, Place, Sequence, VolumeNumber,
};
