//! A lane against a model: random requests on a disk that completes in random order,
//! with snapshots and clones, replaced and killed in the middle.

#![allow(unsafe_code, reason = "segments of memory are made here as a front end makes them")]

mod deaths;
mod disk;
mod extents;
mod faults;
mod golden;
mod handover;
mod memory;
mod model;
mod null;
mod random;
mod world;
