//! The desk between the link and the work: orders come in, one at a time goes
//! out to be done, reports wait here until the control plane has heard them.
//!
//! An order may be delivered any number of times, and in any order. The work is
//! done once: a repeated id gets the same answer again. An order that is older
//! than the newest one seen is refused, since the machine has moved on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::agent::{AgentNews, AgentOrder, AgentReport};
use model::id::EffectId;
use tokio::sync::Notify;

use crate::failure;
use crate::work::Work;

/// Answers that are kept to be given again; a machine sees a handful a boot.
const ANSWERS_MOST: usize = 256;

/// Whether the control plane wanted to hear a final report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// It did.
    Heard,
    /// Nobody waits for it any more.
    Stale,
}

#[derive(Debug, Default)]
struct State {
    newest: u64,
    queue: VecDeque<AgentOrder>,
    running: Option<(EffectId, Work)>,
    answers: VecDeque<(EffectId, AgentNews)>,
    outbox: VecDeque<AgentReport>,
    hearings: BTreeMap<EffectId, Hearing>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Desk {
    state: Mutex<State>,
    arrived: Notify,
    settled: Notify,
    heard: Notify,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders came in; returns whether one of them was new.
    pub fn take_in(&self, mut orders: Vec<AgentOrder>) -> bool {
        orders.sort_by_key(|order| order.sequence);
        let mut state = self.state();
        let mut any = false;
        for order in orders {
            any |= state.take_in(order);
        }
        drop(state);
        self.arrived.notify_one();
        self.settled.notify_one();
        any
    }

    /// The next order to carry out.
    pub async fn next(&self) -> (AgentOrder, Work) {
        loop {
            {
                let mut state = self.state();
                assert!(state.running.is_none(), "one order at a time");
                if let Some(order) = state.queue.pop_front() {
                    let work = Work::default();
                    state.running = Some((order.id, work.clone()));
                    return (order, work);
                }
            }
            self.arrived.notified().await;
        }
    }

    /// The order that was being carried out has ended.
    pub fn settle(&self, id: EffectId, news: AgentNews) {
        let mut state = self.state();
        assert!(state.running.as_ref().is_some_and(|(running, _)| *running == id));
        state.running = None;
        state.answer(id, news);
        drop(state);
        self.settled.notify_one();
    }

    /// The final report that is to be sent next.
    pub fn to_report(&self) -> Option<AgentReport> {
        self.state().outbox.front().cloned()
    }

    /// Waits until there may be a final report to send.
    pub async fn news(&self) {
        self.settled.notified().await;
    }

    /// What is being worked on.
    pub fn running(&self) -> Option<(EffectId, Work)> {
        self.state().running.clone()
    }

    /// The control plane heard a report (or will never want it).
    pub fn acknowledged(&self, report: &AgentReport, hearing: Hearing) {
        let mut state = self.state();
        if hearing == Hearing::Stale {
            state.queue.retain(|order| order.id != report.id);
            if let Some((_, work)) = state.running.as_ref().filter(|(id, _)| *id == report.id) {
                work.stop();
            }
        }
        if !matches!(report.news, AgentNews::Progress { .. }) {
            state.outbox.retain(|waiting| waiting.id != report.id);
            state.hearings.insert(report.id, hearing);
            drop(state);
            self.heard.notify_waiters();
        }
    }

    /// Waits until the final report of this order was heard.
    pub async fn hearing(&self, id: EffectId) -> Hearing {
        loop {
            let waiting = self.heard.notified();
            if let Some(hearing) = self.state().hearings.get(&id) {
                return *hearing;
            }
            waiting.await;
        }
    }
}

impl State {
    fn take_in(&mut self, order: AgentOrder) -> bool {
        if let Some((id, news)) = self.answers.iter().find(|(id, _)| *id == order.id).cloned() {
            if !self.outbox.iter().any(|report| report.id == id) {
                self.outbox.push_back(AgentReport { id, news });
            }
            return false;
        }
        let running = self.running.as_ref().is_some_and(|(id, _)| *id == order.id);
        if running || self.queue.iter().any(|waiting| waiting.id == order.id) {
            return false;
        }
        if order.sequence < self.newest {
            let text = format!("order {} is older than {}", order.sequence, self.newest);
            self.answer(order.id, AgentNews::Failed { failure: failure::refused(text) });
            return true;
        }
        self.newest = order.sequence;
        self.queue.push_back(order);
        true
    }

