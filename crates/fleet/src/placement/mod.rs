//! Which host an instance goes to: an engine in memory over all hosts of a cell.
//!
//! Hosts that have the same things free are in the same [`state`], and a fleet of a million
//! hosts has a few thousand of those. A decision looks for a state, by an ordered index of
//! states ([`pool`]), and takes any host of it; its cost follows the number of states, not of
//! hosts.
//!
//! Read in this order: [`kind`] (what is asked for), [`topology`] (where hosts stand),
//! [`state`], [`fits`] (the one test of feasibility, for deciding, for committing and for
//! admission on the host), [`pool`], [`cell`] (everything together), then one file an
//! operation: [`decide`], [`commit`], [`gang`], [`evict`], [`capacity`], [`explain`],
//! [`optimise`], [`reserve`], [`overcommit`], [`restore`], [`totals`].

pub mod capacity;
pub mod cell;
pub mod commit;
pub mod decide;
pub mod evict;
pub mod explain;
pub mod fits;
pub mod gang;
pub mod group;
pub mod kind;
pub mod optimise;
pub mod overcommit;
pub mod pool;
pub mod project;
pub mod refusal;
mod repack;
pub mod reserve;
pub mod restore;
pub mod state;
pub mod topology;
pub mod totals;

pub use cell::{Allocation, Cell, Host, HostSpec};
pub use decide::{Choice, Request};
pub use group::{Group, GroupSpec, Spread};
pub use kind::{Kind, KindId, Lifetime, Numa};
pub use project::Project;
pub use refusal::Refusal;
pub use reserve::Reservation;
pub use topology::{Domain, Level, Place};
