//! The tables of the index: one for each question that must be answered without a scan.

use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

use super::kept::{Kept, decode};
use super::keys;
use crate::mutation::Which;
use crate::name::BucketId;
use crate::store::StoreError;

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// The newest version of each key.
pub const CURRENT: Bytes = TableDefinition::new("current");
/// All other versions.
pub const VERSIONS: Bytes = TableDefinition::new("versions");
/// The null version of each key whose newest it is not.
pub const NULLS: TableDefinition<'static, &'static [u8], u64> = TableDefinition::new("nulls");
/// Uploads.
pub const UPLOADS: Bytes = TableDefinition::new("uploads");
/// Parts.
pub const PARTS: Bytes = TableDefinition::new("parts");
/// Where a version's body is, when it is not in its record; by its sequence.
pub const BODIES: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("bodies");
/// Pieces of segments that count: their lengths.
pub const PIECES: TableDefinition<'static, (u32, u64), u64> = TableDefinition::new("pieces");
/// Buckets by number.
pub const BUCKETS: TableDefinition<'static, u32, &'static [u8]> = TableDefinition::new("buckets");
/// What buckets hold: versions, bytes, uploads.
pub const USAGE: TableDefinition<'static, u32, (u64, u64, u64)> = TableDefinition::new("usage");
/// Owners by number.
pub const OWNERS: TableDefinition<'static, u32, &'static str> = TableDefinition::new("owners");
/// Bytes of each segment that count.
pub const LIVE: TableDefinition<'static, u32, u64> = TableDefinition::new("live");
/// One value: [`super::books::Written`].
pub const META: TableDefinition<'static, u32, &'static [u8]> = TableDefinition::new("meta");

/// All that a change may touch, open.
pub struct Tables<'t> {
    pub current: Table<'t, &'static [u8], &'static [u8]>,
    pub versions: Table<'t, &'static [u8], &'static [u8]>,
    pub nulls: Table<'t, &'static [u8], u64>,
    pub uploads: Table<'t, &'static [u8], &'static [u8]>,
    pub parts: Table<'t, &'static [u8], &'static [u8]>,
    pub bodies: Table<'t, u64, &'static [u8]>,
    pub pieces: Table<'t, (u32, u64), u64>,
    pub buckets: Table<'t, u32, &'static [u8]>,
    pub usage: Table<'t, u32, (u64, u64, u64)>,
    pub owners: Table<'t, u32, &'static str>,
}

impl<'t> Tables<'t> {
    /// Opens them; makes those that are not there.
    pub fn open(txn: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            current: txn.open_table(CURRENT)?,
            versions: txn.open_table(VERSIONS)?,
            nulls: txn.open_table(NULLS)?,
            uploads: txn.open_table(UPLOADS)?,
            parts: txn.open_table(PARTS)?,
            bodies: txn.open_table(BODIES)?,
            pieces: txn.open_table(PIECES)?,
            buckets: txn.open_table(BUCKETS)?,
            usage: txn.open_table(USAGE)?,
            owners: txn.open_table(OWNERS)?,
        })
    }
}

/// Finds a version, and says whether it is its key's newest.
pub fn find(
    current: &impl ReadableTable<&'static [u8], &'static [u8]>,
    versions: &impl ReadableTable<&'static [u8], &'static [u8]>,
    nulls: &impl ReadableTable<&'static [u8], u64>,
    (bucket, key, which): (BucketId, &str, Which),
) -> Result<Option<(Kept, bool)>, StoreError> {
    let Some(newest) = current.get(keys::current(bucket, key).as_slice())? else { return Ok(None) };
    let newest: Kept = decode(newest.value())?;
    let sequence = match which {
        Which::Current => return Ok(Some((newest, true))),
        Which::Null if newest.entry.null => return Ok(Some((newest, true))),
        Which::At(sequence) if newest.entry.sequence == sequence => {
            return Ok(Some((newest, true)));
        }
        Which::At(sequence) => sequence,
        Which::Null => match nulls.get(keys::object(bucket, key).as_slice())? {
            Some(sequence) => crate::Sequence(sequence.value()),
            None => return Ok(None),
        },
    };
    let found = versions.get(keys::version(bucket, key, sequence).as_slice())?;
    Ok(found.map(|found| decode(found.value())).transpose()?.map(|kept| (kept, false)))
}
