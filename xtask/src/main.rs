//! Every chore of this repository that is not `cargo build`: `cargo xtask help`
//! lists them. Each says what it does while it does it.

mod bench;
mod bench_create;
mod bench_disk;
mod bench_gateway;
mod demo;
mod disk_service;
mod packages;
mod run;
mod test;
mod tidy;
mod torture_disk;
mod torture_gateway;
mod torture_record;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask COMMAND

  demo [--machines N]       install what is missing, build, and take a virtual server
                            from powered off to attested, running, and wiped
  setup                     install what the tests drive
  test [AREA]               install what is missing and run the tests of an area:
                            all (default), machines, disk, record, control, units
  tidy [--lower]            check the map, headers, names, lengths and the journeys;
                            with --lower, lower the ratchets to what the tree has
  lint                      cargo fmt --check, clippy, deny, and tidy
  sim machines [--seeds N] [--machines N] [--seed N]
                            the control plane and its machines in simulated time
  sim disk [--seeds N] [--states N] [--seed N] [--sequence N]
                            the engine of the volumes on a model disk, crashed at
                            every moment
  sim gateway [--seeds N] [--states N] [--seed N] [--sequence N]
                            the store of the objects on model files, the same
  sim rollout [--machines N] [--releases N] [--seed N]
                            releases on a simulated fleet, some of them bad: which are
                            taken back, and how far they came
  bench disk [--seconds N] [--rounds N] [--rows LIST]
                            the disk service beside its peers, on this machine; and
                            the instructions that each layer adds to a request
  bench gateway [--seconds N] [--rounds N] [--rows LIST] [--keys N] [--objects N]
                            the object gateway beside nginx and s3s-fs, on this machine
  bench placement [--machines N] [--decisions N]
                            how quickly hosts are chosen for instances, beside the plain
                            ways
  bench create [--seconds N] [--rounds N] [--clients N] [--hosts N]
                            durable creates through the API, beside one commit for each
  bench packing [--trace FILE] [--optimise-hours N]
                            how many hosts recorded requests need
  torture record [--kills N] [--store sqlite|postgres|both]
                            kill real processes that write, and count what is lost
  torture disk [--kills N] [--replacements N] [--pool-dir DIR]
                            kill and replace the disk service under verified load
  torture gateway [--kills N] [--takeovers N] [--dir DIR]
                            kill and replace the gateway under verified load of S3
  agent                     build the static agent of the boot image
  openapi                   write docs/openapi.json anew from the code
";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    match arguments.first().map(String::as_str) {
        Some("demo") => demo::demo(rest),
        Some("setup") => test::setup().map(drop),
        Some("test") => test::test(rest),
        Some("tidy") if rest == ["--lower"] => tidy::lower(),
        Some("tidy") => tidy::tidy(),
        Some("lint") => test::lint(),
        Some("sim") => run::program("lab", "sim", rest),
        Some("bench") if rest.first().is_some_and(|what| what == "disk") => {
            bench_disk::run(&rest[1..])
        }
        Some("bench") if rest.first().is_some_and(|what| what == "gateway") => {
            bench_gateway::run(&rest[1..])
        }
        Some("bench") if rest.first().is_some_and(|what| what == "create") => {
            bench_create::run(&rest[1..])
        }
        Some("bench")
            if rest.first().is_some_and(|what| what == "placement" || what == "packing") =>
        {
            run::program("lab", "bench", rest)
        }
        Some("torture") if rest.first().is_some_and(|what| what == "record") => {
            torture_record::run(&rest[1..])
        }
        Some("torture") if rest.first().is_some_and(|what| what == "disk") => {
            torture_disk::run(&rest[1..])
        }
        Some("torture") if rest.first().is_some_and(|what| what == "gateway") => {
            torture_gateway::run(&rest[1..])
        }
        Some("agent") => demo::agent(),
        Some("openapi") => test::openapi(),
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => bail!("there is no chore {other}; see `cargo xtask help`"),
    }
}
