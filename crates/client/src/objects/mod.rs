//! A client of object gateways, in the dialect S3: buckets, objects, uploads in parts.
//!
//! It signs with Signature Version 4, tries again what passes, and verifies content both
//! ways: what is sent carries its CRC-64/NVME, and what comes is compared with the
//! checksum that was kept when it was stored. Keys are found by path, not by host.
//!
//! Read in this order: [`settings`], [`call`], [`sign`], then [`bucket`], [`object`],
//! [`upload`], [`download`].

pub mod bucket;
pub mod call;
pub mod checksum;
pub mod download;
pub mod error;
pub mod object;
pub mod settings;
pub mod sign;
pub mod upload;
pub mod xml;

pub use bucket::BucketLine;
pub use call::{Objects, Question};
pub use error::ObjectError;
pub use object::{ListObjects, Listing, ObjectHead, ObjectLine, UploadLine};
pub use reqwest::Method;
pub use settings::{AccessKey, ObjectSettings};
pub use upload::{Stored, Upload};
