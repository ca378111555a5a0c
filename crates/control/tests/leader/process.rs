//! One process that leads or follows, the clock of all, and what tests ask.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration as Span;

use control::cell::{Ask, Call, Idempotency, Reply};
use control::leader::{Answer, Leader, LeaderSettings, Leading};
use futures_util::future::{MaybeDone, maybe_done};
use model::problem::{ErrorCode, Problem};
use model::project::ProjectSpec;
use model::{Duration, Timestamp};
use record::{Change, Store};
use world::Clock;
use world::clock::ManualClock;

use crate::gate::{Gate, Gated};
use crate::places::Place;

/// 2026-01-01T00:00:00Z.
pub const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

/// A clock that is set by hand, and that panics when it was told to.
pub struct Time {
    hand: ManualClock,
    /// The leader's thread may look so often before it panics; never when negative.
    looks_left: AtomicI64,
}

impl Time {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { hand: ManualClock::at(NOW), looks_left: AtomicI64::new(-1) })
    }

    pub fn pass(&self, span: Duration) {
        self.hand.set(self.hand.now() + span);
    }

    pub fn panic_after(&self, looks: i64) {
        self.looks_left.store(looks, Ordering::SeqCst);
    }

    pub fn has_panicked(&self) -> bool {
        self.looks_left.load(Ordering::SeqCst) < 0
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        let of_leader = std::thread::current().name() == Some("leader");
        if of_leader && self.looks_left.load(Ordering::SeqCst) >= 0 {
            let left = self.looks_left.fetch_sub(1, Ordering::SeqCst);
            assert!(left != 0, "ordered by the test");
        }
        self.hand.now()
    }
}

/// A process.
pub struct Process {
    pub leader: Leader,
    pub leading: Option<Leading>,
    pub gate: Arc<Gate>,
    pub commits: Arc<AtomicI64>,
    clock: Arc<Time>,
}

impl Process {
    pub fn start(place: Arc<dyn Place>, holder: &str, clock: &Arc<Time>) -> Self {
        Self::start_behind(Arc::default(), place, holder, clock)
    }

    pub fn start_behind(
        gate: Arc<Gate>,
        place: Arc<dyn Place>,
        holder: &str,
        clock: &Arc<Time>,
    ) -> Self {
        Self::with(gate, place, holder, clock, 1_000_000)
    }

    /// One that leads and keeps so many events.
    pub async fn keeping(
        place: Arc<dyn Place>,
        holder: &str,
        clock: &Arc<Time>,
        keep_events: u64,
    ) -> Self {
        let process = Self::with(Arc::default(), place, holder, clock, keep_events);
        until(|| process.leader.leads()).await;
        process
    }

    fn with(
        gate: Arc<Gate>,
        place: Arc<dyn Place>,
        holder: &str,
        clock: &Arc<Time>,
        keep_events: u64,
    ) -> Self {
        let commits = Arc::new(AtomicI64::new(0));
        let counted = commits.clone();
        let settings = LeaderSettings {
            holder: holder.to_owned(),
            machine: Arc::new(machine::Settings::default()),
            clock: clock.clone(),
            committed: Box::new(move |_, _, _| {
                counted.fetch_add(1, Ordering::SeqCst);
            }),
            keep_events,
        };
        let behind = gate.clone();
        let open = Box::new(move || {
            behind.opens.fetch_add(1, Ordering::SeqCst);
            behind.reach()?;
            let inner = place.open()?;
            Ok(Box::new(Gated { inner, gate: behind.clone() }) as Box<dyn Store>)
        });
        let (leader, leading) = off(|| Leader::start(open, settings)).unwrap();
        Self { leader, leading: Some(leading), gate, commits, clock: clock.clone() }
    }

    /// One that leads.
    pub async fn lead(place: Arc<dyn Place>, holder: &str, clock: &Arc<Time>) -> Self {
        let process = Self::start(place, holder, clock);
        until(|| process.leader.leads()).await;
        process
    }

