//! Placement, measured: the engine of the fleet on a million made-up hosts and on recorded
//! requests, beside the plain ways of doing the same.
//!
//! [`demand`] makes requests as clouds see them, [`trace`] reads recorded ones, [`plain`] has
//! what the engine is compared with, [`speed`] and [`packing`] are the two measurements.

pub mod demand;
pub mod packing;
pub mod plain;
pub mod speed;
pub mod trace;
