//! The format on the medium does not change unnoticed: the encoders give exactly the bytes
//! of these files, and the decoders read them. The files were made by another program,
//! from `docs/volume-format.md`.

use bedplate_volume::format::superblock::{Directory, VERSION};
use bedplate_volume::format::{
    Entry, Expect, GROUP_HEADER, GroupHeader, Index, IndexMut, Layout, Leaf, LeafMut, LogPosition,
    PageHeader, PageKind, Record, Side, Superblock, Table, TableMut, choose,
};
use bedplate_volume::{BLOCK, Epoch, ExtentIndex, Lba, Origin, Place, Sequence, VolumeNumber};

const SUPERBLOCK: &[u8; BLOCK] = include_bytes!("golden/superblock.bin");
const LEAF: &[u8; BLOCK] = include_bytes!("golden/leaf.bin");
const INDEX: &[u8; BLOCK] = include_bytes!("golden/index.bin");
const TABLE: &[u8; BLOCK] = include_bytes!("golden/table.bin");
const GROUP: &[u8; BLOCK] = include_bytes!("golden/group.bin");

fn superblock() -> Superblock {
    let sequence = Sequence(1000);
    Superblock {
        version: VERSION,
        pool: std::array::from_fn(|index| 0xA0 + u8::try_from(index).expect("small")),
        blocks: 8192,
        layout: Layout::for_blocks(8192).expect("enough"),
        incarnation: 3,
        generation: 7,
        log_start: LogPosition { offset: 21, incarnation: 2, sequence, group: 55 },
        directory: Directory { place: Place(800), bytes: 4321, crc: 0xCAFE_F00D },
    }
}

#[test]
fn the_superblock_is_as_it_was() {
    assert_eq!(&superblock().encode(), SUPERBLOCK);
    assert_eq!(Superblock::decode(SUPERBLOCK), Ok(superblock()));
}

/// Both sides of a pair as they are after the first write.
fn chosen(page: &[u8; BLOCK], kind: PageKind, place: u32) -> Option<Side> {
    let pair = [*page, *page].concat().try_into().expect("two blocks");
    choose(&pair, 10, Expect { kind, place: Place(place) }).expect("a good pair")
}

#[test]
fn leaf_pages_are_as_they_were() {
    let header = PageHeader {
        kind: PageKind::Leaf,
        generation: 9,
        place: Place(0x540),
        owner: 12,
        index: 3,
    };
    let mut page = [0; BLOCK];
    LeafMut(&mut page).set(0, Place(0x1234), 0xDEAD_BEEF);
    LeafMut(&mut page).set(495, Place(u32::MAX), 1);
    header.seal(&mut page);
    assert_eq!(&page, LEAF);
    assert_eq!(PageHeader::decode(LEAF), Ok(header));
    assert_eq!((Leaf(LEAF).place(0), Leaf(LEAF).crc(0)), (Place(0x1234), 0xDEAD_BEEF));
    assert_eq!((Leaf(LEAF).place(495), Leaf(LEAF).crc(495)), (Place(u32::MAX), 1));
    assert_eq!(chosen(LEAF, PageKind::Leaf, 0x540), Some(Side::First));
}

#[test]
fn index_pages_are_as_they_were() {
    let header = PageHeader {
        kind: PageKind::Index,
        generation: 9,
        place: Place(0x544),
        owner: 12,
        index: 0,
    };
    let mut page = [0; BLOCK];
    IndexMut(&mut page).set(1, Place(0x540));
    IndexMut(&mut page).set(991, Place(0x542));
    header.seal(&mut page);
    assert_eq!(&page, INDEX);
    assert_eq!((Index(INDEX).place(1), Index(INDEX).place(991)), (Place(0x540), Place(0x542)));
    assert_eq!(chosen(INDEX, PageKind::Index, 0x544), Some(Side::First));
}

#[test]
fn pages_of_the_table_are_as_they_were() {
    let header =
        PageHeader { kind: PageKind::Table, generation: 10, place: Place(16), owner: 0, index: 0 };
    let data = Entry { origin: Origin(12), birth: Epoch(4), valid: 0x8001, pages: false };
    let pages = Entry { origin: Origin(1), birth: Epoch(1), valid: 0x00FF, pages: true };
    let mut page = [0; BLOCK];
    TableMut(&mut page).set(66, data);
    TableMut(&mut page).set(84, pages);
    header.seal(&mut page);
    assert_eq!(&page, TABLE);
    assert_eq!((Table(TABLE).entry(66), Table(TABLE).entry(84)), (data, pages));
    assert_eq!(chosen(TABLE, PageKind::Table, 16), Some(Side::First));
}

/// One of each kind, in the order of the file.
fn records() -> Vec<Record> {
    let volume = VolumeNumber(7);
    let (place, old) = (Place(0x1234), Place(0x1235));
    let (leaf, copy, index) = (Place(0x546), Place(0x540), Place(0x544));
    let none = Place::NONE;
    vec![
        Record::Write { volume, lba: Lba(100), place, crc: 0xDEAD_BEEF, old: none, kept: false },
        Record::Write { volume, lba: Lba(101), place: none, crc: 0, old, kept: true },
        Record::Claim { extent: ExtentIndex(84), origin: Origin(1), birth: Epoch(4), pages: true },
        Record::Leaf { volume, index: 3, place: leaf, copy_of: copy, kept: true },
        Record::Index { volume, index: 0, place: index, copy_of: none, kept: false },
        Record::Free { place: copy, pages: true },
        Record::Change(b"{\"grow\":[7]}\n".to_vec()),
    ]
}

#[test]
fn groups_and_records_are_as_they_were() {
    let mut group = vec![0; GROUP_HEADER];
    for record in records() {
        let at = group.len();
        group.resize(at + record.length(), 0);
        record.encode(&mut group[at..]);
    }
    let header = GroupHeader {
        tag: superblock().tag(),
        number: 55,
        first: Sequence(1000),
        synced_through: Sequence(998),
        incarnation: 3,
        offset: 21,
        count: 7,
        bytes: u32::try_from(group.len() - GROUP_HEADER).expect("short"),
    };
    header.seal(&mut group);
    group.resize(BLOCK, 0);
    assert_eq!(&group[..], GROUP);

    let (read, mut rest) = GroupHeader::decode(GROUP).expect("a good group");
    assert_eq!(read, header);
    for record in records() {
        let (read, length) = Record::decode(rest).expect("a good record");
        assert_eq!(read, record);
        rest = &rest[length..];
    }
    assert!(rest.is_empty());
}
