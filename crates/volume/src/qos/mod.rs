//! Who may go, and who goes first.
//!
//! [`Gate`] holds volumes, VMs and projects to their limits. A front end asks it before
//! it fetches a request, so that what is over the limit waits where it is, in the
//! guest's queue, and nothing is held here. [`Shares`] divides what a core can do among
//! the volumes that have something to do.

mod gate;
mod meter;
mod saved;
mod shares;

#[cfg(test)]
mod accuracy;

pub use gate::{Gate, Node};
pub use meter::LATENESS;
pub use saved::{Saved, SavedError, SavedMeters, SavedNode};
pub use shares::{Shares, Turn, cost, cost_of_forgetting};
