//! Writes a cpio archive in the format `newc`, which the kernel unpacks as the
//! initial ramdisk (kernel documentation, `driver-api/early-userspace`).
//!
//! The same entries give the same bytes: no times, no owners, inodes by count.

/// Kinds of entry, as the upper bits of the mode.
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const CHARACTER: u32 = 0o020_000;

/// An archive that is being written.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    directories: std::collections::BTreeSet<String>,
}

impl Archive {
    /// A folder, with those above it that are not there yet.
    pub fn directory(&mut self, path: &str) {
        if path.is_empty() || self.directories.contains(path) {
            return;
        }
        self.parent(path);
        self.directories.insert(path.to_owned());
        self.entry(path, DIRECTORY | 0o755, (0, 0), &[]);
    }

    /// A file with its permissions.
    pub fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        self.parent(path);
        self.entry(path, FILE | (mode & 0o7777), (0, 0), bytes);
    }

    /// A character device.
    pub fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.parent(path);
        self.entry(path, CHARACTER | 0o600, (major, minor), &[]);
    }

    /// The whole archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entries = u32::MAX;
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn parent(&mut self, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), bytes: &[u8]) {
        assert!(!path.starts_with('/') && !path.contains('\0'), "a path inside the archive");
        self.entries = self.entries.wrapping_add(1);
        let links = if mode & DIRECTORY != 0 { 2 } else { 1 };
        let size = u32::try_from(bytes.len()).expect("a file of a ramdisk is below 4 GiB");
        let name = u32::try_from(path.len() + 1).expect("a path is short");
        let fields = [self.entries, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
