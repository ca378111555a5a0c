//! A process dies at any place, or hands over: no request is lost, none is done twice
//! for the guest to see.

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::queue::Layout;
use super::super::{Queue, Scratch};
use super::driver::Driver;
use super::{Shape, memory, record};
use crate::in_flight::InFlight;
use crate::virtio_blk::{Header, kind};

/// Where a process dies within `publish`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Death {
    BeforeNote,
    BeforeStore,
    AfterStore,
    AfterSomeCleared,
    After,
}

/// Publishes up to the place where it dies.
fn die(mut queue: Queue, death: Death, finished: &[u16]) {
    if death != Death::BeforeNote && !finished.is_empty() {
        let (first, next) = match &queue.ring {
            Layout::Split(ring) => ring.batch(),
            Layout::Packed(ring) => ring.batch(),
        };
        if death == Death::After {
            queue.publish();
        } else {
            queue.record.note(first, next);
            if death != Death::BeforeStore {
                match &mut queue.ring {
                    Layout::Split(ring) => ring.publish(),
                    Layout::Packed(ring) => ring.publish(),
                };
            }
            if death == Death::AfterSomeCleared {
                queue.record.clear_for_test(finished[0]);
            }
        }
    }
    drop(queue);
}

fn deaths() -> impl Strategy<Value = Death> {
    prop_oneof![
        Just(Death::BeforeNote),
        Just(Death::BeforeStore),
        Just(Death::AfterStore),
        Just(Death::AfterSomeCleared),
        Just(Death::After),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_kill_loses_nothing(
        bits in any::<[bool; 3]>(),
        lives in prop::collection::vec((deaths(), prop::collection::vec(any::<u8>(), 0..40)), 1..12),
    ) {
        let [packed, indirect, event_index] = bits;
        let shape = Shape { size: if packed { 13 } else { 16 }, packed, indirect, event_index };
        let (memory, (_file, mapping)) = (memory(), record());
        let mut driver = Driver::new(shape, &memory);
        let (mut scratch, mut number) = (Scratch::default(), 0);
        let mut asked = HashSet::new();
        let (mut answered, last) = (0, lives.len());
        for (life, (death, steps)) in lives.into_iter().enumerate() {
            let mut queue = shape.queue(&memory, InFlight::of(&mapping, 0));
            prop_assert_eq!(queue.has_answers(), life > 0, "the guest is told once more");
            let (mut held, mut finished) = (Vec::new(), Vec::new());
            for step in steps.into_iter().chain(if life + 1 == last { [1, 2, 3].repeat(20) } else { vec![] }) {
                match step % 4 {
                    0 if driver.room() > 0 => {
                        asked.insert(driver.request(number, Header { kind: kind::IN, sector: number }, 512, true));
                        number += 1;
                    }
                    1 => if let Some(fetched) = queue.fetch(&mut scratch) {
                        let head = fetched.unwrap().head;
                        prop_assert!(asked.contains(&head));
                        held.push(head);
                    },
                    2 => if !held.is_empty() {
                        let head = held.swap_remove(usize::from(step) % held.len());
                        queue.finish(head, Ok(()));
                        finished.push(head);
                    },
                    _ => {
                        queue.publish();
                        finished.clear();
                    }
                }
                while let Some((head, length)) = driver.poll() {
                    prop_assert_eq!(length, 513);
                    prop_assert!(asked.remove(&head));
                    answered += 1;
                }
            }
            if life + 1 < last {
                die(queue, death, &finished);
            } else {
                while let Some(fetched) = queue.fetch(&mut scratch) {
                    held.push(fetched.unwrap().head);
                }
                held.iter().for_each(|head| queue.finish(*head, Ok(())));
                queue.close();
            }
        }
        while let Some((head, _)) = driver.poll() {
            prop_assert!(asked.remove(&head));
            answered += 1;
        }
        prop_assert_eq!((answered, asked.len()), (number, 0));
    }

    #[test]
    fn a_successor_goes_on(bits in any::<[bool; 3]>(), steps in prop::collection::vec(any::<u8>(), 200)) {
        let [packed, indirect, event_index] = bits;
        let shape = Shape { size: if packed { 13 } else { 16 }, packed, indirect, event_index };
        let (memory, (_file, mapping)) = (memory(), record());
        let mut driver = Driver::new(shape, &memory);
        let mut queue = shape.queue(&memory, InFlight::of(&mapping, 0));
        let (mut scratch, mut number, mut held, mut answered) = (Scratch::default(), 0, Vec::new(), 0);
        for step in steps {
            match step % 4 {
                0 if driver.room() > 0 => {
                    driver.request(number, Header { kind: kind::IN, sector: number }, 512, true);
                    number += 1;
                }
                1 => if let Some(fetched) = queue.fetch(&mut scratch) {
                    held.push(fetched.unwrap().head);
                },
                2 => if !held.is_empty() {
                    queue.finish(held.swap_remove(usize::from(step) % held.len()), Ok(()));
                    queue.publish();
                },
                _ => {
                    let text = serde_json::to_string(&queue.saved()).unwrap();
                    let saved = serde_json::from_str(&text).unwrap();
                    drop(queue);
                    let record = InFlight::of(&mapping, 0);
                    queue = Queue::heir(shape.config(None, None), Arc::clone(&memory), record).unwrap();
                    queue.take(&saved).unwrap();
                    prop_assert_eq!(queue.in_flight() as usize, held.len());
                }
            }
            while let Some((_, length)) = driver.poll() {
                prop_assert_eq!(length, 513);
                answered += 1;
            }
        }
        while let Some(fetched) = queue.fetch(&mut scratch) {
            held.push(fetched.unwrap().head);
        }
        held.iter().for_each(|head| queue.finish(*head, Ok(())));
        queue.close();
        while driver.poll().is_some() {
            answered += 1;
        }
        prop_assert_eq!(answered, number);
    }

    #[test]
    fn a_hostile_record_is_no_harm(bits in any::<[bool; 3]>(), noise in prop::collection::vec((prop_oneof![0..80usize, 2056..2120usize, 0..5000usize], prop_oneof![any::<u64>(), 0..64u64, (0..64u64, 0..16u64).prop_map(|(a, b)| a << 16 | b)]), 0..40)) {
        let [packed, indirect, event_index] = bits;
        let shape = Shape { size: if packed { 13 } else { 16 }, packed, indirect, event_index };
        let (memory, (_file, mapping)) = (memory(), record());
        drop(shape.queue(&memory, InFlight::of(&mapping, 0)));
        let record = InFlight::of(&mapping, 0);
        for (at, value) in noise {
            record.set_for_test(if at < 60 { 1 + at } else { at }, value);
        }
        if let Ok(mut queue) = Queue::new(shape.config(None, None), Arc::clone(&memory), record) {
            let mut scratch = Scratch::default();
            for _ in 0..100 {
                match queue.fetch(&mut scratch) {
                    Some(Ok(fetched)) => queue.finish(fetched.head, Ok(())),
                    _ => { queue.publish(); }
                }
            }
        }
    }
}
