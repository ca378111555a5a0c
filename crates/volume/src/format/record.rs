//! The records of the log. Each says what is so from now on, not what changes, so that
//! reading one twice does no harm.
//!
//! Small ones have a fixed length by their kind; that of a change is written before it.

use super::field::{put_u32, u32_at};
use super::{FormatError, What};
use crate::units::{Epoch, ExtentIndex, Lba, Origin, Place, VolumeNumber};

/// The longest record, in bytes.
pub const RECORD_MAX: usize = 16 * 1024;
/// The longest of those that are not changes, in bytes.
pub const SMALL_MAX: usize = 22;
/// The longest content of a [`Record::Change`], in bytes.
pub const CHANGE_MAX: usize = RECORD_MAX - CHANGE_HEAD;
const CHANGE_HEAD: usize = 6;

const WRITE: u8 = 1;
const CLAIM: u8 = 2;
const LEAF: u8 = 3;
const INDEX: u8 = 4;
const FREE: u8 = 5;
const CHANGE: u8 = 6;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A block of a volume is at a place.
    Write {
        /// The volume.
        volume: VolumeNumber,
        /// The block of it.
        lba: Lba,
        /// Where it is now; [`Place::NONE`] when it is nowhere, that is, zeros.
        place: Place,
        /// The checksum of what is stored there.
        crc: u32,
        /// Where it was; [`Place::NONE`] when it was nowhere.
        old: Place,
        /// Whether the old place goes to the dead list (a snapshot needs it) instead of
        /// becoming free.
        kept: bool,
    },
    /// A free extent becomes somebody's.
    Claim {
        /// The extent.
        extent: ExtentIndex,
        /// Who has it now.
        origin: Origin,
        /// The epoch it is born in.
        birth: Epoch,
        /// Whether it holds pages instead of data.
        pages: bool,
    },
    /// A leaf page of a volume's map is at a place.
    Leaf {
        /// The volume.
        volume: VolumeNumber,
        /// Which leaf page.
        index: u32,
        /// Its pair of blocks; [`Place::NONE`] when there is none any more.
        place: Place,
        /// The pair whose content it begins with; [`Place::NONE`] when it begins empty.
        copy_of: Place,
        /// Whether `copy_of` goes to the dead list.
        kept: bool,
    },
    /// An index page of a volume's map is at a place.
    Index {
        /// The volume.
        volume: VolumeNumber,
        /// Which index page.
        index: u32,
        /// Its pair of blocks; [`Place::NONE`] when there is none any more.
        place: Place,
        /// The pair whose content it begins with; [`Place::NONE`] when it begins empty.
        copy_of: Place,
        /// Whether `copy_of` goes to the dead list.
        kept: bool,
    },
    /// A place becomes free since the snapshot that needed it is gone.
    Free {
        /// The place.
        place: Place,
        /// Whether it is a pair of blocks of a page instead of a block of data.
        pages: bool,
    },
    /// A change of the directory, as JSON. At most [`CHANGE_MAX`] bytes.
    Change(Vec<u8>),
}

impl Record {
    /// Its length in the log, in bytes.
    #[inline]
    pub fn length(&self) -> usize {
        match self {
            Record::Write { .. } => 22,
            Record::Claim { .. } => 14,
            Record::Leaf { .. } | Record::Index { .. } => 18,
            Record::Free { .. } => 6,
            Record::Change(content) => CHANGE_HEAD + content.len(),
        }
    }

    /// Writes it. `into` is exactly as long as [`Record::length`] says. Panics when a
    /// change is longer than [`CHANGE_MAX`].
    #[inline]
    pub fn encode(&self, into: &mut [u8]) {
        match self {
            Record::Write { volume, lba, place, crc, old, kept } => {
                let numbers = [volume.0, lba.0, place.0, *crc, old.0];
                small(into, WRITE, *kept, numbers);
            }
            Record::Claim { extent, origin, birth, pages } => {
                small(into, CLAIM, *pages, [extent.0, origin.0, birth.0]);
            }
            Record::Leaf { volume, index, place, copy_of, kept } => {
                small(into, LEAF, *kept, [volume.0, *index, place.0, copy_of.0]);
            }
            Record::Index { volume, index, place, copy_of, kept } => {
                small(into, INDEX, *kept, [volume.0, *index, place.0, copy_of.0]);
            }
            Record::Free { place, pages } => small(into, FREE, *pages, [place.0]),
            Record::Change(content) => {
                assert!(content.len() <= CHANGE_MAX, "a change fits into a record");
                let length = u32::try_from(content.len()).expect("below CHANGE_MAX");
                small(&mut into[..CHANGE_HEAD], CHANGE, false, [length]);
                into[CHANGE_HEAD..].copy_from_slice(content);
            }
        }
    }

