//! `cargo xtask bench disk`: the disk service beside its peers, on the same machine, in
//! the same minutes, asked by the same client.
//!
//! Server and client are each on a core of their own. The sides take turns, and the
//! median of the rounds counts: a busy machine is slow for both. A row that cannot be
//! measured here says why and leaves its figures out.

mod client;
mod peer;
mod rows;
mod rows_disk;
mod rows_instructions;
mod rows_qos;
mod rows_rest;

use anyhow::Result;

pub use crate::bench::Bench;
use crate::bench::report::{Aim, Table};
use crate::bench::{Plan, Row};
use crate::disk_service::Service;
use crate::packages;

const ROWS: [Row; 9] = [
    ("null", rows::null),
    ("full", rows::full),
    ("thin", rows::thin),
    ("disk", rows_disk::disk),
    ("nbd", rows_disk::nbd),
    ("qos", rows_qos::qos),
    ("tail", rows_rest::tail),
    ("rest", rows_rest::rest),
    ("instructions", rows_instructions::instructions),
];

/// What is measured, in the order of the table in SPECIFICATION.md.
const FIGURES: Table = &[
    ("ratio_null_iops_qd32_qsd", Aim::Least(6.0)),
    ("ratio_null_iops_qd32_rustvmm", Aim::Least(2.0)),
    ("null_iops_qd32", Aim::None),
    ("ratio_null_p50_qd1_qsd", Aim::Most(0.4)),
    ("ratio_full_iops_qsd_luks", Aim::Least(7.0)),
    ("ratio_full_of_aes", Aim::Least(0.6)),
    ("ratio_full_of_aes_in_memory", Aim::None),
    ("ratio_thin_iops_qcow2", Aim::Least(5.0)),
    ("ratio_first_write_after_snapshot", Aim::Least(0.5)),
    ("snapshot_us", Aim::Most(1000.0)),
    ("added_us_qd1_disk", Aim::Most(3.0)),
    ("ratio_disk_iops_qd32", Aim::Least(0.95)),
    ("ratio_nbd_iops_per_cpu", Aim::Least(1.5)),
    ("qos_error_percent", Aim::Most(1.0)),
    ("ratio_victim_p99", Aim::Most(1.5)),
    ("engine_mib", Aim::Most(10.0)),
    ("idle_volume_kib", Aim::Most(64.0)),
    ("tail_engine_p99999_us", Aim::None),
    ("tail_machine_p99999_us", Aim::None),
    ("tail_virtual_read_p99999_us", Aim::None),
    ("instructions_null", Aim::None),
    ("instructions_limits", Aim::None),
    ("instructions_limits_packed", Aim::None),
    ("instructions_raw_read", Aim::None),
    ("instructions_raw_write", Aim::None),
    ("instructions_thin_read", Aim::None),
    ("instructions_thin_write", Aim::None),
    ("instructions_encrypted_read", Aim::None),
    ("instructions_encrypted_write", Aim::None),
];

/// A service of ours.
fn service(bench: &Bench) -> Result<Service> {
    Service::start(&bench.program, bench.path("ours"), bench.server_core())
}

/// Runs `bench disk` with the arguments after these two words. An error means that
/// nothing could be measured.
pub fn run(arguments: &[String]) -> Result<()> {
    let usual = (1.0, 3);
    let plan = Plan {
        name: "bench disk",
        table: FIGURES,
        rows: &ROWS,
        packages: packages::DISK,
        usual,
        more: &[],
    };
    crate::bench::run(&plan, arguments)
}
