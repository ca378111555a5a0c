//! Tests of the pages: what is written is read, and the side that counts is chosen.

use proptest::prelude::*;

use super::*;

const EXPECT: Expect = Expect { kind: PageKind::Leaf, place: Place(320) };
const SECTOR: usize = 512;

/// A page of a generation, with entries that tell it from others.
fn page(generation: u64) -> [u8; BLOCK] {
    let mut page = [0; BLOCK];
    let crc = u32::try_from(generation).expect("small");
    (0..LEAF_ENTRIES).for_each(|entry| LeafMut(&mut page).set(entry, Place(9), crc));
    header(generation).seal(&mut page);
    page
}

fn header(generation: u64) -> PageHeader {
    PageHeader { kind: PageKind::Leaf, generation, place: Place(320), owner: 4, index: 2 }
}

fn pair(first: [u8; BLOCK], second: [u8; BLOCK]) -> [u8; 2 * BLOCK] {
    [first, second].concat().try_into().expect("two blocks")
}

/// Some sectors of the new block over the old one.
fn torn(old: [u8; BLOCK], new: [u8; BLOCK], sectors: u8) -> [u8; BLOCK] {
    let mut both = old;
    for sector in (0..8).filter(|sector| sectors >> sector & 1 == 1) {
        let range = sector * SECTOR..(sector + 1) * SECTOR;
        both[range.clone()].copy_from_slice(&new[range]);
    }
    both
}

#[test]
fn what_is_written_is_read() {
    let page = page(7);
    assert_eq!(PageHeader::decode(&page), Ok(header(7)));
    assert_eq!((Leaf(&page).place(495), Leaf(&page).crc(0)), (Place(9), 7));
    let mut page = [0; BLOCK];
    IndexMut(&mut page).set(991, Place(77));
    assert_eq!(Index(&page).place(991), Place(77));
    assert_eq!(Index(&page).place(990), Place::NONE);
    let entry = Entry { origin: Origin(3), birth: Epoch(4), valid: 0x8001, pages: true };
    TableMut(&mut page).set(5, entry);
    assert_eq!(Table(&page).entry(5), entry);
    assert_eq!(Table(&page).entry(6), Entry::default());
}

#[test]
fn the_newest_committed_side_is_chosen() {
    let choose = |a, b, committed| choose(&pair(page(a), page(b)), committed, EXPECT);
    assert_eq!(choose(3, 5, 5), Ok(Some(Side::Second)));
    assert_eq!(choose(3, 5, 9), Ok(Some(Side::Second)));
    assert_eq!(choose(3, 5, 4), Ok(Some(Side::First)));
    assert_eq!(choose(5, 3, 4), Ok(Some(Side::Second)));
    assert_eq!(choose(5, 5, 5), Ok(Some(Side::First)));
    assert_eq!(choose(5, 5, 4), Ok(None), "made by a checkpoint that was not committed");
    assert_eq!(choose(5, 6, 4), Err(FormatError::Later { committed: 4, found: 6 }));
}

#[test]
fn a_page_that_was_never_written_is_none() {
    assert_eq!(choose(&[0; 2 * BLOCK], 5, EXPECT), Ok(None));
    let half = pair(page(6), [0; BLOCK]);
    assert_eq!(choose(&half, 5, EXPECT), Ok(None), "its first write was torn");
    let wiped = Err(FormatError::Checksum(What::PageHeader));
    assert_eq!(choose(&half, 6, EXPECT), wiped);
}

#[test]
fn a_page_that_went_astray_is_named() {
    let other = Expect { place: Place(322), ..EXPECT };
    let astray = Err(FormatError::Astray { expected: 322, found: 320 });
    assert_eq!(choose(&pair(page(5), page(4)), 5, other), astray);
    let kind = Expect { kind: PageKind::Index, ..EXPECT };
    let astray = Err(FormatError::Astray { expected: 320, found: 320 });
    assert_eq!(choose(&pair(page(5), page(4)), 5, kind), astray);
}

proptest! {
    /// A checkpoint that was cut short never hides the committed version.
    #[test]
    fn torn_writes_harm_nothing(sectors: u8, reused: bool) {
        let committed = if reused { page(5) } else { page(3) };
        let pair = pair(torn(page(3), page(6), sectors), committed);
        let chosen = choose(&pair, 5, EXPECT).expect("a torn write is no damage");
        let chosen = chosen.expect("it is committed");
        let generation = PageHeader::decode(chosen.of(&pair)).expect("good").generation;
        prop_assert_eq!(generation, if reused { 5 } else { 3 });
        prop_assert!(PageHeader::whole(chosen.of(&pair)));
    }

    /// The first write goes to both sides at once; torn, it is none or an older page.
    #[test]
    fn a_torn_first_write_is_not_committed(one: u8, two: u8) {
        let pair = pair(torn([0; BLOCK], page(6), one), torn([0; BLOCK], page(6), two));
        prop_assert_eq!(choose(&pair, 5, EXPECT), Ok(None));
    }

    /// Damage of the committed version is found; it never gives the older one.
    #[test]
    fn damage_is_never_covered_up(at in 0..BLOCK, bits in 1_u8..) {
        let mut damaged = page(5);
        damaged[at] ^= bits;
        prop_assert!(choose(&pair(page(3), damaged), 5, EXPECT).is_err());
    }

    #[test]
    fn any_bytes_are_a_page_or_none(head in prop::collection::vec(any::<u8>(), PAGE_HEADER)) {
        let mut page = page(5);
        page[8..PAGE_HEADER].copy_from_slice(&head[8..]);
        let crc = crc32c(&page[4..PAGE_HEADER]);
        put_u32(&mut page, 0, crc);
        let _ = PageHeader::decode(&page);
        let _ = choose(&pair(page, page), u64::MAX, EXPECT);
    }
}
