//! What a rack needs of the host, checked before anything is touched and told in
//! one sentence.

use std::path::{Path, PathBuf};

use world::process;

use crate::error::LabError;

/// Programs and the packages that have them.
const PROGRAMS: [(&str, &str); 5] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("swtpm", "swtpm"),
    ("swtpm_setup", "swtpm-tools"),
    ("ip", "iproute2"),
    ("setpriv", "util-linux"),
];
/// Where distributions put OVMF.
const FIRMWARE_DIRS: [&str; 3] = ["/usr/share/OVMF", "/usr/share/edk2/ovmf", "/usr/share/edk2/x64"];

/// The firmware that machines run.
#[derive(Clone, Debug)]
pub struct Firmware {
    /// OVMF with secure boot and system management mode.
    pub code: PathBuf,
    /// An empty variable store.
    pub blank: PathBuf,
    /// A variable store with Microsoft's keys; Debian's shim needs them.
    pub microsoft: Option<PathBuf>,
}

impl Firmware {
    /// The firmware that is installed.
    pub fn find() -> Option<Self> {
        FIRMWARE_DIRS.iter().find_map(|dir| Self::within(Path::new(dir)))
    }

    fn within(dir: &Path) -> Option<Self> {
        let present = |name: &str| Some(dir.join(name)).filter(|path| path.is_file());
        Some(Self {
            code: present("OVMF_CODE_4M.secboot.fd")?,
            blank: present("OVMF_VARS_4M.fd")?,
            microsoft: present("OVMF_VARS_4M.ms.fd"),
        })
    }
}

/// Whether a rack can be brought up here; the error says what to install or how to run.
pub fn check() -> Result<Firmware, LabError> {
    check_with(|program| process::find(program).is_some(), Firmware::find())
}

pub(crate) fn check_with(
    has: impl Fn(&str) -> bool,
    firmware: Option<Firmware>,
) -> Result<Firmware, LabError> {
    let absent = || PROGRAMS.iter().filter(|(program, _)| !has(program));
    let mut what: Vec<String> = absent().map(|(program, _)| (*program).to_owned()).collect();
    let mut packages: Vec<&'static str> = absent().map(|(_, package)| *package).collect();
    match firmware {
        Some(firmware) if what.is_empty() => return Ok(firmware),
        Some(_) => {}
        None => {
            what.push("OVMF_CODE_4M.secboot.fd".into());
            packages.push("ovmf");
        }
    }
    Err(LabError::Missing { what, packages })
}

/// Whether this process may make namespaces and tap devices.
pub fn check_root() -> Result<(), LabError> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(LabError::NotRoot) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let error = check_with(|program| program != "swtpm", None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "swtpm, OVMF_CODE_4M.secboot.fd not found; install with: apt-get install swtpm ovmf"
        );
    }
}
