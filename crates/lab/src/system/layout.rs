//! How the disk is divided: the boot partition first, the root last, so that it can
//! be grown when it comes to a larger disk.

use model::Bytes;

/// One MiB: partitions begin and end at multiples of it.
pub(super) const MIB: u64 = 1 << 20;
/// What stands before the first partition.
const FRONT: u64 = MIB;
/// The boot partition: two boot loaders of 5 MB together, and a page of text.
const BOOT: u64 = 8 * MIB;
/// The copy of the partition table at the end.
const BACK: u64 = MIB;
/// Room for a first boot on a disk that was not grown.
const SPARE: u64 = 64 * MIB;
/// The journal of the root file system.
pub(super) const JOURNAL_MIB: u64 = 16;

/// Places of the partitions, in bytes, all multiples of [`MIB`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Size of the root's partition.
    root: u64,
}

impl Layout {
    /// For this many bytes of files.
    pub fn holding(content: Bytes) -> Self {
        // An eighth for what the file system needs for itself.
        let needed = content.0 + content.0 / 8 + JOURNAL_MIB * MIB + SPARE;
        Self { root: needed.next_multiple_of(MIB) }
    }
    /// Where the boot partition begins, and how long it is.
    pub fn boot(&self) -> (u64, u64) {
        (FRONT, BOOT)
    }
    /// Where the root begins, and how long it is.
    pub fn root(&self) -> (u64, u64) {
        (FRONT + BOOT, self.root)
    }
    /// Of the whole disk.
    pub fn size(&self) -> Bytes {
        Bytes(FRONT + BOOT + self.root + BACK)
    }

    /// What `sfdisk` is told: types as the UEFI specification (table 5.7) and the
    /// Discoverable Partitions Specification name them.
    pub fn script(&self, disk: &str, root: &str) -> String {
        let (boot, root_at) = (self.boot(), self.root());
        format!(
            "label: gpt\nlabel-id: {disk}\n\
             start={}MiB, size={}MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=boot\n\
             start={}MiB, size={}MiB, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root, uuid={root}\n",
            boot.0 / MIB,
            boot.1 / MIB,
            root_at.0 / MIB,
            root_at.1 / MIB,
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_root_comes_last() {
        let layout = Layout::holding(Bytes(300 * MIB));
        let script = layout.script("D", "R");
        let lines: Vec<&str> = script.lines().collect();
        assert_eq!(lines[..2], ["label: gpt", "label-id: D"]);
        assert!(lines[2].starts_with("start=1MiB, size=8MiB, type=C12A7328-"), "{script}");
        assert!(lines[3].starts_with("start=9MiB, size=418MiB, type=4F68BCE3-"), "{script}");
        assert!(lines[3].ends_with("uuid=R"), "{script}");
        assert_eq!(layout.size(), Bytes((9 + 418 + 1) * MIB));
    }

    proptest! {
        #[test]
        fn partitions_neither_overlap_nor_leave_the_disk(content in 0u64..1 << 40) {
            let layout = Layout::holding(Bytes(content));
            let (boot, root) = (layout.boot(), layout.root());
            prop_assert!(boot.0 >= MIB && boot.0 + boot.1 <= root.0);
            prop_assert!(root.0 + root.1 + MIB <= layout.size().0);
            prop_assert!(root.1 > content + SPARE);
            prop_assert!([boot.0, boot.1, root.0, root.1].iter().all(|it| it % MIB == 0));
        }
    }
}
