//! The kernel's file systems, where everything expects them.

use std::fs;
use std::path::Path;

use rustix::mount::{MountFlags, mount};

/// Kind and place, in this order.
const EARLY: [(&str, &str); 4] =
    [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/run")];
/// After the drivers: the firmware's variables may need a module.
const LATE: [(&str, &str); 2] =
    [("securityfs", "/sys/kernel/security"), ("efivarfs", "/sys/firmware/efi/efivars")];

/// Mounts what everything else needs.
pub fn early() {
    EARLY.iter().for_each(|(kind, place)| one(kind, place));
}

/// Mounts what only some machines have.
pub fn late() {
    LATE.iter()
        .filter(|(_, place)| Path::new(place).is_dir())
        .for_each(|(kind, place)| one(kind, place));
}

fn one(kind: &str, place: &str) {
    let _ = fs::create_dir_all(place);
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    match mount(kind, place, kind, flags, c"") {
        Ok(()) | Err(rustix::io::Errno::BUSY) => {}
        Err(error) => crate::say!("cannot mount {kind} on {place}: {error}"),
    }
}
