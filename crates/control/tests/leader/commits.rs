//! Many asks, few commits; nothing is shown before it is recorded; a stop answers
//! everybody.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use control::cell::{Ask, Call};
use control::leader::Leading;
use model::Duration;
use model::id::MachineId;
use model::problem::ErrorCode;
use record::StoreError;

use crate::places::{File, Place, memory};
use crate::process::{Process, Time, Watcher, ask_all, project, until, until_done};

#[tokio::test]
async fn thousands_of_asks_share_some_commits() {
    const ASKS: usize = 3_000;
    let (file, clock) = (File::new(), Time::new());
    let process = Process::lead(file.clone(), "a", &clock).await;
    process.gate.close();
    let asks = (0..ASKS).map(|number| project(&format!("p{number}")));
    let asked = ask_all(&process.leader, asks).await;
    process.gate.open();

    let mut revisions = Vec::new();
    for answer in asked.answers().await {
        revisions.push(answer.unwrap().revision);
    }
    assert!(revisions.is_sorted(), "answered in the order of the asks");
    let commits = process.commits.load(Ordering::SeqCst);
    assert!((1..=10).contains(&commits), "{commits} commits for {ASKS} asks");
    assert_eq!(process.leader.read().projects.len(), ASKS);
    let mut watcher = Watcher::default();
    watcher.look(&process.leader);
    watcher.saw_all(file.open().unwrap().as_mut());
}

#[tokio::test]
async fn what_is_not_recorded_is_not_seen() {
    let clock = Time::new();
    let process = Process::lead(Arc::new(memory()), "a", &clock).await;
    let (leader, gate) = (&process.leader, &process.gate);
    gate.close();
    let asked = ask_all(leader, [project("one")]).await;
    until(|| gate.count(|gate| &gate.arrived) == 1).await;
    // Decided by now, and not recorded.
    assert!(leader.read().projects.is_empty());
    assert_eq!((leader.revision(), *leader.changed().borrow()), (0, 0));
    assert!(leader.events(0, 10).unwrap().is_empty());

    gate.open();
    let answer = asked.answers().await.remove(0).unwrap();
    assert_eq!(leader.revision(), answer.revision);
    assert_eq!(*leader.changed().borrow(), answer.revision);
    assert!(leader.read().projects.by_name("one").is_some());
    assert_eq!(leader.events(0, 10).unwrap().len(), 1);
}

#[tokio::test]
async fn a_dry_run_and_a_refusal_record_nothing() {
    let (disk, clock) = (memory(), Time::new());
    let process = Process::lead(Arc::new(disk.clone()), "a", &clock).await;
    let dry = Ask { dry_run: true, ..project("one") };
    process.leader.ask(dry).await.unwrap();
    let unknown = Ask { request: Some("a\0b".to_owned()), ..project("one") };
    let refused = process.leader.ask(unknown).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidRequest);
    assert_eq!(disk.revision(), 0);
    until_done(&[&process], &project("one")).await;
}

#[tokio::test]
async fn more_than_can_wait_are_refused_at_once() {
    let clock = Time::new();
    let process = Process::lead(Arc::new(memory()), "a", &clock).await;
    process.gate.close();
    let first = ask_all(&process.leader, [project("one")]).await;
    until(|| process.gate.count(|gate| &gate.arrived) == 1).await;

    let due = || Ask::from("test", Call::Due { machine: MachineId::from_uuid(Default::default()) });
    let asked = ask_all(&process.leader, (0..20_000).map(|_| due())).await;
    process.gate.open();
    assert!(first.answers().await.remove(0).is_ok());
    let answers = asked.answers().await.into_iter();
    let codes: Vec<ErrorCode> = answers.map(|it| it.unwrap_err().code).collect();
    let count = |code| codes.iter().filter(|other| **other == code).count();
    assert_eq!(count(ErrorCode::NotFound), 16_384);
    assert_eq!(count(ErrorCode::TooManyRequests), 20_000 - 16_384);
}

#[tokio::test]
async fn a_stop_answers_everybody_and_gives_the_lease_back() {
    let (disk, clock) = (memory(), Time::new());
    let mut process = Process::lead(Arc::new(disk.clone()), "a", &clock).await;
    process.gate.close();
    let leader = process.leader.clone();
    let asked = ask_all(&leader, (0..2_000).map(|it| project(&format!("p{it}")))).await;
    let leading: Option<Leading> = process.leading.take();
    let stopping = std::thread::spawn(move || drop(leading));
    process.gate.open();
    let mut done = 0;
    for answer in asked.answers().await {
        match answer {
            Ok(_) => done += 1,
            Err(problem) => {
                assert_eq!(problem.code, ErrorCode::Unavailable);
                assert!(problem.detail.starts_with("nothing was done"), "{problem}");
            }
        }
    }
    stopping.join().unwrap();
    assert_eq!(disk.open().unwrap().load().unwrap().object_count("project"), done);
    let after = process.leader.ask(project("after")).await.unwrap_err();
    assert_eq!(after.code, ErrorCode::Unavailable);
    assert!(!process.leader.leads());

    // Another need not wait: the clock stands still.
    let next = Process::lead(Arc::new(disk), "b", &clock).await;
    assert_eq!(next.leader.read().projects.len(), done);
}

#[tokio::test]
async fn events_that_are_more_than_are_kept_go_a_little_at_each_beat() {
    let (file, clock) = (File::new(), Time::new());
    let process = Process::keeping(file.clone(), "a", &clock, 500).await;
    let asks = (0..2_000).map(|number| project(&format!("p{number}")));
    for answer in ask_all(&process.leader, asks).await.answers().await {
        answer.unwrap();
    }
    let kept = |file: &File| match file.open().unwrap().events(0, 1) {
        Err(StoreError::Pruned { kept }) => kept,
        _ => 0,
    };
    until(|| {
        clock.pass(Duration::from_secs(1));
        kept(&file) == process.leader.revision() - 500
    })
    .await;
    assert_eq!(process.leader.read().projects.len(), 2_000);
    let mut store = file.open().unwrap();
    assert_eq!(store.replay().unwrap(), store.load().unwrap());
}
