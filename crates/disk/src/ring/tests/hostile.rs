//! Guests that write anything anywhere. Nothing panics, nothing hangs, and no segment
//! is outside of their memory.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::{Broken, Queue, Scratch};
use super::driver::{BASE, DATA, Driver, MEMORY, Piece};
use super::{Shape, memory};
use crate::guest::GuestMemory;
use crate::in_flight::InFlight;
use crate::virtio_blk::{Header, kind};

/// Fetches and answers for a while; why it broke, if it did.
fn serve(queue: &mut Queue, memory: &GuestMemory) -> Option<Broken> {
    let ranges: Vec<_> =
        memory.mapped().map(|(at, length)| (at.as_ptr() as usize, length)).collect();
    let mut scratch = Scratch::default();
    let mut held = Vec::new();
    for turn in 0..200 {
        match queue.fetch(&mut scratch) {
            Some(Ok(fetched)) => {
                let request = fetched.request;
                let whole: usize = request.segments.iter().map(|segment| segment.len()).sum();
                let data = matches!(request.kind, volume::Kind::Read | volume::Kind::Write);
                assert!(!data || whole as u64 == request.length);
                for segment in request.segments {
                    let at = segment.address() as usize;
                    let inside = |(start, length): &(usize, usize)| {
                        at >= *start && at + segment.len() <= start + length
                    };
                    assert!(ranges.iter().any(inside), "inside a region");
                }
                held.push(fetched.head);
            }
            Some(Err(broken)) => {
                assert!(queue.fetch(&mut scratch).is_none() && !queue.arm());
                held.iter().for_each(|head| queue.finish(*head, Ok(())));
                queue.publish();
                return Some(broken);
            }
            None => {}
        }
        if turn % 5 == 4 {
            held.drain(..).for_each(|head| queue.finish(head, Ok(())));
            queue.publish();
            queue.arm();
        }
    }
    None
}

