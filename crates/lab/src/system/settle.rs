//! What the packages leave to whoever makes an image of them: our own files, what
//! does not start at boot, and whatever must differ from machine to machine.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::SystemError;
use super::error::file;
use super::recipe::Recipe;

const UNITS: &str = "etc/systemd/system";

/// Files of ours: where, with which permissions, and what.
const FILES: [(&str, u32, &str); 16] = [
    ("etc/cloud/cloud.cfg.d/90-bedplate.cfg", 0o644, include_str!("files/cloud.cfg")),
    ("etc/systemd/network/90-lan.network", 0o644, include_str!("files/lan.network")),
    ("etc/ssh/sshd_config.d/50-cloud-init.conf", 0o600, include_str!("files/sshd.conf")),
    ("usr/lib/bedplate/stages.py", 0o644, include_str!("files/stages.py")),
    ("usr/lib/bedplate/stage", 0o755, include_str!("files/stage.sh")),
    (
        "usr/lib/bedplate/bin/update-ca-certificates",
        0o755,
        include_str!("files/update-ca-certificates.sh"),
    ),
    (
        "etc/systemd/system/cloud-init-main.service",
        0o644,
        include_str!("files/units/cloud-init-main.service"),
    ),
    (
        "etc/systemd/system/cloud-init-local.service",
        0o644,
        include_str!("files/units/cloud-init-local.service"),
    ),
    (
        "etc/systemd/system/cloud-init.service",
        0o644,
        include_str!("files/units/cloud-init.service"),
    ),
    (
        "etc/systemd/system/cloud-final.service",
        0o644,
        include_str!("files/units/cloud-final.service"),
    ),
    (
        "etc/systemd/system/systemd-udev-trigger.service",
        0o644,
        include_str!("files/units/systemd-udev-trigger.service"),
    ),
    (
        "etc/systemd/system/udev-trigger-rest.service",
        0o644,
        include_str!("files/units/udev-trigger-rest.service"),
    ),
    ("etc/systemd/system/dbus.service.d/later.conf", 0o644, include_str!("files/after-users.conf")),
    (
        "etc/systemd/system/systemd-logind.service.d/later.conf",
        0o644,
        include_str!("files/after-users.conf"),
    ),
    ("etc/hostname", 0o644, "localhost\n"),
    ("etc/hosts", 0o644, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"),
];

/// Files that are made anew on each machine, and so must not be in the image.
/// systemd makes an identity where the file is there and empty.
const EMPTY: [&str; 2] = ["etc/machine-id", "etc/fstab"];

/// Units that do not start: they cost time at each boot, and a server that is wiped
/// when its user leaves has no use for them. `systemctl unmask` brings one back.
pub(super) const OFF: [&str; 41] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    // One terminal, on the serial port.
    "getty@tty1.service",
    "getty-static.service",
    // The configuration is done in cloud-init's last stage.
    "cloud-config.service",
    "cloud-init-hotplugd.socket",
    // Debian's older way with networks; here it is systemd-networkd.
    "networking.service",
    "systemd-network-generator.service",
    "systemd-firstboot.service",
    "systemd-repart.service",
    "systemd-sysusers.service",
    "systemd-machine-id-commit.service",
    // The kernel mounts the root for writing at once.
    "systemd-remount-fs.service",
    "systemd-pcrphase.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pstore.service",
    "systemd-binfmt.service",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-ask-password-wall.path",
    "systemd-ask-password-console.path",
    "systemd-initctl.socket",
    "systemd-journald-audit.socket",
    "systemd-rfkill.socket",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-fs-fuse-connections.mount",
    "modprobe@configfs.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "remote-fs.target",
    "rc-local.service",
];

/// Generators of units that have nothing to generate here. Each is a program that
/// systemd starts and waits for before anything else.
const GENERATORS_OFF: [&str; 11] = [
    "cloud-init-generator",
    "systemd-bless-boot-generator",
    "systemd-getty-generator",
    "systemd-gpt-auto-generator",
    "systemd-hibernate-resume-generator",
    "systemd-integritysetup-generator",
    "systemd-rc-local-generator",
    "systemd-run-generator",
    "systemd-system-update-generator",
    "systemd-sysv-generator",
    "systemd-veritysetup-generator",
];

/// Units that start: link, and what it points at.
const ON: [(&str, &str); 5] = [
    ("multi-user.target.wants/cloud-init.target", "/lib/systemd/system/cloud-init.target"),
    (
        "multi-user.target.wants/systemd-networkd.service",
        "/lib/systemd/system/systemd-networkd.service",
    ),
    ("sockets.target.wants/systemd-networkd.socket", "/lib/systemd/system/systemd-networkd.socket"),
    (
        "network-online.target.wants/systemd-networkd-wait-online.service",
        "/lib/systemd/system/systemd-networkd-wait-online.service",
    ),
    // What the generator would make of the kernel's console.
    ("getty.target.wants/serial-getty@ttyS0.service", "/lib/systemd/system/serial-getty@.service"),
];

/// What the packages must have brought, or nothing would boot.
const NEEDED: [&str; 5] = [
    "vmlinuz",
    "usr/sbin/sshd",
    "usr/bin/cloud-init",
    "usr/lib/systemd/systemd",
    "usr/lib/systemd/systemd-networkd",
];

/// Paths and contents of our files, for the recipe's digest.
pub(super) fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().map(|(path, _, content)| (*path, *content))
}

