//! What a follower must not do: show anything twice, or lead on what it cannot
//! read.

use std::sync::Arc;

use model::Duration;
use record::{Change, ObjectRow, Transaction};

use crate::gate::Gate;
use crate::places::{Place, memory};
use crate::process::{NOW, Process, Time, Watcher, project, until};

#[tokio::test]
async fn what_is_recorded_while_it_starts_is_seen_once() {
    let (disk, clock) = (memory(), Time::new());
    let leads = Process::lead(Arc::new(disk.clone()), "a", &clock).await;
    leads.leader.ask(project("before")).await.unwrap();
    // Between its load and its look at the events, the leader goes on.
    let gate = Arc::new(Gate::default());
    let leader = leads.leader.clone();
    *gate.after_load.lock().unwrap() = Some(Box::new(move || {
        answered(leader.ask(project("meanwhile")));
    }));
    let follows = std::thread::spawn({
        let (gate, disk, clock) = (gate.clone(), disk.clone(), clock.clone());
        move || Process::start_behind(gate, Arc::new(disk), "b", &clock)
    });
    let follows = follows.join().unwrap();
    until(|| follows.leader.revision() == disk.revision()).await;
    let mut watcher = Watcher::default();
    watcher.look(&follows.leader);
    watcher.saw_all(disk.open().unwrap().as_mut());
}

fn answered(asked: impl Future<Output = Result<control::leader::Answer, model::Problem>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(asked).unwrap();
}

#[tokio::test]
async fn what_cannot_be_read_is_not_led_on() {
    let (disk, clock) = (memory(), Time::new());
    let mut newer = disk.open().unwrap();
    let term = Duration::from_secs(10);
    let fence = newer.acquire("leader", "newer", NOW, term).unwrap().unwrap();
    let follows = Process::start(Arc::new(disk), "b", &clock);
    let row = ObjectRow {
        kind: "project".to_owned(),
        id: Default::default(),
        name: "p".to_owned(),
        generation: 1,
        body: "{\"written\":\"by a later version\"}".to_owned(),
    };
    let batch = Transaction {
        at: NOW,
        actor: "newer".to_owned(),
        request: None,
        changes: vec![Change::Object(row)],
    };
    newer.commit(fence, 1, &[batch]).unwrap();
    until(|| follows.leader.revision() == 1).await;

    clock.pass(Duration::from_secs(60));
    let (gate, tried) = (&follows.gate, follows.gate.count(|gate| &gate.acquires));
    let reads = gate.count(|gate| &gate.reads);
    until(|| gate.count(|gate| &gate.reads) > reads + 2).await;
    assert_eq!(gate.count(|gate| &gate.acquires), tried);
    assert!(!follows.leader.leads());
}
