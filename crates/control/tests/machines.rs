//! Machines, their agents and their BMCs against a whole control plane: a real
//! record on disk, real TLS, software TPMs; only the BMCs are played.
#![allow(clippy::disallowed_methods, reason = "software TPMs that run beside us keep real time")]

#[path = "machines/admission.rs"]
mod admission;
#[path = "machines/agent.rs"]
mod agent;
#[path = "machines/carriers.rs"]
mod carriers;
#[path = "machines/certificates.rs"]
mod certificates;
#[path = "machines/house.rs"]
mod house;
#[path = "machines/images.rs"]
mod images;
#[path = "machines/life.rs"]
mod life;
#[path = "machines/played_bmc.rs"]
mod played_bmc;
#[path = "machines/swtpm.rs"]
mod swtpm;
