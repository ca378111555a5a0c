//! The few doors to the kernel that have no safe wrapper: one file a family of
//! calls. All `unsafe` of the agent is below this module.
#![allow(unsafe_code, reason = "system calls without a safe wrapper")]

pub mod block;
pub mod clock;
pub mod interface;
pub mod kexec;
pub mod nvme;
pub mod packet;
