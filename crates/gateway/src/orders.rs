//! What reactors leave to other threads: changes to the writer, and work that waits or
//! takes long to workers. Both queues are shared out between accounts, as the reactors
//! are. Answers come back as letters.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use object::{Mutation, Refusal, Reply};

use crate::reactor::mailbox::{Mailbox, Message};
use crate::reactor::shares::Shares;
use crate::reactor::slots::Token;
use crate::step::{Answer, Piece, Plan, Receive, Step, Then};

/// Where an answer goes.
pub type Home = (Arc<Mailbox>, Token);

/// A change, and what comes after it.
pub enum Change {
    /// One.
    One(Box<Mutation>, Then<Result<Reply, Refusal>>),
    /// Several, decided one by one.
    Several(Vec<Mutation>, Then<Vec<Result<Reply, Refusal>>>),
}

/// Content on its way to who takes it.
pub struct Block {
    /// Who takes it.
    pub receive: Box<dyn Receive>,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// There is no more.
    pub last: bool,
}

/// A change on its way to the writer.
pub struct Ordered {
    /// Where the answer goes.
    pub home: Home,
    /// What is asked for.
    pub change: Change,
}

enum Job {
    Elsewhere(Home, Box<dyn FnOnce() -> Step + Send>),
    Take(Home, Block),
    Fetch(Home, Piece),
}

/// What a job counts against its account.
const JOB: u64 = 64 << 10;

/// So much behind a piece that is fetched is begun with: its turn comes soon, as a rule.
const BEHIND: u64 = 2 << 20;

/// A queue that threads wait at.
pub struct Queue<T> {
    state: Mutex<Waiting<T>>,
    bell: Condvar,
}

struct Waiting<T> {
    shares: Shares<T>,
    closed: bool,
    asleep: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let state = Waiting { shares: Shares::default(), closed: false, asleep: 0 };
        Self { state: Mutex::new(state), bell: Condvar::new() }
    }
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something in.
    pub fn push(&self, account: u64, item: T) {
        let mut state = self.lock();
        state.shares.push(account, item);
        let wakes = state.asleep > 0;
        drop(state);
        if wakes {
            self.bell.notify_one();
        }
    }

    /// Takes what waits until `enough` says so, and charges what `cost` says. Waits for
    /// so long when nothing is there. `None`: closed and empty.
    pub fn take(
        &self,
        patience: Option<Duration>,
        cost: impl Fn(&T) -> u64,
        mut enough: impl FnMut(&[T]) -> bool,
    ) -> Option<Vec<T>> {
        let mut state = self.lock();
        if state.shares.is_empty() && !state.closed {
            state.asleep += 1;
            state = match patience {
                Some(patience) => {
                    let waited = self.bell.wait_timeout(state, patience);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.bell.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.asleep -= 1;
        }
        if state.shares.is_empty() && state.closed {
            return None;
        }
        let mut taken = Vec::new();
        while !enough(&taken) {
            let Some((account, item)) = state.shares.pop() else { break };
            state.shares.charge(account, cost(&item));
            taken.push(item);
        }
        Some(taken)
    }

    /// No more is waited for.
    pub fn close(&self) {
        self.lock().closed = true;
        self.bell.notify_all();
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.lock().shares.len()
    }
}

/// A reactor's end of both queues.
#[derive(Clone, Default)]
pub struct Orders {
    /// To the writer.
    pub changes: Arc<Queue<Ordered>>,
    jobs: Arc<Queue<Job>>,
}

impl Orders {
    /// Has a change made.
    pub fn change(&self, account: u64, home: Home, change: Change) {
        self.changes.push(account, Ordered { home, change });
    }
    /// Has something done where waiting hurts nobody.
    pub fn elsewhere(&self, account: u64, home: Home, work: Box<dyn FnOnce() -> Step + Send>) {
        self.jobs.push(account, Job::Elsewhere(home, work));
    }
    /// Has content taken.
    pub fn take(&self, account: u64, home: Home, block: Block) {
        self.jobs.push(account, Job::Take(home, block));
    }
    /// Has a piece of a file read into memory.
    pub fn fetch(&self, account: u64, home: Home, piece: Piece) {
        self.jobs.push(account, Job::Fetch(home, piece));
    }
    /// Jobs that wait.
    pub fn waiting_jobs(&self) -> usize {
        self.jobs.waiting()
    }
    /// Does jobs until the queue is closed.
    pub fn work(&self) {
        let cost = |job: &Job| match job {
            Job::Elsewhere(..) => JOB,
            Job::Take(_, block) => block.bytes.len() as u64,
            Job::Fetch(_, piece) => piece.length,
        };
        while let Some(jobs) = self.jobs.take(None, cost, |taken| !taken.is_empty()) {
            for job in jobs {
                work(job);
            }
        }
    }
    /// No more jobs.
    pub fn close_jobs(&self) {
        self.jobs.close();
    }
}

fn work(job: Job) {
    match job {
        Job::Elsewhere((mailbox, token), work) => {
            mailbox.send(Message::Step(token, guarded(|| through(work))));
        }
        Job::Fetch((mailbox, token), piece) => {
            piece.file.fetch(piece.offset, piece.length, BEHIND);
            mailbox.send(Message::Fetched(token));
        }
        Job::Take((mailbox, token), Block { mut receive, mut bytes, last }) => {
            let taken = catch_unwind(AssertUnwindSafe(|| receive.take(&bytes)));
            let taken = taken.unwrap_or_else(|_| Err(Box::new(failed())));
            bytes.clear();
            mailbox.send(match taken {
                Ok(()) if last => Message::Ended(token, bytes, guarded(|| receive.end())),
                taken => Message::Taken(token, receive, bytes, taken),
            });
        }
    }
}

/// One thing elsewhere after the other needs no way back in between.
fn through(work: Box<dyn FnOnce() -> Step + Send>) -> Step {
    let mut step = work();
    while let Step::Elsewhere(more) = step {
        step = more();
    }
    step
}

/// A fault in one request's work is that request's, and nobody else's.
fn guarded(work: impl FnOnce() -> Step) -> Step {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Step::Answer(failed()))
}

fn failed() -> Answer {
    Answer { status: 500, headers: Vec::new(), body: Plan::Empty, close: true }
}
