//! The gateway: the process that moves objects between sockets and disks.
//!
//! Read in this order: [`step`] (what a request becomes), [`http`] (HTTP/1.1 without
//! sockets), [`s3`] (the dialect: a request's head in, steps out; no sockets), [`reactor`]
//! (who carries steps out), [`writer`] (who changes the store).

pub mod access;
pub mod access_log;
pub mod accounts;
pub mod admin;
pub mod administer;
pub mod checksum;
pub mod http;
mod memory;
pub mod metrics;
pub mod objects;
pub mod order_socket;
pub mod orders;
pub mod quotas;
pub mod reactor;
pub mod relay;
pub mod run;
pub mod s3;
pub mod scrub;
pub mod sealing;
pub mod serve;
pub mod sockets;
pub mod step;
pub mod takeover;
pub mod tls;
pub mod writer;
