//! Nobody sleeps while there is something for him: all orders in which the steps of the
//! two queues between threads can happen are tried, on a model that has one step for each
//! thing that others can see. Then the queues themselves are driven by real threads, with
//! waits that would never end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::orders::Queue;
use crate::reactor::mailbox::{Mailbox, Message};
use crate::reactor::slots::Token;
use crate::step::{Answer, Plan, Step};

/// Something that goes on in steps, one of several at a time.
trait Model: Clone + Ord {
    /// All states that one step leads to.
    fn steps(&self) -> Vec<Self>;
    /// What is wrong when nobody can do anything any more.
    fn stuck(&self) -> Option<&'static str>;
}

/// Tries every order. How many states there are.
fn explore<M: Model>(first: M) -> usize {
    let mut seen = BTreeSet::from([first.clone()]);
    let mut next = vec![first];
    while let Some(state) = next.pop() {
        let steps = state.steps();
        if steps.is_empty()
            && let Some(wrong) = state.stuck()
        {
            panic!("{wrong}");
        }
        next.extend(steps.into_iter().filter(|step| seen.insert(step.clone())));
    }
    seen.len()
}

/// The mailbox: senders push under its lock and ring when it was empty, the reactor waits
/// for the bell, silences it, and takes all there is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Letters {
    /// Letters that each sender has still to send, and whether it is about to ring.
    senders: Vec<(u8, bool)>,
    letters: u8,
    bell: bool,
    /// The reactor has silenced the bell, and is about to take letters.
    silenced: bool,
    taken: u8,
    all: u8,
    /// The fault to be found: letters are taken before the bell is silenced.
    backwards: bool,
}

impl Model for Letters {
    fn steps(&self) -> Vec<Self> {
        let mut steps = Vec::new();
        for (number, (left, rings)) in self.senders.iter().enumerate() {
            let mut next = self.clone();
            match (left, rings) {
                (_, true) => {
                    next.bell = true;
                    next.senders[number].1 = false;
                }
                (0, false) => continue,
                (left, false) => {
                    next.senders[number] = (left - 1, self.letters == 0);
                    next.letters += 1;
                }
            }
            steps.push(next);
        }
        let mut reactor = self.clone();
        match (self.silenced, self.bell) {
            (false, false) => return steps,
            (first, _) if first == self.backwards => {
                reactor.bell = false;
                reactor.silenced = !self.backwards;
            }
            _ => {
                reactor.taken += std::mem::take(&mut reactor.letters);
                reactor.silenced = self.backwards;
            }
        }
        steps.push(reactor);
        steps
    }
    fn stuck(&self) -> Option<&'static str> {
        (self.taken != self.all).then_some("the reactor sleeps while there is a letter")
    }
}

fn letters(backwards: bool) -> Letters {
    let senders = vec![(2, false), (2, false), (2, false)];
    Letters { senders, letters: 0, bell: false, silenced: false, taken: 0, all: 6, backwards }
}

#[test]
fn no_order_of_sends_and_wakes_leaves_a_letter_behind() {
    assert!(explore(letters(false)) > 100);
}

#[test]
#[should_panic(expected = "sleeps while there is a letter")]
fn the_model_finds_a_bell_that_is_silenced_too_late() {
    explore(letters(true));
}

/// The queue at which threads wait: pushes look, under the lock, whether somebody sleeps,
/// and wake one after they let go of the lock.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Items {
    pushers: Vec<(u8, bool)>,
    items: u8,
    asleep: u8,
    /// Of those who sleep, who were told to wake.
    told: u8,
    /// Threads that are awake, and look at the queue next.
    awake: u8,
    taken: u8,
    all: u8,
}

impl Model for Items {
    fn steps(&self) -> Vec<Self> {
        let mut steps = Vec::new();
        for (number, (left, wakes)) in self.pushers.iter().enumerate() {
            let mut next = self.clone();
            match (left, wakes) {
                (_, true) => {
                    next.told = (next.told + 1).min(next.asleep);
                    next.pushers[number].1 = false;
                }
                (0, false) => continue,
                (left, false) => {
                    next.items += 1;
                    next.pushers[number] = (left - 1, self.asleep > 0);
                }
            }
            steps.push(next);
        }
        if self.awake > 0 {
            let mut next = self.clone();
            if self.items > 0 {
                (next.items, next.taken) = (self.items - 1, self.taken + 1);
            } else {
                (next.awake, next.asleep) = (self.awake - 1, self.asleep + 1);
            }
            steps.push(next);
        }
        if self.told > 0 {
            let (told, asleep, awake) = (self.told - 1, self.asleep - 1, self.awake + 1);
            steps.push(Self { told, asleep, awake, ..self.clone() });
        }
        steps
    }
    fn stuck(&self) -> Option<&'static str> {
        (self.taken != self.all).then_some("all sleep while there is work")
    }
}

#[test]
fn no_order_of_pushes_and_sleeps_leaves_work_behind() {
    for awake in 1..=3 {
        let pushers = vec![(2, false), (2, false), (1, false)];
        let (items, asleep, told, taken, all) = (0, 0, 0, 0, 5);
        assert!(explore(Items { pushers, items, asleep, told, awake, taken, all }) > 100);
    }
}

/// Rounds of the threads. Each waits for all before, so that everybody falls asleep often.
const ROUNDS: u64 = 3000;
/// Whatever takes so long is asleep for ever.
const EVER: Duration = Duration::from_secs(60);

#[test]
fn letters_of_real_threads_all_arrive() {
    let mailbox = Arc::new(Mailbox::new().expect("a bell"));
    let arrived = Arc::new(AtomicU64::new(0));
    let senders: Vec<_> = (0..3)
        .map(|_| {
            let (mailbox, arrived) = (mailbox.clone(), arrived.clone());
            std::thread::spawn(move || {
                for round in 0..ROUNDS {
                    let (status, headers, body) = (200, Vec::new(), Plan::Empty);
                    let answer = Answer { status, headers, body, close: false };
                    mailbox.send(Message::Step(Token(round), Step::Answer(answer)));
                    while arrived.load(Ordering::SeqCst) < round {
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let (mut letters, mut count) = (Vec::new(), 0);
    while count < 3 * ROUNDS {
        let mut polled = [PollFd::new(&*mailbox, PollFlags::IN)];
        let ever = Timespec { tv_sec: EVER.as_secs() as i64, tv_nsec: 0 };
        assert!(poll(&mut polled, Some(&ever)).is_ok_and(|told| told > 0), "{count} arrived");
        mailbox.take(&mut letters);
        count += letters.drain(..).count() as u64;
        arrived.store(count, Ordering::SeqCst);
    }
    senders.into_iter().for_each(|sender| sender.join().expect("no panic"));
}

#[test]
fn work_of_real_threads_is_all_done() {
    let queue = Arc::new(Queue::default());
    let done = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let (queue, done) = (queue.clone(), done.clone());
            std::thread::spawn(move || {
                while let Some(taken) = queue.take(Some(EVER), |_| 1, |taken| !taken.is_empty()) {
                    done.fetch_add(taken.len() as u64, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let began = world::clock::monotonic_nanos();
    for round in 0..ROUNDS {
        queue.push(round % 3, round);
        while done.load(Ordering::SeqCst) < round {
            assert!(world::clock::monotonic_nanos() - began < 2 * EVER.as_nanos() as u64);
            std::thread::yield_now();
        }
    }
    queue.close();
    workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
    assert_eq!(done.load(Ordering::SeqCst), ROUNDS);
}
