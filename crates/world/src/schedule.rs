//! Simulated time: a queue of what happens when. Nothing sleeps; taking the next
//! entry is what moves the clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use model::{Duration, Timestamp};

/// What happens when, in order of time, and of planning where the time is equal.
pub struct Schedule<T> {
    now: Timestamp,
    planned: u64,
    queue: BinaryHeap<Reverse<Entry<T>>>,
}

struct Entry<T> {
    at: Timestamp,
    order: u64,
    what: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl<T> Eq for Entry<T> {}
impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl<T> Schedule<T> {
    /// An empty schedule that begins at a moment.
    pub fn new(now: Timestamp) -> Self {
        Self { now, planned: 0, queue: BinaryHeap::new() }
    }

    /// The simulated time.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Plans something for a moment; for now, when that moment has passed.
    pub fn at(&mut self, at: Timestamp, what: T) {
        self.planned += 1;
        let at = at.max(self.now);
        self.queue.push(Reverse(Entry { at, order: self.planned, what }));
    }

    /// Plans something for later.
    pub fn after(&mut self, span: Duration, what: T) {
        self.at(self.now + span, what);
    }

    /// The next thing, with the clock moved to its time.
    #[allow(
        clippy::should_implement_trait,
        reason = "what comes next depends on what is planned meanwhile"
    )]
    pub fn next(&mut self) -> Option<T> {
        let Reverse(entry) = self.queue.pop()?;
        assert!(entry.at >= self.now, "time went back");
        self.now = entry.at;
        Some(entry.what)
    }

    /// How much is planned.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing is planned.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_then_order_of_planning_decide() {
        let mut schedule = Schedule::new(Timestamp::from_micros(100));
        schedule.after(Duration::from_micros(50), "third");
        schedule.after(Duration::from_micros(10), "first");
        schedule.after(Duration::from_micros(10), "second");
        schedule.at(Timestamp::from_micros(1), "at once");
        let order: Vec<_> = std::iter::from_fn(|| schedule.next()).collect();
        assert_eq!(order, ["at once", "first", "second", "third"]);
        assert_eq!(schedule.now(), Timestamp::from_micros(150));
    }
}
