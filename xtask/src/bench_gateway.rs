//! `cargo xtask bench gateway`: the object gateway beside nginx, which serves the same
//! bytes as plain files without asking who wants them, and beside an object server for
//! what nginx cannot do. The same load (`wrk`, keep-alive, loopback), one core for the
//! server and one for the client, in turns.
//!
//! CPU is what the scheduler says that all threads of the server ran, by request. On
//! loopback, much of that is the kernel's: the way of a packet to the client is walked by
//! who sends it.

mod http;
mod nginx;
mod ours;
mod rows_get;
mod rows_list;
mod rows_put;
mod s3s;
mod sign;
mod wrk;

use anyhow::Result;

pub use crate::bench::Bench;
use crate::bench::report::{Aim, Table};
use crate::bench::{Plan, Row};
use crate::packages;

const ROWS: [Row; 6] = [
    ("get", rows_get::small),
    ("random", rows_get::random),
    ("large", rows_get::large),
    ("tls", rows_get::encrypted),
    ("put", rows_put::durable),
    ("list", rows_list::list),
];

/// What is measured, in the order of the table in SPECIFICATION.md.
const FIGURES: Table = &[
    ("ratio_cpu_get_4k_anonymous", Aim::Most(0.5)),
    ("ratio_rps_get_4k_anonymous", Aim::Least(1.5)),
    ("ratio_cpu_get_4k_signed", Aim::Most(0.9)),
    ("ratio_cpu_get_4k_random", Aim::Most(0.75)),
    // Beside nginx as its package sets it up: told, not aimed at.
    ("ratio_cpu_get_4k_packaged", Aim::None),
    ("ratio_rps_get_4k_packaged", Aim::None),
    ("ratio_cpu_get_4k_signed_packaged", Aim::None),
    ("ratio_cpu_get_4k_random_packaged", Aim::None),
    ("ratio_gbps_get_8m", Aim::Least(1.0)),
    ("ratio_cpu_get_8m", Aim::Most(1.0)),
    ("ratio_cpu_get_8m_tls", Aim::Most(0.5)),
    ("ratio_put_4k_durable", Aim::Least(5.0)),
    ("fsyncs_per_put", Aim::None),
    ("list_keys_per_s", Aim::Least(200_000.0)),
    ("list_page_p99_ms", Aim::Most(10.0)),
    ("resident_mib", Aim::Most(64.0)),
    ("start_ms", Aim::Most(1000.0)),
];

/// Runs `bench gateway` with the arguments after these two words. An error means that
/// nothing could be measured.
pub fn run(arguments: &[String]) -> Result<()> {
    let plan = Plan {
        name: "bench gateway",
        table: FIGURES,
        rows: &ROWS,
        packages: packages::GATEWAY,
        usual: (2.0, 5),
        more: &[("--objects", 100_000), ("--keys", 1_000_000)],
    };
    crate::bench::run(&plan, arguments)
}
