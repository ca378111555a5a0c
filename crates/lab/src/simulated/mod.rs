//! A simulated site: the control plane's own code, thousands of machines with
//! faulty BMCs, disks and networks, and the people who use them, in one thread
//! with simulated time. The same seed gives the same run byte for byte.
//!
//! Read in this order: [`faults`] (what can be wrong with a machine), [`server`]
//! (a machine as hardware), [`site`] (time, the control plane, its kills),
//! [`people`] (what users ask), [`judge`] (what must hold at the end), [`matrix`]
//! (every step of every operation, faulted once each way).

pub mod faults;
pub mod judge;
pub mod matrix;
pub mod people;
pub mod server;
pub mod site;

pub use judge::Findings;
pub use site::{Options, Site};

/// Runs one seed to its end and judges it.
pub fn run(options: Options) -> Findings {
    let mut site = Site::new(options);
    site.run();
    judge::judge(&mut site)
}
