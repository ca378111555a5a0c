//! The simulated site in its short setting: whole runs with random faults and
//! kills, and every step of every operation faulted once each way. The long
//! setting is `cargo xtask sim machines`.

use bedplate_lab::simulated::{self, Options, matrix};

fn clean(seed: u64, machines: u32) {
    let findings = simulated::run(Options::seed(seed, machines));
    assert!(findings.clean(), "seed {seed}: {findings:#?}");
    assert!(findings.acknowledged >= u64::from(machines), "seed {seed}: people were heard");
}

#[test]
fn machines_end_where_they_should_whatever_happens() {
    for seed in 0..8 {
        clean(seed, 60);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let runs = [(); 2].map(|()| simulated::run(Options::seed(42, 40)));
    assert_eq!(runs[0], runs[1]);
    let other = simulated::run(Options::seed(43, 40));
    assert_ne!(runs[0].trace, other.trace);
}

#[test]
fn every_step_survives_every_fault() {
    for (index, target) in matrix::cells().into_iter().enumerate() {
        let (findings, used) = matrix::run(index as u64, target.clone());
        assert!(used, "{target:?} never came about");
        assert!(findings.clean(), "{target:?}: {findings:#?}");
        let rests = findings.ended.keys().all(|lifecycle| matrix::rests(*lifecycle));
        assert!(rests, "{target:?}: {findings:#?}");
    }
}
