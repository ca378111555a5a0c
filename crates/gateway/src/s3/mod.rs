//! The dialect S3: heads of requests in, steps out.

pub mod auth;
pub mod cors;
pub mod policy;
