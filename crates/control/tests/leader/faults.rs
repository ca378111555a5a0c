//! Faults of the store: each is answered truly, nothing is done twice or lost,
//! and the same process goes on leading without waiting for its lease to end.

use std::sync::Arc;

use model::Duration;
use model::problem::ErrorCode;
use record::store::simulated::Fault;

use crate::gate::SECRET;
use crate::places::{Place, memory};
use crate::process::{Process, Time, Watcher, keyed, project, project_id, until, until_done};

/// Orders a fault, asks, and asks again. The clock stands still all the while.
async fn meets(fault: Fault, code: ErrorCode, says: &str, was_done: bool) {
    let (disk, clock) = (memory(), Time::new());
    let process = Process::lead(Arc::new(disk.clone()), "a", &clock).await;
    let leading = process.leader.leading();
    process.leader.ask(project("before")).await.unwrap();

    disk.fail_next(fault);
    let problem = process.leader.ask(project("one")).await.unwrap_err();
    assert_eq!(problem.code, code, "{problem}");
    assert!(problem.detail.starts_with(says), "{problem}");

    let again = process.leader.ask(project("one")).await.unwrap();
    assert_eq!(again.replayed, was_done);
    let next = process.leader.ask(project("next")).await.unwrap();
    assert!(!next.replayed && next.revision == disk.revision());
    assert!(!leading.has_changed().unwrap(), "nobody noticed, for nobody else could lead");

    let mut watcher = Watcher::default();
    watcher.look(&process.leader);
    watcher.saw_all(disk.open().unwrap().as_mut());
    assert_eq!(watcher.made("one"), 1);
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_the_leader_leads_on() {
    meets(Fault::Full, ErrorCode::StorageFull, "nothing was done", false).await;
}

#[tokio::test]
async fn what_was_lost_is_done_by_the_repetition() {
    meets(Fault::Lost, ErrorCode::Unavailable, "whether it was done is not known", false).await;
}

#[tokio::test]
async fn what_was_kept_is_answered_by_the_repetition() {
    meets(Fault::Kept, ErrorCode::Unavailable, "whether it was done is not known", true).await;
}

#[tokio::test]
async fn what_was_refused_is_forgotten() {
    let (disk, clock) = (memory(), Time::new());
    let process = Process::lead(Arc::new(disk.clone()), "a", &clock).await;
    for fault in [Fault::Full, Fault::Lost] {
        disk.fail_next(fault);
        process.leader.ask(project("one")).await.unwrap_err();
    }
    // Without its key: what the cell had decided before must not be in the way.
    let mut fresh = project("one");
    fresh.idempotency = None;
    process.leader.ask(fresh).await.unwrap();
}

#[tokio::test]
async fn a_repetition_is_answered_alike_by_the_next_process() {
    let (disk, clock) = (memory(), Time::new());
    let first = Process::lead(Arc::new(disk.clone()), "a", &clock).await;
    let made = first.leader.ask(project("one")).await.unwrap();
    first.crash();

    // The same holder need not wait until its lease ends.
    let second = Process::lead(Arc::new(disk.clone()), "a", &clock).await;
    let again = second.leader.ask(project("one")).await.unwrap();
    assert!(again.replayed);
    assert_eq!(project_id(&made.reply), project_id(&again.reply));
    assert_eq!(disk.revision(), made.revision);

    let mut other = project("two");
    other.idempotency = keyed("one", other.call.clone()).idempotency;
    other.idempotency.as_mut().unwrap().digest = "of another request".to_owned();
    let reused = second.leader.ask(other).await.unwrap_err();
    assert_eq!(reused.code, ErrorCode::KeyReused);

    // A day later two old keys go for each that comes.
    second.leader.ask(project("two")).await.unwrap();
    clock.pass(Duration::from_secs(90_000));
    until_done(&[&second], &project("three")).await;
    let kept: Vec<String> = second.leader.read().idempotent.keys().cloned().collect();
    assert_eq!(kept, ["three"]);
}

#[tokio::test]
async fn a_store_that_is_away_is_tried_with_patience_and_readers_go_on() {
    let (disk, clock) = (memory(), Time::new());
    let process = Process::lead(Arc::new(disk.clone()), "a", &clock).await;
    process.leader.ask(project("one")).await.unwrap();
    process.gate.set_away(true);
    let opens = process.gate.count(|gate| &gate.opens);

    let unknown = process.leader.ask(project("two")).await.unwrap_err();
    assert_eq!(unknown.code, ErrorCode::Unavailable);
    until(|| !process.leader.leads()).await;
    for _ in 0..1_000 {
        let problem = process.leader.ask(project("two")).await.unwrap_err();
        assert_eq!(problem.code, ErrorCode::Unavailable, "{problem}");
        assert!(problem.detail.starts_with("nothing was done"), "{problem}");
        assert!(!format!("{problem:?}").contains(SECRET));
    }
    assert!(process.leader.read().projects.by_name("one").is_some());
    let tried = process.gate.count(|gate| &gate.opens) - opens;
    assert!(tried < 500, "asks do not make it try again: {tried}");

    process.gate.set_away(false);
    clock.pass(Duration::from_secs(2));
    assert!(!until_done(&[&process], &project("two")).await.replayed);
    assert!(process.leader.leads());
}
