//! `deploy`: PID 1 of the provisioning ramdisk, and the agent that works in it.
//!
//! ```text
//! init (mounts, drivers, reaping)       only as PID 1
//!   network (DHCP, LLDP)
//!   agent                               also as an ordinary process, for tests
//!     link   hello, proof, orders, reports
//!     inventory · burn_in · image · sanitise · boot
//! kernel                                system calls without a safe wrapper
//! ```

pub mod agent;
pub mod backoff;
pub mod boot;
pub mod burn_in;
pub mod console;
pub mod disks;
pub mod failure;
pub mod image;
pub mod init;
pub mod inventory;
pub mod kernel;
pub mod link;
pub mod network;
pub mod sanitise;
pub mod settings;
pub mod tpm;
pub mod work;
