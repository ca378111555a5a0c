//! The store over simulated files: what mutations do, what lists show, what is found
//! again, and what happens when the medium fails or is full.

extern crate bedplate_object as object;

mod lists;
mod locks;
mod mutations;
mod rig;
mod space;
mod troubles;
mod uploads;
