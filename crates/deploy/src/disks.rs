//! The machine's disks as sysfs shows them: whole, writable, fixed disks. What
//! is removable (a stick, virtual media) or made of other disks is not ours to
//! write to or to wipe.

use std::fs;
use std::path::{Path, PathBuf};

use model::Bytes;
use model::inventory::Disk;

use crate::settings::Roots;

/// sysfs gives at most one page; a longer answer is cut.
const ATTRIBUTE_MOST: usize = 4096;
/// Kernel names of what is not a disk of the machine.
const NOT_DISKS: [&str; 9] = ["loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd", "mtdblock"];

/// A disk and where its node is.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundDisk {
    /// As the model tells it.
    pub disk: Disk,
    /// Device node.
    pub node: PathBuf,
    /// Version of its firmware; empty when it does not say.
    pub firmware: String,
}

/// All disks in the order of their names.
pub fn list(roots: &Roots) -> Vec<FoundDisk> {
    let Ok(entries) = fs::read_dir(roots.sys("block")) else { return Vec::new() };
    let mut found: Vec<FoundDisk> = entries
        .flatten()
        .filter_map(|entry| look_at(roots, &entry.path(), &entry.file_name().to_string_lossy()))
        .collect();
    found.sort_by(|a, b| a.disk.name.cmp(&b.disk.name));
    found
}

/// One disk; `None` when it is not the machine's own, or empty, or read-only.
fn look_at(roots: &Roots, dir: &Path, name: &str) -> Option<FoundDisk> {
    let flag = |path: &str| attribute(&dir.join(path)) == "1";
    let foreign = NOT_DISKS.iter().any(|kind| name.starts_with(kind));
    if foreign || flag("removable") || flag("ro") || flag("hidden") {
        return None;
    }
    let sectors: u64 = attribute(&dir.join("size")).parse().ok()?;
    let size = sectors.checked_mul(512).filter(|size| *size > 0)?;
    let disk = Disk {
        name: name.to_owned(),
        model: attribute(&dir.join("device/model")),
        serial: serial(dir),
        size: Bytes(size),
        rotational: flag("queue/rotational"),
        transport: transport(dir, name),
    };
    let firmware = match attribute(&dir.join("device/firmware_rev")) {
        empty if empty.is_empty() => attribute(&dir.join("device/rev")),
        revision => revision,
    };
    Some(FoundDisk { disk, node: roots.dev(name), firmware })
}

/// virtio, then NVMe, then SCSI (vital product data page 80h: four bytes, then text).
fn serial(dir: &Path) -> String {
    for place in ["serial", "device/serial"] {
        let text = attribute(&dir.join(place));
        if !text.is_empty() {
            return text;
        }
    }
    let page = fs::read(dir.join("device/vpd_pg80")).unwrap_or_default();
    clean(page.get(4..).unwrap_or_default())
}

/// How it is attached, by where it hangs in the tree of devices.
fn transport(dir: &Path, name: &str) -> String {
    let place = fs::canonicalize(dir).unwrap_or_default().to_string_lossy().into_owned();
    let kinds = [
        ("/nvme/", "nvme"),
        ("/virtio", "virtio"),
        ("/ata", "sata"),
        ("/usb", "usb"),
        ("/end_device", "sas"),
    ];
    let known = kinds.iter().find(|(mark, _)| place.contains(mark)).map(|(_, kind)| *kind);
    let by_name = match name {
        name if name.starts_with("nvme") => "nvme",
        name if name.starts_with("vd") => "virtio",
        _ => "scsi",
    };
    known.unwrap_or(by_name).to_owned()
}

/// A sysfs attribute as trimmed printable text; empty when there is none.
pub fn attribute(path: &Path) -> String {
    clean(&fs::read(path).unwrap_or_default())
}

fn clean(bytes: &[u8]) -> String {
    let bounded = &bytes[..bytes.len().min(ATTRIBUTE_MOST)];
    let text = String::from_utf8_lossy(bounded);
    text.trim_matches(|c: char| c.is_whitespace() || c.is_control()).replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_disks_and_leaves_the_rest() {
        let dir = std::env::temp_dir().join(format!("bedplate-disks-{}", std::process::id()));
        for (name, size, removable) in
            [("vdb", "8192", "0"), ("loop0", "8", "0"), ("sr0", "8", "1"), ("vda", "4096", "0")]
        {
            let block = dir.join("sys/block").join(name);
            fs::create_dir_all(&block).unwrap();
            fs::write(block.join("size"), format!("{size}\n")).unwrap();
            fs::write(block.join("removable"), removable).unwrap();
            fs::write(block.join("serial"), "ABC \n").unwrap();
        }
        let found = list(&Roots::new(&dir));
        fs::remove_dir_all(&dir).unwrap();
        let names: Vec<&str> = found.iter().map(|disk| disk.disk.name.as_str()).collect();
        assert_eq!(names, ["vda", "vdb"]);
        assert_eq!(found[0].disk.size, Bytes(4096 * 512));
        assert_eq!(
            (found[0].disk.serial.as_str(), found[0].disk.transport.as_str()),
            ("ABC", "virtio")
        );
    }
}
