//! What the doctor's findings mean: pure functions, one for each check.

use model::api::{Caller, Health};
use model::machine::{Lifecycle, Machine};
use model::{Bytes, Duration, Timestamp};

use super::Check;
use super::certificate::Life;
use crate::Failure;
use crate::human::away;
use crate::machine::words;

/// Clocks that differ by more spoil the order of what people read.
const SKEW_WARN: Duration = Duration::from_secs(5);
/// Clocks that differ by more spoil certificates.
const SKEW_FAIL: Duration = Duration::from_secs(120);
/// A certificate with no more than this left of its life, in percent, should have
/// been renewed by now: some live for a day, some for ten years.
const LEFT_WARN: u64 = 20;
/// However long it lives, this is early enough.
const LEFT_ENOUGH: Duration = Duration::from_secs(60 * 86_400);
/// Machines that are named.
const NAMED: usize = 5;

/// Whether the control plane answers.
pub fn reachable(url: &str, health: &Result<Health, Failure>) -> Check {
    match health {
        Ok(health) if health.status == "ok" => {
            Check::ok("control plane", format!("{url} answers, version {}", health.version))
        }
        Ok(health) => Check::fail(
            "control plane",
            format!("{url} answers, and is {}", health.status),
            "Look at its log.",
        ),
        Err(failure) => Check::fail(
            "control plane",
            format!("{}: {}", failure.what, failure.why),
            failure.next.clone(),
        ),
    }
}

/// Whether the versions are the same.
pub fn version(here: &str, there: &str) -> Check {
    match here == there {
        true => Check::ok("version", format!("{here} here and there")),
        false => Check::warn(
            "version",
            format!("{here} here and {there} there"),
            "Use the program of the control plane's version.",
        ),
    }
}

/// Whether the one that answers leads.
pub fn leader(leads: bool) -> Check {
    match leads {
        true => Check::ok("leader", "the control plane that answers leads"),
        false => Check::warn(
            "leader",
            "another control plane leads; this one only reads",
            "Give the leader's address with --url. When there is none, look at the logs of both.",
        ),
    }
}

/// Whether the clocks agree.
pub fn clock(here: Timestamp, there: Timestamp) -> Check {
    let apart = if here > there { here.since(there) } else { there.since(here) };
    let found = format!("the control plane's clock and this one are {apart} apart");
    let fix = "Set both by NTP: timedatectl set-ntp true";
    match apart {
        apart if apart > SKEW_FAIL => Check::fail("clock", found, fix),
        apart if apart > SKEW_WARN => Check::warn("clock", found, fix),
        _ => Check::ok("clock", found),
    }
}

/// How long a certificate is good for.
pub fn certificate(name: &'static str, life: Life, now: Timestamp, fix: &str) -> Check {
    let Life { not_before, not_after } = life;
    let left = not_after.since(not_before).percent(LEFT_WARN).min(LEFT_ENOUGH);
    let found = match not_after > now {
        true => format!("expires {}", away(now, not_after)),
        false => format!("expired {}", away(now, not_after)),
    };
    match not_after {
        end if end <= now => Check::fail(name, found, fix),
        end if end.since(now) < left => Check::warn(name, found, fix),
        _ => Check::ok(name, found),
    }
}

/// Who asks.
pub fn token(caller: &Result<Caller, Failure>) -> Check {
    match caller {
        Ok(caller) => {
            let project = caller.project.as_deref().unwrap_or("every project");
            let role = crate::token::role(caller.role);
            Check::ok("token", format!("{} is {role} of {project}", caller.name))
        }
        Err(failure) => {
            Check::fail("token", format!("{}: {}", failure.what, failure.why), failure.next.clone())
        }
    }
}

