//! QEMU's copy-on-write format (docs/interop/qcow2 of QEMU), version 2 and 3,
//! read in one pass from the front.
//!
//! The guest's clusters lie anywhere in the file, and two levels of tables say
//! where. `qemu-img convert` puts every table before the data it speaks of, so
//! tables can be learnt as they pass. When the file can be read by ranges, the
//! tables are fetched first and any order will do.

pub mod header;
pub mod stream;
pub mod tables;

pub use header::Header;
pub use stream::Stream;
