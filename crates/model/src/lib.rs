//! The nouns of Bedplate. Every other crate speaks in these words: typed ids,
//! units, the spec and status of each resource, the messages between roles, the
//! table of API endpoints and the error codes.
//!
//! No I/O, no async, no clock, no randomness: ids and times are passed in by
//! whoever has a [`Timestamp`] and entropy to make them from.
//!
//! Read in this order: [`id`], [`time`], [`resource`], [`machine`], [`agent`],
//! [`operation`], [`api`].

pub mod agent;
pub mod api;
pub mod attestation;
pub mod bmc;
pub mod effect;
pub mod encoded;
pub mod event;
pub mod fleet;
pub mod gateway;
pub mod id;
pub mod identity;
pub mod image;
pub mod inventory;
pub mod machine;
pub mod operation;
pub mod problem;
pub mod project;
pub mod resource;
pub mod resources;
pub mod secret;
pub mod sighting;
pub mod time;
pub mod unit;
pub mod verbs;
pub mod volume;

pub use encoded::Encoded;
pub use id::Id;
pub use problem::{ErrorCode, Problem};
pub use resource::Resource;
pub use resources::Resources;
pub use secret::Secret;
pub use time::{Duration, Timestamp};
pub use unit::Bytes;
