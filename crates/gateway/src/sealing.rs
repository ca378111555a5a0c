//! Encryption of bodies at rest: keys that are ours (SSE-S3, and KMS with a local key),
//! and keys that come with each request (SSE-C).
//!
//! Each object or upload has a random key, kept wrapped in its attributes. Each body
//! (an object's, or one part's) begins with a random salt, and its units are sealed
//! under a key made of both, by AES-256-GCM with the unit's number as nonce. So no two
//! bodies share a key, a part may be sent twice under one upload, and a completed
//! upload is its parts' stored bodies, one after the other, with nothing sealed anew.

mod body;
mod client;
mod provider;
mod wrap;

pub use body::{Opener, Plan, SALT, Sealer, TAG, UNIT, plan, sealed_length};
pub use client::ClientKey;
pub(crate) use provider::write_private;
pub use provider::{KeyError, KeyProvider, Purpose};
pub use wrap::{BodyKey, SealError, seal_ours, seal_theirs, unseal};

#[cfg(test)]
mod tests;
