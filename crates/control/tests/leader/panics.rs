//! Panics in the thread: the ask that met one is told, the others go on, and the
//! thread goes on from the record.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::problem::ErrorCode;

use crate::places::{Place, memory};
use crate::process::{Process, Time, Watcher, ask_all, project, until, until_done};

#[tokio::test]
async fn a_panic_of_the_store_ends_what_was_under_way_and_no_more() {
    let (disk, clock) = (memory(), Time::new());
    let process = Process::lead(Arc::new(disk.clone()), "a", &clock).await;
    process.leader.ask(project("one")).await.unwrap();
    process.gate.panic_at_commit.store(true, Ordering::SeqCst);
    let problem = process.leader.ask(project("two")).await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::Unavailable);
    assert!(problem.detail.starts_with("whether it was done is not known"), "{problem}");

    until_done(&[&process], &project("two")).await;
    let mut watcher = Watcher::default();
    watcher.look(&process.leader);
    watcher.saw_all(disk.open().unwrap().as_mut());
    assert_eq!((watcher.made("one"), watcher.made("two")), (1, 1));
}

/// The clock is looked at before, in and after decisions: wherever it panics, what
/// is asked again is done once.
#[tokio::test]
async fn a_panic_anywhere_does_nothing_twice() {
    let (disk, clock) = (memory(), Time::new());
    let process = Process::lead(Arc::new(disk.clone()), "a", &clock).await;
    for looks in 0..14 {
        let asks: Vec<_> = (0..6).map(|number| project(&format!("p{looks}-{number}"))).collect();
        clock.panic_after(looks);
        ask_all(&process.leader, asks.clone()).await.answers().await;
        for ask in &asks {
            until_done(&[&process], ask).await;
        }
        clock.panic_after(-1);
    }
    let mut watcher = Watcher::default();
    watcher.look(&process.leader);
    watcher.saw_all(disk.open().unwrap().as_mut());
    assert!((0..14).all(|looks| watcher.made(&format!("p{looks}-5")) == 1));
    assert_eq!(process.leader.read().projects.len(), 14 * 6);
}

#[tokio::test]
async fn a_panic_in_a_decision_spares_those_beside_it() {
    let (disk, clock) = (memory(), Time::new());
    let process = Process::lead(Arc::new(disk), "a", &clock).await;
    // Which look is in a decision depends on the beats between: try until one was.
    let mut tries = 0;
    loop {
        tries += 1;
        let arrived = process.gate.count(|gate| &gate.arrived);
        process.gate.close();
        let held = format!("held{tries}");
        let first = ask_all(&process.leader, [project(&held)]).await;
        until(|| process.gate.count(|gate| &gate.arrived) == arrived + 1).await;
        let names: Vec<String> = (0..4).map(|number| format!("p{tries}-{number}")).collect();
        let others = ask_all(&process.leader, names.iter().map(|name| project(name))).await;
        clock.panic_after(4);
        process.gate.open();
        let held = first.answers().await.remove(0);
        let others = others.answers().await;
        assert!(clock.has_panicked());
        let codes: Vec<_> = others.iter().map(|it| it.as_ref().err().map(|it| it.code)).collect();
        for name in &names {
            until_done(&[&process], &project(name)).await;
        }
        let internal = codes.iter().filter(|code| **code == Some(ErrorCode::Internal)).count();
        if internal == 1 && held.is_ok() {
            assert_eq!(codes.iter().filter(|code| code.is_none()).count(), 3, "{codes:?}");
            return;
        }
    }
}
