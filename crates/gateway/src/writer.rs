//! The one thread that changes the store. It takes what waits, has it decided and made
//! durable together, and tells the reactors. So a sync is shared by all who wait for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use object::{Mutation, Refusal, Reply};

use crate::memory::Memory;
use crate::orders::{Change, Ordered, Queue};
use crate::reactor::mailbox::{Mailbox, Message};

/// The most mutations that are made durable together.
const BATCH: usize = 512;
/// And the most bytes of small bodies.
const BATCH_BYTES: u64 = 8 << 20;

/// What can make changes last.
pub trait Applies: Send {
    /// Decides them one by one, makes durable what is to be done, and says so.
    fn apply(&mut self, batch: Vec<Mutation>) -> Vec<Result<Reply, Refusal>>;
    /// Does a bounded piece of what else is to be done; when to call again.
    fn tick(&mut self) -> Duration;
    /// Why it makes no more changes, when that is so.
    fn dead(&self) -> Option<String> {
        None
    }
    /// There will be no more.
    fn close(&mut self);
}

/// Applies what comes until the queue is closed and empty.
pub fn run(queue: &Queue<Ordered>, mut store: Box<dyn Applies>) {
    let (mut patience, mut memory) = (store.tick(), Memory::default());
    loop {
        let (mut mutations, mut bytes) = (0, 0);
        let taken = queue.take(Some(patience), cost, |taken| {
            mutations += taken.last().map_or(0, count);
            bytes += taken.last().map_or(0, cost);
            mutations >= BATCH || bytes >= BATCH_BYTES
        });
        let Some(orders) = taken else { break };
        if !orders.is_empty() {
            apply(&mut *store, orders);
        }
        patience = store.tick();
        memory.look();
    }
    store.close();
}

fn count(order: &Ordered) -> usize {
    match &order.change {
        Change::One(..) => 1,
        Change::Several(mutations, _) => mutations.len(),
    }
}

fn cost(order: &Ordered) -> u64 {
    let of = |mutation: &Mutation| match mutation {
        Mutation::Put(put) => 4096 + inline(&put.body),
        Mutation::PutPart { body, .. } => 4096 + inline(body),
        _ => 4096,
    };
    match &order.change {
        Change::One(mutation, _) => of(mutation),
        Change::Several(mutations, _) => mutations.iter().map(of).sum(),
    }
}

fn inline(body: &object::Body) -> u64 {
    match body {
        object::Body::Inline(bytes) => bytes.len() as u64,
        object::Body::Empty | object::Body::Extents(_) => 0,
    }
}

fn apply(store: &mut dyn Applies, orders: Vec<Ordered>) {
    let mut batch = Vec::with_capacity(orders.len());
    let mut waiting = Vec::with_capacity(orders.len());
    for Ordered { home, change } in orders {
        let (mutations, then) = match change {
            Change::One(mutation, then) => (vec![*mutation], After::One(then)),
            Change::Several(mutations, then) => (mutations, After::Several(then)),
        };
        waiting.push((home, mutations.len(), then));
        batch.extend(mutations);
    }
    let expected = batch.len();
    let results = store.apply(batch);
    assert!(results.len() == expected, "each mutation is answered");
    let mut results = results.into_iter();
    let mut letters: HashMap<*const Mailbox, (Arc<Mailbox>, Vec<Message>)> = HashMap::new();
    for ((mailbox, token), count, then) in waiting {
        let letter = match then {
            After::One(then) => {
                Message::Applied(token, then, results.next().expect("each is answered"))
            }
            After::Several(then) => {
                Message::AppliedAll(token, then, results.by_ref().take(count).collect())
            }
        };
        let at = letters.entry(Arc::as_ptr(&mailbox)).or_insert_with(|| (mailbox, Vec::new()));
        at.1.push(letter);
    }
    for (mailbox, letters) in letters.into_values() {
        mailbox.send_all(letters.into_iter());
    }
}

/// What comes after a change.
enum After {
    One(crate::step::Then<Result<Reply, Refusal>>),
    Several(crate::step::Then<Vec<Result<Reply, Refusal>>>),
}
