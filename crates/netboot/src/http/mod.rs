//! HTTP boot (UEFI 2.10, section 24.7) and virtual media: two files under secret
//! paths, with ranges and resume (RFC 9110, section 14).
//!
//! Clients are firmware, BMCs and people's curl: HTTP/1.1 is what all of them
//! speak. A path that is not a permit's is 404, whatever the reason.

pub(crate) mod body;
pub(crate) mod listener;
pub mod range;
mod service;
mod watched;

pub(crate) use service::Service;