    fn answer(&mut self, id: EffectId, news: AgentNews) {
        assert!(!matches!(news, AgentNews::Progress { .. }), "an answer is final");
        if self.answers.len() == ANSWERS_MOST
            && let Some((old, _)) = self.answers.pop_front()
        {
            self.hearings.remove(&old);
        }
        self.answers.push_back((id, news.clone()));
        self.hearings.remove(&id);
        self.outbox.push_back(AgentReport { id, news });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::agent::{AgentCommand, AgentFact};
    use model::{Id, Timestamp};

    fn order(number: u8, sequence: u64) -> AgentOrder {
        let id = Id::new(Timestamp::from_micros(0), [number; 10]);
        AgentOrder { id, sequence, command: AgentCommand::Report }
    }
    fn done() -> AgentNews {
        AgentNews::Done { fact: AgentFact::Leaving }
    }

    #[tokio::test]
    async fn a_repeated_order_is_answered_and_not_done_again() {
        let desk = Desk::default();
        assert!(desk.take_in(vec![order(1, 5)]));
        let (taken, _) = desk.next().await;
        assert!(!desk.take_in(vec![order(1, 5)]), "it is being worked on");
        desk.settle(taken.id, done());
        let report = desk.to_report().unwrap();
        desk.acknowledged(&report, Hearing::Heard);
        assert_eq!(desk.to_report(), None);
        assert!(!desk.take_in(vec![order(1, 5)]));
        assert_eq!(desk.to_report(), Some(report), "the same answer again");
        assert!(desk.running().is_none() && desk.state().queue.is_empty());
    }

    #[tokio::test]
    async fn an_older_order_is_refused() {
        let desk = Desk::default();
        desk.take_in(vec![order(1, 5)]);
        desk.take_in(vec![order(2, 4)]);
        let report = desk.to_report().unwrap();
        assert_eq!(report.id, order(2, 4).id);
        assert!(matches!(report.news, AgentNews::Failed { failure }
            if failure.kind == model::agent::AgentFailureKind::Refused));
        assert_eq!(desk.next().await.0.id, order(1, 5).id);
    }

    #[tokio::test]
    async fn stale_stops_the_work() {
        let desk = Desk::default();
        desk.take_in(vec![order(1, 1), order(2, 2)]);
        let (taken, work) = desk.next().await;
        let progress = AgentNews::Progress { doing: String::new(), done: 0, total: 0 };
        desk.acknowledged(&AgentReport { id: taken.id, news: progress }, Hearing::Stale);
        assert!(work.is_stopped());
        desk.settle(taken.id, done());
        let report = desk.to_report().unwrap();
        desk.acknowledged(&report, Hearing::Stale);
        assert_eq!(desk.hearing(taken.id).await, Hearing::Stale);
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let desk = Desk::default();
        for number in 0..2000u64 {
            let id = Id::new(Timestamp::from_micros(number as i64 * 1000), [0; 10]);
            desk.take_in(vec![AgentOrder { id, sequence: number, command: AgentCommand::Report }]);
            desk.next().await;
            desk.settle(id, done());
            let report = desk.to_report().unwrap();
            desk.acknowledged(&report, Hearing::Heard);
        }
        let state = desk.state();
        assert!(state.answers.len() <= ANSWERS_MOST && state.hearings.len() <= ANSWERS_MOST);
    }
}
