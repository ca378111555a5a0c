//! Two processes on one record: one leads, one follows; the leader sleeps, the
//! follower takes over, and the sleeper finds itself fenced and follows. The same
//! on every store.

use std::sync::Arc;

use model::Duration;
use model::problem::ErrorCode;

use crate::places::{Database, File, Place, memory};
use crate::process::{Process, Time, Watcher, off, project, project_id, until, until_done};

/// Longer than a lease.
const LONG: Duration = Duration::from_secs(60);

async fn hands_over(place: Arc<dyn Place>) {
    let clock = Time::new();
    let old = Process::lead(place.clone(), "a", &clock).await;
    let new = Process::start(place.clone(), "b", &clock);
    let mut watcher = Watcher::default();
    let made = old.leader.ask(project("one")).await.unwrap();

    // It follows: it shows what the other recorded, and does nothing itself.
    until(|| new.leader.revision() == made.revision).await;
    assert!(new.leader.read().projects.by_name("one").is_some() && !new.leader.leads());
    let refused = new.leader.ask(project("two")).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotLeader);
    assert!(!format!("{refused:?}").contains("\"a\""), "{refused:?}");
    watcher.look(&new.leader);

    // The leader falls asleep in a commit, and the other takes over.
    old.gate.close();
    let asleep = tokio::spawn({
        let leader = old.leader.clone();
        async move { leader.ask(project("two")).await }
    });
    until(|| old.gate.count(|gate| &gate.arrived) == 2).await;
    clock.pass(LONG);
    until(|| new.leader.leads()).await;
    let again = until_done(&[&new], &project("one")).await;
    assert!(again.replayed);
    assert_eq!(project_id(&made.reply), project_id(&again.reply));
    let taken = until_done(&[&new], &project("two")).await;
    assert!(!taken.replayed, "what the sleeper had decided was nowhere");

    // It wakes, is fenced, and follows.
    old.gate.open();
    let fenced = asleep.await.unwrap().unwrap_err();
    assert_eq!(fenced.code, ErrorCode::NotLeader, "{fenced}");
    assert!(fenced.detail.starts_with("nothing was done"), "{fenced}");
    assert!(!old.leader.leads());
    until(|| old.leader.revision() == new.leader.revision()).await;
    assert_eq!(old.leader.ask(project("three")).await.unwrap_err().code, ErrorCode::NotLeader);

    // The lease goes back at a stop, and the other leads again; nobody missed a thing.
    until_done(&[&new], &project("three")).await;
    watcher.look(&new.leader);
    drop(new);
    until(|| old.leader.leads()).await;
    until_done(&[&old], &project("four")).await;
    watcher.look(&old.leader);
    old.crash();
    let restarted = Process::lead(place.clone(), "a", &clock).await;
    until_done(&[&restarted], &project("five")).await;
    watcher.look(&restarted.leader);
    let mut store = off(|| place.open()).unwrap();
    let mut latecomer = Watcher::default();
    latecomer.look(&restarted.leader);
    assert_eq!(latecomer.revisions, watcher.revisions);
    off(|| {
        watcher.saw_all(store.as_mut());
        assert_eq!(store.load().unwrap(), store.replay().unwrap());
        drop(store);
    });
}

#[tokio::test]
async fn on_the_simulated_store() {
    hands_over(Arc::new(memory())).await;
}

#[tokio::test]
async fn on_sqlite() {
    hands_over(File::new()).await;
}

#[tokio::test]
async fn on_postgres() {
    let Some(database) = off(|| Database::new("takeover")) else { return };
    hands_over(database).await;
}

#[tokio::test]
async fn a_leader_that_slept_between_asks_looks_before_it_answers() {
    let (disk, clock) = (Arc::new(memory()), Time::new());
    let old = Process::lead(disk.clone(), "a", &clock).await;
    let new = Process::start(disk.clone(), "b", &clock);
    until(|| new.gate.count(|gate| &gate.acquires) > 0).await;
    // Away and not told: only its renewals fail, so it is replaced.
    old.gate.set_away(true);
    clock.pass(LONG);
    until(|| new.leader.leads()).await;
    until_done(&[&new], &project("one")).await;
    old.gate.set_away(false);
    // It would say that there is no such project, if it looked at what it knows.
    clock.pass(Duration::from_secs(2));
    let refused = old.leader.ask(project("one")).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotLeader);
    assert!(new.leader.leads() && !old.leader.leads());
}
