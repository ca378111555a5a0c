//! The fast way into the installed system: its own kernel, loaded from its own
//! file system, without the firmware. Only where the system says plainly what to
//! start (a GRUB menu or a boot loader specification entry) and the running
//! kernel knows the file system and accepts the kernel's signature.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use thiserror::Error;

use crate::kernel::kexec::load;
use crate::settings::Roots;

/// File systems that a kernel may lie on, the likely first.
const FILE_SYSTEMS: [&str; 4] = ["ext4", "vfat", "xfs", "btrfs"];
/// Where a partition is mounted for a look.
const PLACE: &str = "/run/bedplate-boot";
/// Largest menu that is read.
const MENU_MOST: u64 = 1 << 20;

/// Why the firmware is not skipped.
#[derive(Debug, Error)]
pub enum KexecError {
    /// No kernel was found.
    #[error("the disk does not say which kernel to start")]
    NoKernel,
    /// The kernel refused it.
    #[error("the running kernel does not take {kernel}: {error}")]
    Refused {
        /// Which file.
        kernel: String,
        /// Why.
        error: std::io::Error,
    },
}

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Path of the kernel, from the root of its file system.
    pub kernel: String,
    /// Path of the initial ramdisk.
    pub ramdisk: String,
    /// Command line.
    pub command_line: String,
}

/// Loads the kernel of the system on this disk; then a restart by kexec starts it.
pub fn prepare(roots: &Roots, disk: &str) -> Result<(), KexecError> {
    let _ = fs::create_dir_all(PLACE);
    for partition in partitions(roots, disk) {
        for kind in FILE_SYSTEMS {
            let flags = MountFlags::RDONLY | MountFlags::NOEXEC | MountFlags::NODEV;
            if mount(roots.dev(&partition), PLACE, kind, flags, c"").is_err() {
                continue;
            }
            let loaded = load_from(Path::new(PLACE));
            let _ = unmount(PLACE, UnmountFlags::DETACH);
            match loaded {
                Err(KexecError::NoKernel) => break,
                other => return other,
            }
        }
    }
    Err(KexecError::NoKernel)
}

/// Names of a disk's partitions, from sysfs.
fn partitions(roots: &Roots, disk: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(roots.sys("block").join(disk)) else { return Vec::new() };
    let is_partition = |entry: &fs::DirEntry| entry.path().join("partition").exists();
    let mut names: Vec<String> = entries
        .flatten()
        .filter(is_partition)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn load_from(root: &Path) -> Result<(), KexecError> {
    let choice = find(root).ok_or(KexecError::NoKernel)?;
    let open = |path: &str| inside(root, path).and_then(|path| File::open(path).ok());
    let kernel = open(&choice.kernel).ok_or(KexecError::NoKernel)?;
    let ramdisk = open(&choice.ramdisk).ok_or(KexecError::NoKernel)?;
    load(&kernel, &ramdisk, &choice.command_line)
        .map_err(|error| KexecError::Refused { kernel: choice.kernel, error })
}

/// A path of the image's below its root; the image is hostile, so no `..`.
fn inside(root: &Path, path: &str) -> Option<PathBuf> {
    let relative = Path::new(path.trim_start_matches('/'));
    let plain = relative.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    // A boot partition of its own holds what its menu calls /boot/… or /…
    let direct = root.join(relative);
    let without = relative.strip_prefix("boot").map(|rest| root.join(rest));
    plain.then(|| if direct.exists() { direct } else { without.unwrap_or(direct) })
}

fn find(root: &Path) -> Option<Choice> {
    let entries = ["loader/entries", "boot/loader/entries"];
    for dir in entries {
        let mut files: Vec<PathBuf> = fs::read_dir(root.join(dir))
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path())
            .collect();
        files.sort();
        if let Some(choice) = files.iter().rev().find_map(|file| entry(&menu(file)?)) {
            return Some(choice);
        }
    }
    let menus = ["boot/grub/grub.cfg", "grub/grub.cfg", "boot/grub2/grub.cfg", "grub2/grub.cfg"];
    menus.iter().find_map(|file| grub(&menu(&root.join(file))?))
}

fn menu(path: &Path) -> Option<String> {
    let small = fs::metadata(path).is_ok_and(|about| about.is_file() && about.len() <= MENU_MOST);
    small.then(|| fs::read_to_string(path).ok())?
}

/// A boot loader specification entry (type 1).
pub fn entry(text: &str) -> Option<Choice> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.filter(|rest| rest.starts_with([' ', '\t'])).map(|rest| rest.trim().to_owned())
    };
    Some(Choice {
        kernel: field("linux")?,
        ramdisk: field("initrd")?,
        command_line: field("options").unwrap_or_default(),
    })
}

/// The first entry of a GRUB menu whose lines have no variables.
pub fn grub(text: &str) -> Option<Choice> {
    let mut kernel: Option<(String, String)> = None;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("linux" | "linuxefi") => {
                let path = words.next()?.to_owned();
                kernel = Some((path, words.collect::<Vec<_>>().join(" ")));
            }
            Some("initrd" | "initrdefi") => {
                let (kernel, command_line) = kernel.take()?;
                let ramdisk = words.next()?.to_owned();
                let plain =
                    ![&kernel, &ramdisk, &command_line].iter().any(|text| text.contains('$'));
                return plain.then_some(Choice { kernel, ramdisk, command_line });
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn menus_are_understood() {
        let text = "menuentry 'Debian' {\n\tlinux\t/boot/vmlinuz-6.1 root=PARTUUID=ab ro quiet\n\
                    \tinitrd\t/boot/initrd.img-6.1\n}\n";
        let choice = grub(text).unwrap();
        assert_eq!(choice.kernel, "/boot/vmlinuz-6.1");
        assert_eq!(choice.ramdisk, "/boot/initrd.img-6.1");
        assert_eq!(choice.command_line, "root=PARTUUID=ab ro quiet");
        assert_eq!(grub("linux /vmlinuz root=$root\ninitrd /i\n"), None);
        let choice = entry("title x\nlinux /a/linux\ninitrd /a/initrd\noptions quiet\n").unwrap();
        assert_eq!((choice.kernel.as_str(), choice.command_line.as_str()), ("/a/linux", "quiet"));
    }

    #[test]
    fn paths_stay_inside() {
        assert_eq!(inside(Path::new("/x"), "/../etc/shadow"), None);
        assert_eq!(inside(Path::new("/x"), "/a/b"), Some(PathBuf::from("/x/a/b")));
    }
}