    /// Reads the record that the bytes begin with, and says how long it is.
    ///
    /// # Errors
    /// [`FormatError::Short`] when it goes on behind them, [`FormatError::Value`] when
    /// its kind, a flag or its length is not known to us.
    pub fn decode(bytes: &[u8]) -> Result<(Record, usize), FormatError> {
        let [kind, flags, ..] = *bytes else { return Err(FormatError::Short(What::Record)) };
        let flag = match flags {
            0 => false,
            1 if kind != CHANGE => true,
            _ => return Err(FormatError::Value(What::Record)),
        };
        let record = match kind {
            WRITE => write(numbers(bytes)?, flag),
            CLAIM => claim(numbers(bytes)?, flag),
            LEAF => leaf(numbers(bytes)?, flag),
            INDEX => index(numbers(bytes)?, flag),
            FREE => Record::Free { place: Place(numbers::<1>(bytes)?[0]), pages: flag },
            CHANGE => change(bytes)?,
            _ => return Err(FormatError::Value(What::Record)),
        };
        let length = record.length();
        Ok((record, length))
    }
}

/// Writes a record of numbers: its kind, its flag, and they.
#[inline]
fn small<const N: usize>(into: &mut [u8], kind: u8, flag: bool, numbers: [u32; N]) {
    assert!(into.len() == 2 + 4 * N, "as long as the record");
    into[0] = kind;
    into[1] = u8::from(flag);
    for (index, number) in numbers.into_iter().enumerate() {
        put_u32(into, 2 + 4 * index, number);
    }
}

/// The numbers of a record.
fn numbers<const N: usize>(bytes: &[u8]) -> Result<[u32; N], FormatError> {
    if bytes.len() < 2 + 4 * N {
        return Err(FormatError::Short(What::Record));
    }
    Ok(std::array::from_fn(|index| u32_at(bytes, 2 + 4 * index)))
}

fn write([volume, lba, place, crc, old]: [u32; 5], kept: bool) -> Record {
    let (place, old) = (Place(place), Place(old));
    Record::Write { volume: VolumeNumber(volume), lba: Lba(lba), place, crc, old, kept }
}

fn claim([extent, origin, birth]: [u32; 3], pages: bool) -> Record {
    let (extent, origin, birth) = (ExtentIndex(extent), Origin(origin), Epoch(birth));
    Record::Claim { extent, origin, birth, pages }
}

fn leaf([volume, index, place, copy_of]: [u32; 4], kept: bool) -> Record {
    let (volume, place, copy_of) = (VolumeNumber(volume), Place(place), Place(copy_of));
    Record::Leaf { volume, index, place, copy_of, kept }
}

fn index([volume, index, place, copy_of]: [u32; 4], kept: bool) -> Record {
    let (volume, place, copy_of) = (VolumeNumber(volume), Place(place), Place(copy_of));
    Record::Index { volume, index, place, copy_of, kept }
}

fn change(bytes: &[u8]) -> Result<Record, FormatError> {
    let [length] = numbers(bytes)?;
    let length = usize::try_from(length).ok().filter(|length| *length <= CHANGE_MAX);
    let length = length.ok_or(FormatError::Value(What::Record))?;
    let content = bytes[CHANGE_HEAD..].get(..length).ok_or(FormatError::Short(What::Record))?;
    Ok(Record::Change(content.to_vec()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any record.
    pub(crate) fn any_record() -> impl Strategy<Value = Record> {
        let content = prop::collection::vec(any::<u8>(), 0..300);
        let small = (0..5_u8, any::<[u32; 5]>(), any::<bool>());
        let small = small.prop_map(|(kind, numbers, flag)| {
            let [a, b, c, d, _] = numbers;
            match kind {
                0 => write(numbers, flag),
                1 => claim([a, b, c], flag),
                2 => leaf([a, b, c, d], flag),
                3 => index([a, b, c, d], flag),
                _ => Record::Free { place: Place(a), pages: flag },
            }
        });
        prop_oneof![8 => small, 1 => content.prop_map(Record::Change)]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(record in any_record(), behind: [u8; 3]) {
            let mut bytes = vec![0; record.length()];
            record.encode(&mut bytes);
            let length = bytes.len();
            for cut in 0..length {
                let short = Err(FormatError::Short(What::Record));
                prop_assert_eq!(Record::decode(&bytes[..cut]), short);
            }
            bytes.extend(behind);
            prop_assert!(matches!(record, Record::Change(_)) || length <= SMALL_MAX);
            prop_assert_eq!(Record::decode(&bytes), Ok((record, length)));
        }

        #[test]
        fn any_bytes_are_a_record_or_none(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok((record, length)) = Record::decode(&bytes) {
                let mut again = vec![0; length];
                record.encode(&mut again);
                prop_assert_eq!(&again[..], &bytes[..length]);
            }
        }

        #[test]
        fn small_kinds_are_reached(kind in 0..9_u8, flag in 0..3_u8, rest: [u8; 28]) {
            let bytes = [&[kind, flag][..], &rest[..]].concat();
            let known = (1..=5).contains(&kind) && flag < 2;
            prop_assert!(Record::decode(&bytes).is_ok() == known || kind == CHANGE);
        }
    }

    #[test]
    fn a_length_that_is_too_great_is_refused() {
        let bytes = [&[CHANGE, 0][..], &u32::MAX.to_le_bytes()[..], &[0; 99][..]].concat();
        assert_eq!(Record::decode(&bytes), Err(FormatError::Value(What::Record)));
    }

    #[test]
    #[should_panic(expected = "a change fits into a record")]
    fn a_change_that_is_too_long_is_a_fault_of_ours() {
        let record = Record::Change(vec![0; CHANGE_MAX + 1]);
        record.encode(&mut vec![0; record.length()]);
    }
}