/// Which machines wait for a person.
pub fn machines(machines: &[Machine]) -> Vec<Check> {
    let mut waiting: Vec<&Machine> =
        machines.iter().filter(|machine| words::needs_attention(machine)).collect();
    waiting.sort_by(|a, b| crate::human::by_number(&a.name, &b.name));
    if waiting.is_empty() {
        let active = machines.iter().filter(|it| it.status.lifecycle == Lifecycle::Active).count();
        let found = format!("{} known, {active} active, none needs attention", machines.len());
        return vec![Check::ok("machines", found)];
    }
    let mut checks: Vec<Check> = waiting.iter().take(NAMED).map(|machine| waits(machine)).collect();
    if waiting.len() > NAMED {
        checks.push(Check::warn(
            "machines",
            format!("{} more need attention", waiting.len() - NAMED),
            "List them: bedplate machine list --state quarantined",
        ));
    }
    checks
}

fn waits(machine: &Machine) -> Check {
    let Some(reason) = &machine.status.reason else {
        let fix = format!("See: bedplate machine show {}", machine.name);
        return Check::warn("machines", format!("{} is quarantined", machine.name), fix);
    };
    let operation = machine.status.operation.map(|id| id.short());
    let bmc = machine.spec.bmc.as_ref().map(|bmc| bmc.address.as_str());
    let found =
        format!("{} is quarantined, {}: {}", machine.name, reason.code.name(), reason.message);
    Check::warn("machines", found, words::next(reason, &machine.name, bmc, operation.as_deref()))
}

/// Whether there is room under the data directory.
pub fn room(free: Bytes, whole: Bytes, place: &str) -> Check {
    let found = format!("{free} of {whole} are free under {place}");
    let fix = "Free room, or move the data directory to a larger disk. Images take most: bedplate image list";
    match free {
        free if free < Bytes::gib(1) => Check::fail("disk space", found, fix),
        free if free < Bytes::gib(10) => Check::warn("disk space", found, fix),
        _ => Check::ok("disk space", found),
    }
}

/// Whether the programs of the virtual rack are there.
pub fn programs(missing: &[(&str, &str)]) -> Check {
    if missing.is_empty() {
        return Check::ok("lab programs", "all programs of the virtual rack are installed");
    }
    let names: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    Check::warn(
        "lab programs",
        format!("the virtual rack needs {}", names.join(", ")),
        format!("apt-get install {}", packages.join(" ")),
    )
}

/// Whether virtual machines run at the speed of this one.
pub fn kvm(opened: &Result<(), std::io::ErrorKind>) -> Check {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    match opened {
        Ok(()) => Check::ok("lab speed", "/dev/kvm can be opened"),
        Err(NotFound) => Check::warn(
            "lab speed",
            "there is no /dev/kvm: virtual machines are emulated, some ten times slower",
            "Switch virtualisation on in the firmware settings, or nesting on the host of this machine.",
        ),
        Err(PermissionDenied) => Check::warn(
            "lab speed",
            "/dev/kvm belongs to others",
            "Run as root, or join its group: usermod -aG kvm $USER",
        ),
        Err(kind) => {
            Check::warn("lab speed", format!("/dev/kvm cannot be opened: {kind}"), "See dmesg.")
        }
    }
}

/// Whether networks may be made here.
pub fn privileges(root: bool, capabilities: u64) -> Check {
    const NET_ADMIN: u64 = 1 << 12;
    match (root, capabilities & NET_ADMIN != 0) {
        (_, true) => Check::ok("lab rights", "networks can be made (CAP_NET_ADMIN)"),
        (true, false) => Check::warn(
            "lab rights",
            "root without CAP_NET_ADMIN: a container that may not make networks",
            "Start the container with --cap-add NET_ADMIN.",
        ),
        (false, false) => Check::warn(
            "lab rights",
            "networks cannot be made: no CAP_NET_ADMIN",
            "Run the virtual rack as root: sudo bedplate lab up",
        ),
    }
}

/// Whether there is firmware for virtual machines.
pub fn firmware(found: Option<&str>) -> Check {
    match found {
        Some(path) => Check::ok("lab firmware", format!("OVMF with secure boot: {path}")),
        None => {
            Check::warn("lab firmware", "there is no OVMF with secure boot", "apt-get install ovmf")
        }
    }
}
