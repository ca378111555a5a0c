//! Why an instance is not placed, or a change not taken.

use super::topology::Level;

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No host has room: [`super::Cell::explain`] says what removed how many.
    #[error("no host has room for it")]
    NoRoom,
    /// Hosts have room, and the rules of the group allow none of them.
    #[error("hosts have room, but the group's rule about each {0:?} allows none of them")]
    Group(Level),
    /// The project would have too much of something: its place in
    /// [`model::resources::DIMENSIONS`].
    #[error("the project's quota of {} is used up", model::resources::DIMENSIONS[*.0])]
    Quota(usize),
    /// The host that was chosen has changed since.
    #[error("the host that was chosen has no room any more")]
    Changed,
    /// The host takes nobody new.
    #[error("the host is closed to new instances")]
    Closed,
    /// The host still has instances.
    #[error("the host still has instances")]
    Occupied,
    /// The handle belongs to what is gone.
    #[error("what was named is gone")]
    Gone,
    /// The host has more memory nodes than are counted, or none of anything.
    #[error("a host has 1 to 8 memory nodes and something to give")]
    Strange,
}
