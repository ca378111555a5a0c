//! The gateway: the process that moves objects between sockets and disks.
//!
//! Read in this order: [`step`] (what a request becomes), [`s3`] (the dialect: a
//! request's head in, steps out; no sockets), then the movers that carry steps out.

pub mod s3;
pub mod step;
