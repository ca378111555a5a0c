//! Objects: buckets, keys, versions and their bodies, as every dialect sees them
//! (S3 now; Azure Blob and batch reads later), and the local engine that keeps
//! them.
//!
//! No sockets, threads or system calls here: files are reached through
//! [`world::files`], time and entropy are handed in. So the engine runs in the
//! simulator, where every write and sync may be the last.
//!
//! Read in this order: [`name`], [`entry`] (what is kept of an object), [`bucket`]
//! (what is kept of a bucket), [`mutation`] (what may change, and what is said
//! about it), [`query`] (what may be asked), [`access`] (who may), [`quota`] (how
//! much), [`store`] (how it lasts).

pub mod access;
pub mod bucket;
pub mod condition;
pub mod entry;
pub mod lifecycle;
pub mod mutation;
pub mod name;
pub mod query;
pub mod quota;
pub mod store;

pub use entry::{Attributes, Body, Entry, Extent, Sequence};
pub use mutation::{Mutation, Refusal, Reply};
pub use name::{BucketId, BucketName, Key, Owner};
