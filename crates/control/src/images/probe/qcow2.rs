//! The header of QEMU's copy-on-write format (QEMU's docs/interop/qcow2.rst):
//! big-endian numbers, 72 bytes in version 2 and at least 104 in version 3.

/// Why an image in this format is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Qcow2Error {
    /// It ends in its header.
    #[error("the qcow2 header is cut off")]
    Short,
    /// Another version.
    #[error("qcow2 version {0} is not known; versions 2 and 3 are")]
    Version(u32),
    /// It is only the difference to another file.
    #[error("it needs a backing file; `qemu-img convert -O qcow2` makes one that stands alone")]
    Backing,
    /// It is encrypted.
    #[error("it is encrypted, and nobody could start it")]
    Encrypted,
    /// Its data is elsewhere.
    #[error("its data is in another file; `qemu-img convert -O qcow2` makes one that stands alone")]
    External,
    /// QEMU marked it as damaged, or as not closed.
    #[error("it is marked as damaged or not closed; `qemu-img check -r all` may repair it")]
    Damaged,
    /// It has features of a later time.
    #[error("it has features that are not known ({0:#x})")]
    Features(u64),
    /// Its clusters are too small or too large.
    #[error("its clusters of 2^{0} bytes are outside of 2^9 to 2^21")]
    Cluster(u32),
}

const MAGIC: &[u8; 4] = b"QFI\xfb";
const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;

/// Whether these bytes begin such an image.
pub fn is_qcow2(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// Size of the disk that an image makes, in bytes, by its header.
pub fn virtual_size(head: &[u8]) -> Result<u64, Qcow2Error> {
    if !is_qcow2(head) {
        return Err(Qcow2Error::Short);
    }
    let version = number32(head, 4)?;
    if !matches!(version, 2 | 3) {
        return Err(Qcow2Error::Version(version));
    }
    if number64(head, 8)? != 0 || number32(head, 16)? != 0 {
        return Err(Qcow2Error::Backing);
    }
    let cluster_bits = number32(head, 20)?;
    if !(9..=21).contains(&cluster_bits) {
        return Err(Qcow2Error::Cluster(cluster_bits));
    }
    if number32(head, 32)? != 0 {
        return Err(Qcow2Error::Encrypted);
    }
    if version == 3 {
        check_features(number64(head, 72)?)?;
    }
    number64(head, 24)
}

fn check_features(features: u64) -> Result<(), Qcow2Error> {
    if features & EXTERNAL_DATA != 0 {
        return Err(Qcow2Error::External);
    }
    if features & (DIRTY | CORRUPT) != 0 {
        return Err(Qcow2Error::Damaged);
    }
    match features & !COMPRESSION_TYPE {
        0 => Ok(()),
        unknown => Err(Qcow2Error::Features(unknown)),
    }
}

fn number32(head: &[u8], at: usize) -> Result<u32, Qcow2Error> {
    let bytes = head.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Qcow2Error::Short)?;
    Ok(u32::from_be_bytes(*bytes))
}

fn number64(head: &[u8], at: usize) -> Result<u64, Qcow2Error> {
    let bytes = head.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Qcow2Error::Short)?;
    Ok(u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 3, 104 bytes, clusters of 64 KiB, 8 GiB.
    fn header() -> Vec<u8> {
        let mut head = vec![0; 104];
        head[..4].copy_from_slice(MAGIC);
        head[4..8].copy_from_slice(&3u32.to_be_bytes());
        head[20..24].copy_from_slice(&16u32.to_be_bytes());
        head[24..32].copy_from_slice(&(8u64 << 30).to_be_bytes());
        head[100..104].copy_from_slice(&104u32.to_be_bytes());
        head
    }

    fn with(at: usize, bytes: &[u8]) -> Result<u64, Qcow2Error> {
        let mut head = header();
        head[at..at + bytes.len()].copy_from_slice(bytes);
        virtual_size(&head)
    }

    #[test]
    fn the_size_is_read_and_what_does_not_stand_alone_is_refused() {
        assert_eq!(virtual_size(&header()), Ok(8 << 30));
        assert_eq!(with(8, &512u64.to_be_bytes()), Err(Qcow2Error::Backing));
        assert_eq!(with(32, &2u32.to_be_bytes()), Err(Qcow2Error::Encrypted));
        assert_eq!(with(72, &EXTERNAL_DATA.to_be_bytes()), Err(Qcow2Error::External));
        assert_eq!(with(72, &CORRUPT.to_be_bytes()), Err(Qcow2Error::Damaged));
        assert_eq!(with(72, &COMPRESSION_TYPE.to_be_bytes()), Ok(8 << 30));
        assert_eq!(with(72, &(1u64 << 40).to_be_bytes()), Err(Qcow2Error::Features(1 << 40)));
        assert_eq!(with(4, &9u32.to_be_bytes()), Err(Qcow2Error::Version(9)));
        assert_eq!(with(20, &40u32.to_be_bytes()), Err(Qcow2Error::Cluster(40)));
        assert_eq!(virtual_size(&header()[..30]), Err(Qcow2Error::Short));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(mut head in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = virtual_size(&head);
            if head.len() >= 4 {
                head[..4].copy_from_slice(MAGIC);
                let _ = virtual_size(&head);
            }
        }
    }
}
