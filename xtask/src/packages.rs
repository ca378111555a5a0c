//! What a fresh Debian 12 lacks, by package name. Nothing is installed that is
//! there already, and what is installed is said first.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::run::{command, output, run};

/// For building.
pub const BUILD: &[&str] = &["gcc", "libc6-dev", "make"];

/// For a virtual rack: machines, firmware, TPM, the boot image, the demo's system.
pub const RACK: &[&str] = &[
    "qemu-system-x86",
    "qemu-utils",
    "ovmf",
    "swtpm",
    "swtpm-tools",
    "sbsigntool",
    "systemd-boot-efi",
    "openssl",
    "mtools",
    "dosfstools",
    "xorriso",
    "mmdebstrap",
    "e2fsprogs",
    "fdisk",
    "iproute2",
    "openssh-client",
    "zstd",
    "xz-utils",
    "cpio",
];

/// The components that the tests drive and did not write.
pub const TEST: &[&str] =
    &["tpm2-tools", "postgresql", "python3-venv", "gdisk", "ipmitool", "curl", "jq"];

/// For volumes: the peers and the clients that did not come from us. The daemon
/// qemu-storage-daemon is in qemu-utils or qemu-system-x86, by version.
pub const DISK: &[&str] = &[
    "qemu-system-x86",
    "qemu-utils",
    "nbdkit",
    "libnbd-bin",
    "fio",
    "e2fsprogs",
    "busybox-static",
    "cpio",
    "util-linux",
];

/// For measuring objects: the peer that serves files, the client, certificates.
pub const GATEWAY: &[&str] = &["nginx-light", "wrk", "openssl", "util-linux"];

/// For the tests of the gateway: certificates, and a disk that is full.
pub const OBJECTS: &[&str] = &["openssl", "e2fsprogs", "util-linux", "mount", "python3-venv"];

/// Installs those that are missing.
pub fn ensure(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> =
        packages.iter().copied().filter(|package| !installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("==> installing by apt-get: {}", missing.join(" "));
    if !rustix::process::geteuid().is_root() {
        bail!("installing packages needs root; run: sudo apt-get install {}", missing.join(" "));
    }
    run(command("apt-get", &["update", "-q"]))?;
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    // QEMU's parts must be of one version: where its tools come from backports,
    // the emulator does too.
    if missing.contains(&"qemu-system-x86") && tools_from_backports() {
        backports()?;
        arguments.extend(["-t", "bookworm-backports"]);
    }
    arguments.extend(missing);
    let mut install = command("apt-get", &arguments);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    run(install)
}

fn installed(package: &str) -> bool {
    let status = command("dpkg-query", &["-W", "-f=${db:Status-Status}", package]);
    output(status).is_ok_and(|status| status == "installed")
}

fn tools_from_backports() -> bool {
    let version = command("dpkg-query", &["-W", "-f=${Version}", "qemu-utils"]);
    output(version).is_ok_and(|version| version.contains("~bpo12"))
}

fn backports() -> Result<()> {
    const LIST: &str = "/etc/apt/sources.list.d/bedplate-backports.list";
    let policy = output(command("apt-cache", &["policy"]))?;
    if policy.contains("bookworm-backports") {
        return Ok(());
    }
    // The same mirror that Debian itself comes from here.
    let wanted =
        ["indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Codename: bookworm"];
    let mirrors = output(command("apt-get", &wanted))?;
    let mirror = mirrors.lines().next().context("apt knows no mirror of Debian 12")?;
    eprintln!(
        "==> adding Debian's backports to apt ({LIST}), for QEMU of the version that is here"
    );
    std::fs::write(LIST, format!("deb {mirror} bookworm-backports main\n"))?;
    run(command("apt-get", &["update", "-q"]))
}

/// Whether a program is on the path.
pub fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// A Python environment of our own under `target`, with packages by name.
pub fn python(packages: &[&str]) -> Result<std::path::PathBuf> {
    let home = crate::run::top().join("target/python");
    let pip = home.join("bin/pip");
    let pip = pip.to_string_lossy();
    // Also when it was made for another place: it holds paths.
    if !has(&pip) {
        let home = home.to_string_lossy();
        run(command("python3", &["-m", "venv", "--clear", &home]))?;
    }
    let known = output(command(&pip, &["freeze"]))?.to_lowercase();
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|name| !known.contains(&format!("{}==", name.to_lowercase())))
        .collect();
    if !missing.is_empty() {
        eprintln!("==> installing by pip into target/python: {}", missing.join(" "));
        let mut arguments = vec!["install", "--quiet", "--disable-pip-version-check"];
        arguments.extend(missing);
        run(command(&pip, &arguments))?;
    }
    Ok(home)
}
