//! What the findings about the disk service mean: pure functions, one for each check.

use model::volume::{DiskStatus, Pool};
use world::disk::{Abilities, RingError, Way};

use super::Check;
use crate::Failure;

/// Whether the service answers. `known` says whether this directory had one before.
pub fn service(answer: &Result<DiskStatus, Failure>, known: bool) -> Check {
    match answer {
        Ok(status) => {
            let DiskStatus { version, generation, came, volumes, attachments, .. } = status;
            let found = format!(
                "engine {generation} (version {version}), {came}; {volumes} volumes, {attachments} served"
            );
            match came.starts_with("restarted") {
                true => Check::warn(
                    "disk service",
                    found,
                    "An engine crashed: its log says why. Please report it with that log.",
                ),
                false => Check::ok("disk service", found),
            }
        }
        Err(failure) if known => Check::fail(
            "disk service",
            format!("{}: {}", failure.what, failure.why),
            failure.next.clone(),
        ),
        Err(_) => Check::ok("disk service", "none in this directory; bedplate disk up starts one"),
    }
}

/// Whether the engine is of this version.
pub fn version(here: &str, there: &str) -> Check {
    match here == there {
        true => Check::ok("disk version", format!("{here} here and there")),
        false => Check::warn(
            "disk version",
            format!("{here} here and {there} there"),
            "Replace the engine; volumes are served on meanwhile: bedplate disk replace",
        ),
    }
}

/// What protects the engine.
pub fn confinement(said: &str) -> Check {
    match said.contains("refused by the system") || said.starts_with("not confined") {
        true => Check::warn(
            "disk confinement",
            said,
            "Start it without --unconfined, on a kernel with seccomp. It is served all the same.",
        ),
        false => Check::ok("disk confinement", said),
    }
}

/// Whether pools take writes, are whole, and have room.
pub fn pools(pools: &[Pool]) -> Vec<Check> {
    let mut checks = Vec::new();
    for pool in pools {
        let Pool { name, size, free, .. } = pool;
        if let Some(why) = &pool.frozen {
            checks.push(Check::fail(
                "pool",
                format!("{name} takes no writes: {why}"),
                "Mend or replace its medium (dmesg says more), then restart the service: it reads what is there anew.",
            ));
        }
        if pool.damaged > 0 {
            checks.push(Check::fail(
                "pool",
                format!("{name} has {} damaged blocks", pool.damaged),
                "The log of the service names them; bedplate volume scrub VOLUME finds all. Write them anew from a copy, and replace the medium.",
            ));
        }
        let found = format!("{name} has {free} of {size} free");
        let fix = "Delete snapshots and volumes that nobody needs (bedplate volume list), or make another pool. A full pool refuses writes; reads go on.";
        if free.0 < size.0 / 50 {
            checks.push(Check::fail("pool", found, fix));
        } else if free.0 < size.0 / 10 {
            checks.push(Check::warn("pool", found, fix));
        } else if pool.frozen.is_none() && pool.damaged == 0 {
            checks.push(Check::ok("pool", found));
        }
    }
    checks
}

/// Whether there is io_uring, and how good.
pub fn ring(probed: &Result<Abilities, RingError>) -> Check {
    match probed {
        Ok(Abilities { way: Way::Deferred, files: true, memory: true }) => {
            Check::ok("io_uring", "all that volumes use of it is there")
        }
        Ok(Abilities { way, files, memory }) => {
            let mut found = way.sentence().to_owned();
            for (has, what) in [(files, "files"), (memory, "memory")] {
                if !has {
                    found.push_str(&format!("; {what} cannot be registered"));
                }
            }
            Check::warn("io_uring", found, "Volumes work, slower. Linux 6.1 or later has it all.")
        }
        Err(error) => Check::warn(
            "io_uring",
            format!("volumes cannot be served: {error}"),
            "Allow it: sysctl kernel.io_uring_disabled=0; in a container, by its seccomp profile.",
        ),
    }
}

/// Whether qcow2 images can be copied in and out.
pub fn converter(there: bool) -> Check {
    match there {
        true => Check::ok("qemu-img", "qcow2 images can be copied in, and volumes out"),
        false => Check::warn(
            "qemu-img",
            "it is not there: bedplate volume export, and qcow2 images, need it",
            "apt-get install qemu-utils",
        ),
    }
}