/// Descriptors that are not quite nonsense: addresses and lengths on edges, small
/// indexes, flags that mean something.
fn descriptor() -> impl Strategy<Value = [u8; 16]> {
    let address = prop_oneof![
        4 => BASE..BASE + 0x2_0000,
        1 => BASE + MEMORY - 64..BASE + MEMORY + 64,
        1 => any::<u64>(),
    ];
    let length =
        prop_oneof![4 => 0u32..64, 2 => (0u32..64).prop_map(|n| n * 16), 1 => any::<u32>()];
    let small = || prop_oneof![4 => 0u16..20, 1 => any::<u16>()];
    let flags =
        || prop_oneof![8 => 0u16..8, 4 => (0u16..8).prop_map(|f| f | 0x80), 1 => any::<u16>()];
    (address, length, small(), flags(), any::<bool>()).prop_map(
        |(address, length, small, flags, split)| {
            let (low, high) = if split { (flags, small) } else { (small, flags) };
            let high = u64::from(length) | u64::from(low) << 32 | u64::from(high) << 48;
            (u128::from(address) | u128::from(high) << 64).to_le_bytes()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_ring_is_walked_inside_memory(
        bits in any::<[bool; 3]>(),
        ring in prop::collection::vec(descriptor(), 16),
        table in prop::collection::vec(descriptor(), 256),
        available in prop::collection::vec(prop_oneof![4 => 0u16..16, 1 => any::<u16>()], 20),
        ahead in prop_oneof![4 => 0u16..17, 1 => any::<u16>()],
    ) {
        let [packed, indirect, event_index] = bits;
        let shape = Shape { size: 16, packed, indirect, event_index };
        let memory = memory();
        memory.write(BASE, &ring.concat()).unwrap();
        memory.write(BASE + 0x1_0000, &table.concat()).unwrap();
        let bytes: Vec<u8> = available.iter().flat_map(|n| n.to_le_bytes()).collect();
        memory.write(BASE + 0x8000, &bytes).unwrap();
        memory.write(BASE + 0x8002, &ahead.to_le_bytes()).unwrap();
        let mut queue = Queue::new(shape.config(None, None), Arc::clone(&memory), InFlight::unshared()).unwrap();
        serve(&mut queue, &memory);
    }

    #[test]
    fn any_place_for_a_ring_is_checked(
        packed in any::<bool>(),
        size in any::<u16>(),
        at in prop::array::uniform3(prop_oneof![BASE - 64..BASE + 64, BASE + MEMORY - 64..BASE + MEMORY + 64, any::<u64>()]),
        start in any::<u32>(),
    ) {
        let shape = Shape { size, packed, indirect: true, event_index: true };
        let mut config = shape.config(None, None);
        config.addresses.descriptors = at[0];
        config.addresses.driver = at[1];
        config.addresses.device = at[2];
        config.start.0 = start;
        let memory = memory();
        if let Ok(mut queue) = Queue::new(config, Arc::clone(&memory), InFlight::unshared()) {
            serve(&mut queue, &memory);
        }
    }
}

fn broken_by(packed: bool, chain: &[Piece], after: impl FnOnce(&GuestMemory)) -> Option<Broken> {
    let shape = Shape { size: 8, packed, indirect: true, event_index: false };
    let memory = memory();
    let plain = Shape { indirect: false, ..shape };
    memory.write(DATA, &Header { kind: kind::IN, sector: 0 }.encode()).unwrap();
    Driver::new(plain, &memory).add(chain);
    after(&memory);
    let mut queue = shape.queue(&memory, InFlight::unshared());
    serve(&mut queue, &memory)
}

const HEADER: Piece = Piece { address: DATA, length: 16, write: false };
const STATUS: Piece = Piece { address: DATA + 64, length: 1, write: true };

#[test]
fn what_cannot_be_answered_breaks_the_queue() {
    for packed in [false, true] {
        let none = |_: &GuestMemory| {};
        assert_eq!(broken_by(packed, &[HEADER, STATUS], none), None);
        assert_eq!(broken_by(packed, &[HEADER], none), Some(Broken::Status));
        assert_eq!(
            broken_by(packed, &[HEADER, Piece { address: 8, ..STATUS }], none),
            Some(Broken::Status)
        );
        assert_eq!(
            broken_by(packed, &[HEADER, Piece { length: 0, ..STATUS }], none),
            Some(Broken::Status)
        );
        let flags = |at: u64| BASE + at * 16 + if packed { 14 } else { 12 };
        let lap = if packed { 0x80u16 } else { 0 };
        let set = |at: u64, value: u16| {
            move |memory: &GuestMemory| {
                memory.write(flags(at), &(value | lap).to_le_bytes()).unwrap()
            }
        };
        // An indirect table of 16 bytes that points to itself; one with a next; one of 17.
        let nested = |memory: &GuestMemory| {
            set(0, 4)(memory);
            let mut entry = [0; 16];
            memory.read(BASE, &mut entry).unwrap();
            memory.write(DATA, &entry).unwrap();
        };
        assert_eq!(broken_by(packed, &[HEADER], nested), Some(Broken::Indirect));
        assert_eq!(broken_by(packed, &[HEADER], set(0, 5)), Some(Broken::Indirect));
        let odd = Piece { length: 17, ..HEADER };
        assert_eq!(broken_by(packed, &[odd], set(0, 4)), Some(Broken::Indirect));
        let outside = Piece { address: BASE + MEMORY - 8, ..HEADER };
        assert_eq!(broken_by(packed, &[outside], set(0, 4)), Some(Broken::Indirect));
        let endless = Piece { length: 16 * 1025, ..HEADER };
        assert_eq!(broken_by(packed, &[endless], set(0, 4)), Some(Broken::Indirect));
    }
}

#[test]
fn rings_that_lie_are_found_out() {
    let put = |at: u64, value: u16| {
        move |memory: &GuestMemory| memory.write(BASE + at, &value.to_le_bytes()).unwrap()
    };
    let chain = [HEADER, STATUS];
    assert_eq!(broken_by(false, &chain, put(0x8002, 9)), Some(Broken::AvailableIndex));
    assert_eq!(broken_by(false, &chain, put(0x8004, 8)), Some(Broken::Head));
    // A chain whose last descriptor leads back to its first.
    let circle = |memory: &GuestMemory| {
        let head = {
            let mut two = [0; 2];
            memory.read(BASE + 0x8004, &mut two).unwrap();
            u64::from(two[0])
        };
        memory.write(BASE + head * 16 + 12, &[1, 0, head as u8, 0]).unwrap();
    };
    assert_eq!(broken_by(false, &chain, circle), Some(Broken::Loop));
    let twice = |memory: &GuestMemory| {
        let mut two = [0; 2];
        memory.read(BASE + 0x8004, &mut two).unwrap();
        memory.write(BASE + 0x8006, &two).unwrap();
        put(0x8002, 2)(memory);
    };
    assert_eq!(broken_by(false, &chain, twice), Some(Broken::Twice));
    // A packed chain that goes on for ever.
    let all = |memory: &GuestMemory| {
        (0..8).for_each(|at| memory.write(BASE + at * 16 + 14, &[0x81, 0]).unwrap())
    };
    assert_eq!(broken_by(true, &chain, all), Some(Broken::Loop));
    assert_eq!(broken_by(true, &chain, put(16 + 12, 8)), Some(Broken::Head));
}
