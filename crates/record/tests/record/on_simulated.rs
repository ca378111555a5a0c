//! The contract on the simulated store, and the faults that only it has.

use std::sync::Arc;

use record::store::simulated::{Disk, Fault, Rates, Simulated};
use record::{State, Store, StoreError};

use crate::contract::{self, Ground, Place, lead, single};

struct Memory;

impl Ground for Memory {
    fn place(&mut self) -> Arc<dyn Place> {
        Arc::new(Platter(Disk::new(1)))
    }
}

struct Platter(Disk);

impl Place for Platter {
    fn open(&self) -> Box<dyn Store> {
        Box::new(Simulated::open(&self.0))
    }
}

macro_rules! on_simulated {
    ($($name:ident),*) => { $(
        #[test]
        fn $name() {
            contract::$name(&mut Memory);
        }
    )* };
}
contract::contract!(on_simulated);

#[test]
fn a_full_disk_keeps_nothing_and_goes_on() {
    let disk = Disk::new(1);
    let mut store = Simulated::open(&disk);
    let fence = lead(&mut store);
    disk.fail_next(Fault::Full);
    let full = store.commit(fence.clone(), 1, &[single(1)]).unwrap_err();
    assert!(matches!(full, StoreError::Full(_)) && !full.outcome_unknown());
    assert_eq!(store.load().unwrap(), State::new());
    store.commit(fence, 1, &[single(1)]).unwrap();
    assert_eq!(store.load().unwrap().revision(), 1);
}

#[test]
fn an_unknown_outcome_is_told_by_the_next_load() {
    for (fault, durable) in [(Fault::Lost, 0), (Fault::Kept, 2)] {
        let disk = Disk::new(1);
        let mut store = Simulated::open(&disk);
        let fence = lead(&mut store);
        disk.fail_next(fault);
        let unknown = store.commit(fence.clone(), 1, &[single(1), single(2)]).unwrap_err();
        assert!(unknown.outcome_unknown());
        assert!(store.load().is_err(), "a store went on after an unknown outcome");
        assert!(store.renew(&fence, contract::at(1), contract::TTL).is_err());

        let mut again = Simulated::open(&disk);
        assert_eq!(again.load().unwrap().revision(), durable);
        assert_eq!(again.load().unwrap(), again.replay().unwrap());
        again.commit(fence, durable + 1, &[single(3)]).unwrap();
    }
}

/// What a seed does to a thousand commits: how many were full, lost and kept.
fn outcomes(seed: u64) -> [u32; 4] {
    let disk = Disk::new(seed);
    disk.set_rates(Rates { full_ppm: 100_000, unknown_ppm: 100_000 });
    let mut store = Simulated::open(&disk);
    let fence = lead(&mut store);
    let [mut good, mut full, mut lost, mut kept] = [0; 4];
    for number in 0..1_000 {
        let before = disk.revision();
        match store.commit(fence.clone(), before + 1, &[single(number)]) {
            Ok(()) => good += 1,
            Err(StoreError::Full(_)) => full += 1,
            Err(_) if disk.revision() == before => lost += 1,
            Err(_) => kept += 1,
        }
        store = Simulated::open(&disk);
    }
    [good, full, lost, kept]
}

#[test]
fn a_seed_chooses_the_faults_and_always_the_same() {
    let first = outcomes(7);
    assert_eq!(first, outcomes(7));
    assert_ne!(first, outcomes(8));
    assert!(first.iter().all(|count| *count > 20), "{first:?}");
}
