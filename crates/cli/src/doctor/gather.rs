//! What the doctor looks at.

use std::path::Path;

use client::{Client, disk_orders};
use model::Bytes;
use model::api::ListMachines;
use model::machine::Machine;
use model::volume::{DiskOrder, DiskStatus, Pool};
use world::{Clock as _, SystemClock, process};

use super::{Check, certificate, checks, disk};
use crate::{Failure, Global};

/// Programs of the virtual rack.
const PROGRAMS: [&str; 9] = [
    "qemu-system-x86_64",
    "swtpm",
    "swtpm_setup",
    "sbsign",
    "ip",
    "mcopy",
    "xorriso",
    "mmdebstrap",
    "ssh",
];
/// Where distributions put OVMF with secure boot.
const FIRMWARE: [&str; 3] = [
    "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
    "/usr/share/edk2/ovmf/OVMF_CODE_4M.secboot.fd",
    "/usr/share/edk2/x64/OVMF_CODE_4M.secboot.fd",
];

/// Everything about the control plane. Later checks are left out where earlier ones
/// already say why they would fail.
pub async fn of_control_plane(global: &Global) -> Vec<Check> {
    let settings = match global.settings() {
        Ok(settings) => settings,
        Err(failure) if failure.code == "unreachable" && has_others(&global.directory()) => {
            let found = "none is known here; volumes and objects of this host need none";
            return vec![Check::ok("control plane", found)];
        }
        Err(failure) => return vec![failed("settings", &failure)],
    };
    let url = settings.url.clone();
    let mut found = certificates(&settings).await;
    let client = match Client::new(settings) {
        Ok(client) => client,
        Err(error) => return vec![failed("settings", &error.into())],
    };
    let clock = SystemClock::default();
    let health = client.health().await.map_err(Failure::from);
    let now = clock.now();
    found.insert(0, checks::reachable(&url, &health));
    let Ok(health) = health else { return found };
    found.push(checks::version(env!("CARGO_PKG_VERSION"), &health.version));
    found.push(checks::leader(health.leader));
    found.push(checks::clock(now, health.now));
    let caller = client.whoami().await.map_err(Failure::from);
    found.push(checks::token(&caller));
    if caller.is_err() {
        return found;
    }
    match client.all::<ListMachines, Machine>(&[]).await {
        Ok((machines, _)) => found.extend(checks::machines(&machines)),
        Err(error) => found.push(failed("machines", &error.into())),
    }
    found
}

fn failed(name: &'static str, failure: &Failure) -> Check {
    Check::fail(name, format!("{}: {}", failure.what, failure.why), failure.next.clone())
}

/// How long the certificates are good for: that of the listener and that of the CA.
async fn certificates(settings: &client::ClientSettings) -> Vec<Check> {
    let now = SystemClock::default().now();
    let mut found = Vec::new();
    if let Some(end) = certificate::of_listener(settings).await {
        let fix = "Restart the control plane: it renews its certificate. If it stays, compare the clocks.";
        found.push(checks::certificate("certificate", end, now, fix));
    }
    if let Some(end) = settings.ca_pem.as_deref().and_then(certificate::of_authority) {
        let fix = "A new CA is needed; every role must get it. See docs/machines.md.";
        found.push(checks::certificate("CA", end, now, fix));
    }
    found
}

/// Whether a disk service has kept its book in a directory.
fn has_disks(directory: &Path) -> bool {
    directory.join("disk.json").exists()
}

/// Whether something runs in a directory that needs no control plane.
fn has_others(directory: &Path) -> bool {
    has_disks(directory) || directory.join("gateway/objects").is_dir()
}

/// Everything about the disk service of a directory, and what it needs of this host.
pub fn of_disk_service(directory: &Path) -> Vec<Check> {
    let status = disk_orders::order::<DiskStatus>(directory, &DiskOrder::Status);
    let status = status.map_err(Failure::from);
    let mut found = vec![disk::service(&status, has_disks(directory))];
    if let Ok(status) = &status {
        found.push(disk::version(env!("CARGO_PKG_VERSION"), &status.version));
        found.push(disk::confinement(&status.confinement));
        match disk_orders::order::<Vec<Pool>>(directory, &DiskOrder::PoolList) {
            Ok(pools) => found.extend(disk::pools(&pools)),
            Err(error) => found.push(failed("pool", &error.into())),
        }
    }
    found.push(disk::ring(&world::disk::probe()));
    found.push(disk::converter(process::find("qemu-img").is_some()));
    found
}

/// Everything about the machine that the program runs on.
pub fn of_this_host(directory: &Path) -> Vec<Check> {
    let mut found = Vec::new();
    if let Ok(told) = rustix::fs::statvfs(directory) {
        let bytes = |blocks: u64| Bytes(blocks.saturating_mul(told.f_frsize));
        let place = directory.display().to_string();
        found.push(checks::room(bytes(told.f_bavail), bytes(told.f_blocks), &place));
    }
    let missing: Vec<(&str, &str)> = PROGRAMS
        .into_iter()
        .filter(|program| process::find(program).is_none())
        .map(|program| (program, process::package_of(program)))
        .collect();
    found.push(checks::programs(&missing));
    let firmware = FIRMWARE.into_iter().find(|path| Path::new(path).is_file());
    found.push(checks::firmware(firmware));
    let kvm = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
    found.push(checks::kvm(&kvm.map(drop).map_err(|error| error.kind())));
    let root = rustix::process::geteuid().is_root();
    found.push(checks::privileges(root, capabilities()));
    found
}

/// Effective capabilities of this process (`proc(5)`); none when they cannot be read.
fn capabilities() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0)
}
