//! The gateway: the process that moves objects between sockets and disks.
//!
//! Read in this order: [`step`] (what a request becomes), [`http`] (HTTP/1.1 without
//! sockets), [`s3`] (the dialect: a request's head in, steps out; no sockets).

pub mod accounts;
pub mod checksum;
pub mod http;
pub mod s3;
pub mod sealing;
pub mod step;
