//! The volume data plane: what stands between guests and the engine `volume`.
//!
//! Two processes. The *keeper* holds what must outlive an engine; the *engine* has all
//! logic and is replaced while guests go on.

pub mod engine;
pub mod guest;
mod handover;
pub mod in_flight;
pub mod keeper;
pub mod listening;
pub mod nbd;
pub mod orders;
pub mod privilege;
pub mod reactor;
pub mod ring;
pub mod shared;
pub mod vhost_user;
pub mod virtio_blk;
