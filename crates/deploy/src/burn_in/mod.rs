//! A short burn-in: processors, memory and disks work at once for the span that
//! the order gives, and every answer is checked. Disks are only read. What a
//! test measured goes into its line, so that a slow part shows beside its peers.

pub mod disk;
pub mod memory;
pub mod processor;

use model::agent::{AgentFact, BurnInResult};
use std::time::Duration;
use tokio::time::Instant;

use crate::disks;
use crate::settings::Roots;
use crate::work::Work;

/// When the burn-in is over, and whether it still matters.
#[derive(Clone, Debug)]
pub struct Until {
    begun: Instant,
    span: Duration,
    work: Work,
}

impl Until {
    /// From now on for `span`.
    pub fn new(span: Duration, work: Work) -> Self {
        Self { begun: Instant::now(), span, work }
    }
    /// Whether to go on.
    pub fn goes_on(&self) -> bool {
        self.begun.elapsed() < self.span && !self.work.is_stopped()
    }
    /// Seconds so far, never 0.
    pub fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64().max(0.001)
    }
    fn show(&self) {
        let done = self.begun.elapsed().min(self.span).as_secs();
        self.work.at("burning in", done, self.span.as_secs());
    }
}

/// Runs all tests for `span`, blocking.
#[expect(clippy::disallowed_methods, reason = "this thread does nothing but watch")]
pub fn run(roots: &Roots, span: Duration, work: &Work) -> AgentFact {
    let until = Until::new(span, work.clone());
    let found = disks::list(roots);
    let results = std::thread::scope(|scope| {
        let mut tests = vec![
            ("cpu".to_owned(), scope.spawn(|| processor::test(&until))),
            ("memory".to_owned(), scope.spawn(|| memory::test(roots, &until))),
        ];
        for disk in &found {
            let name = format!("disk {}", disk.disk.name);
            tests.push((name, scope.spawn(|| disk::test(disk, &until))));
        }
        while until.goes_on() && tests.iter().any(|(_, test)| !test.is_finished()) {
            until.show();
            std::thread::sleep(Duration::from_millis(100));
        }
        tests
            .into_iter()
            .map(|(test, running)| match running.join() {
                Ok(Ok(detail)) => BurnInResult { test, passed: true, detail },
                Ok(Err(detail)) => BurnInResult { test, passed: false, detail },
                Err(_) => BurnInResult { test, passed: false, detail: "the test died".to_owned() },
            })
            .collect()
    });
    AgentFact::BurnedIn { results }
}
