//! The header of a qcow2 file, and what is refused: a backing file, encryption,
//! external data, what is marked corrupt, and features that we do not know.

use thiserror::Error;

/// Bytes of the file that hold everything we read of the header.
pub const LENGTH: usize = 112;
/// Largest first-level table, as QEMU has it: 32 MiB.
const FIRST_MOST: u64 = (32 << 20) / 8;
/// Most clusters that an image may have: keeps the map of clusters at 32 MiB.
const CLUSTERS_MOST: u64 = 1 << 28;

/// Why a qcow2 file is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// Too short, or other first bytes.
    #[error("this is not a qcow2 file")]
    NotQcow2,
    /// Neither 2 nor 3.
    #[error("qcow2 version {0} is not known")]
    Version(u32),
    /// It needs another file.
    #[error("the image needs a backing file; flatten it with qemu-img convert")]
    BackingFile,
    /// It is encrypted.
    #[error("the image is encrypted")]
    Encrypted,
    /// It says that it is corrupt.
    #[error("the image is marked as corrupt; try qemu-img check")]
    Corrupt,
    /// A feature that changes its meaning.
    #[error("the image needs features that are not supported (bits {0:#x}); use qemu-img convert")]
    Features(u64),
    /// Sizes that contradict each other or are beyond reason.
    #[error("the image's header makes no sense: {0}")]
    Nonsense(&'static str),
}

/// How clusters are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Raw deflate.
    Deflate,
    /// Zstandard.
    Zstd,
}

/// What is needed of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// A cluster has `1 << cluster_bits` bytes.
    pub cluster_bits: u32,
    /// Bytes of the guest's disk.
    pub size: u64,
    /// Where the first-level table is.
    pub first_at: u64,
    /// Entries of it that are needed.
    pub first_entries: u64,
    /// How clusters are packed.
    pub packing: Packing,
}

const DIRTY: u64 = 1;
const CORRUPT: u64 = 2;
const COMPRESSION_TYPE: u64 = 8;

impl Header {
    /// From the first [`LENGTH`] bytes of the file (a shorter file is padded by the caller).
    pub fn parse(bytes: &[u8; LENGTH]) -> Result<Self, HeaderError> {
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let long = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        if &bytes[..4] != b"QFI\xfb" {
            return Err(HeaderError::NotQcow2);
        }
        let version = word(4);
        let features = match version {
            2 => 0,
            3 => long(72),
            other => return Err(HeaderError::Version(other)),
        };
        if long(8) != 0 || word(16) != 0 {
            return Err(HeaderError::BackingFile);
        }
        if word(32) != 0 {
            return Err(HeaderError::Encrypted);
        }
        if features & CORRUPT != 0 {
            return Err(HeaderError::Corrupt);
        }
        // Dirty means only that reference counts may be wrong; we do not use them.
        let unknown = features & !(DIRTY | CORRUPT | COMPRESSION_TYPE);
        if unknown != 0 {
            return Err(HeaderError::Features(unknown));
        }
        let packing = match (features & COMPRESSION_TYPE != 0 && word(100) > 104, bytes[104]) {
            (false, _) | (true, 0) => Packing::Deflate,
            (true, 1) => Packing::Zstd,
            (true, _) => return Err(HeaderError::Features(COMPRESSION_TYPE)),
        };
        Self::measured(word(20), long(24), word(36), long(40), packing)
    }

    fn measured(
        cluster_bits: u32,
        size: u64,
        entries: u32,
        first_at: u64,
        packing: Packing,
    ) -> Result<Self, HeaderError> {
        if !(9..=21).contains(&cluster_bits) {
            return Err(HeaderError::Nonsense("size of a cluster"));
        }
        let cluster = 1u64 << cluster_bits;
        let per_entry = cluster * (cluster / 8);
        let first_entries = size.div_ceil(per_entry);
        if size == 0 || size.div_ceil(cluster) > CLUSTERS_MOST {
            return Err(HeaderError::Nonsense("size of the disk"));
        }
        if first_entries > u64::from(entries) || first_entries > FIRST_MOST {
            return Err(HeaderError::Nonsense("size of the first-level table"));
        }
        if first_at < cluster || !first_at.is_multiple_of(cluster) || first_at >> 56 != 0 {
            return Err(HeaderError::Nonsense("place of the first-level table"));
        }
        Ok(Self { cluster_bits, size, first_at, first_entries, packing })
    }

    /// Bytes of a cluster.
    pub const fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }
    /// Clusters of the guest's disk.
    pub const fn clusters(&self) -> u64 {
        self.size.div_ceil(self.cluster())
    }
    /// Entries of a second-level table.
    pub const fn second_entries(&self) -> u64 {
        self.cluster() / 8
    }
}