    /// Ends the process as a crash does: its lease stays.
    pub fn crash(mut self) {
        self.gate.set_away(true);
        drop(self.leading.take());
    }
}

/// Does what blocks on a thread of its own: a store may not be opened by a task.
pub fn off<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

/// Asks that are on their way.
pub struct Asked<F: Future>(Vec<Pin<Box<MaybeDone<F>>>>);

impl<F: Future> Asked<F> {
    /// Their answers, in the order of the asks.
    pub async fn answers(self) -> Vec<F::Output> {
        let mut answers = Vec::new();
        for mut one in self.0 {
            one.as_mut().await;
            answers.push(one.as_mut().take_output().unwrap());
        }
        answers
    }
}

/// Asks many things at once: when this returns, all wait or have been answered.
pub async fn ask_all(
    leader: &Leader,
    asks: impl IntoIterator<Item = Ask>,
) -> Asked<impl Future<Output = Result<Answer, Problem>>> {
    let mut asked = Vec::new();
    for ask in asks {
        let mut one = Box::pin(maybe_done(leader.ask(ask)));
        let _ = futures_util::poll!(&mut one);
        asked.push(one);
    }
    Asked(asked)
}

/// Waits for a condition. A test that waits for ever is ended by its runner.
pub async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(Span::from_millis(2)).await;
    }
}

/// To make a project, with its name as idempotency key.
pub fn project(name: &str) -> Ask {
    let call = Call::CreateProject { name: name.to_owned(), spec: ProjectSpec::default() };
    keyed(name, call)
}

/// An ask with an idempotency key.
pub fn keyed(key: &str, call: Call) -> Ask {
    let idempotency = Idempotency { key: key.to_owned(), digest: "digest".to_owned() };
    Ask { idempotency: Some(idempotency), ..Ask::from("test", call) }
}

/// Asks the same until somebody who leads says that it is done. Time passes when
/// nobody does.
pub async fn until_done(processes: &[&Process], ask: &Ask) -> Answer {
    loop {
        for process in processes {
            match process.leader.ask(ask.clone()).await {
                Ok(answer) => return answer,
                Err(problem) => assert!(may_pass(&problem), "{problem}"),
            }
        }
        processes[0].clock.pass(Duration::from_millis(100));
        tokio::time::sleep(Span::from_millis(1)).await;
    }
}

fn may_pass(problem: &Problem) -> bool {
    use ErrorCode::{Internal, NotLeader, StorageFull, Unavailable};
    assert!(!problem.detail.contains(crate::gate::SECRET), "{problem}");
    matches!(problem.code, Internal | NotLeader | StorageFull | Unavailable)
}

/// The id in a reply about a project.
pub fn project_id(reply: &Reply) -> String {
    let Reply::Project(project) = reply else { panic!("a project was asked for: {reply:?}") };
    project.id.to_string()
}

/// What a watcher has seen.
#[derive(Default)]
pub struct Watcher {
    pub revisions: Vec<u64>,
    pub names: Vec<String>,
    after: u64,
}

impl Watcher {
    /// Looks at all that is new, a little at a time.
    pub fn look(&mut self, leader: &Leader) {
        loop {
            let events = leader.events(self.after, 7).unwrap();
            let Some(last) = events.last() else { return };
            self.after = last.revision;
            self.revisions.extend(events.iter().map(|event| event.revision));
            self.names.extend(events.into_iter().filter_map(|event| event.name));
        }
    }

    /// Every revision that is for watchers was seen once, and nothing else.
    pub fn saw_all(&self, store: &mut dyn Store) {
        let rows = store.events(0, u32::MAX >> 1).unwrap();
        let shown = rows.iter().filter(|row| {
            !matches!(row.change, Change::Idempotent(_) | Change::IdempotentForgotten { .. })
        });
        assert_eq!(self.revisions, shown.map(|row| row.revision).collect::<Vec<_>>());
    }

    /// How often a project of this name was made.
    pub fn made(&self, name: &str) -> usize {
        self.names.iter().filter(|known| *known == name).count()
    }
}