/// Makes an image's tree of a freshly installed one.
pub(super) fn settle(recipe: &Recipe, root: &Path) -> Result<(), SystemError> {
    for needed in NEEDED {
        if fs::metadata(root.join(needed)).is_err() {
            return Err(SystemError::Lacking { what: format!("/{needed} ({})", recipe.suite()) });
        }
    }
    forget(root)?;
    for (path, mode, content) in FILES {
        put(root, path, mode, content)?;
    }
    for path in EMPTY {
        put(root, path, 0o644, "")?;
    }
    for unit in OFF {
        link(&root.join(UNITS).join(unit), "/dev/null")?;
    }
    for generator in GENERATORS_OFF {
        link(&root.join("etc/systemd/system-generators").join(generator), "/dev/null")?;
    }
    for (unit, target) in ON {
        link(&root.join(UNITS).join(unit), target)?;
    }
    add_group(root, "netdev")
}

/// Removes the keys and caches that installing left.
fn forget(root: &Path) -> Result<(), SystemError> {
    let stale = [
        "var/lib/dbus/machine-id",
        "etc/resolv.conf.original",
        "etc/.resolv.conf.systemd-resolved.bak",
        "usr/lib/udev/hwdb.bin",
        "etc/udev/hwdb.bin",
        "etc/systemd/system/cloud-init.target.wants/cloud-config.service",
    ];
    for path in stale {
        remove(&root.join(path))?;
    }
    let keys = root.join("etc/ssh");
    for entry in fs::read_dir(&keys).map_err(file(&keys))? {
        let entry = entry.map_err(file(&keys))?;
        if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// A group that cloud-init would add on each machine, to be there already.
fn add_group(root: &Path, name: &str) -> Result<(), SystemError> {
    let path = root.join("etc/group");
    let mut groups = fs::read_to_string(&path).map_err(file(&path))?;
    if groups.lines().any(|line| line.split(':').next() == Some(name)) {
        return Ok(());
    }
    let taken =
        |id: u32| groups.lines().any(|line| line.split(':').nth(2) == Some(&id.to_string()));
    // The range of groups that packages make (Debian Policy 9.2.2), from above.
    let Some(free) = (100..1000).rev().find(|id| !taken(*id)) else {
        return Ok(());
    };
    groups.push_str(&format!("{name}:x:{free}:\n"));
    fs::write(&path, groups).map_err(file(&path))?;
    let path = root.join("etc/gshadow");
    let mut shadow = fs::read_to_string(&path).map_err(file(&path))?;
    shadow.push_str(&format!("{name}:!::\n"));
    fs::write(&path, shadow).map_err(file(&path))
}

/// Writes a file in place of whatever is there, never through a link of the tree.
fn put(root: &Path, path: &str, mode: u32, content: &str) -> Result<(), SystemError> {
    let path = root.join(path);
    folder_of(&path)?;
    remove(&path)?;
    fs::write(&path, content).map_err(file(&path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(file(&path))
}

fn link(path: &Path, target: &str) -> Result<(), SystemError> {
    folder_of(path)?;
    remove(path)?;
    symlink(target, path).map_err(file(path))
}

fn folder_of(path: &Path) -> Result<(), SystemError> {
    let folder = path.parent().expect("every path here is within the tree");
    fs::create_dir_all(folder).map_err(file(folder))
}

fn remove(path: &Path) -> Result<(), SystemError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(file(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Order;
    use super::*;

    fn tree(name: &str) -> std::path::PathBuf {
        let root = std::env::temp_dir().join(format!("bedplate-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for path in NEEDED.iter().chain(&["etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_config"]) {
            put(&root, path, 0o644, "x").unwrap();
        }
        put(&root, "etc/group", 0o644, "root:x:0:\nusers:x:999:\n").unwrap();
        put(&root, "etc/gshadow", 0o640, "root:*::\nusers:*::\n").unwrap();
        root
    }

    #[test]
    fn a_settled_tree_has_our_files_and_no_keys() {
        let root = tree("settle");
        let recipe = Recipe::of(&Order::new("/out", "/work")).unwrap();
        // A link in the tree must not lead the writer out of it.
        link(&root.join("etc/hostname"), "/proc/sys/kernel/hostname").unwrap();
        settle(&recipe, &root).unwrap();
        settle(&recipe, &root).unwrap();
        assert_eq!(fs::read_to_string(root.join("etc/hostname")).unwrap(), "localhost\n");
        assert_eq!(fs::read_to_string(root.join("etc/machine-id")).unwrap(), "");
        assert!(!root.join("etc/ssh/ssh_host_rsa_key").exists());
        assert!(root.join("etc/ssh/ssh_config").exists());
        let off = fs::read_link(root.join(UNITS).join("apt-daily.timer")).unwrap();
        assert_eq!(off, Path::new("/dev/null"));
        let groups = fs::read_to_string(root.join("etc/group")).unwrap();
        assert!(groups.ends_with("netdev:x:998:\n"), "{groups}");
        let mode = fs::metadata(root.join("usr/lib/bedplate/stage")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_tree_without_a_kernel_is_refused() {
        let root = tree("kernel");
        fs::remove_file(root.join("vmlinuz")).unwrap();
        let recipe = Recipe::of(&Order::new("/out", "/work")).unwrap();
        let error = settle(&recipe, &root).unwrap_err();
        assert!(error.to_string().starts_with("the installed system lacks /vmlinuz"), "{error}");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn what_is_ours_is_not_off_at_once() {
        for (path, _, _) in FILES {
            let unit = path.strip_prefix("etc/systemd/system/");
            assert!(unit.is_none_or(|unit| !OFF.contains(&unit)), "{path}");
        }
    }
}
