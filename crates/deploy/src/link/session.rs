//! The life of the link: be let in, then take orders and give reports until the
//! certificate ends or is refused, and again, for ever. Orders are long-polled on
//! one connection, reports go over another, so that neither waits for the other.

use std::sync::Arc;
use std::time::Duration;

use model::agent::{AgentNews, AgentReport};
use model::{Timestamp, api};
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::admission::{AdmissionError, Admitted, admit, api_path};
use super::desk::{Desk, Hearing};
use super::https::{Line, LinkError, Origin};
use super::trust::Trust;
use crate::backoff::Backoff;
use crate::kernel::clock;
use crate::settings::Settings;
use crate::tpm::Chip;
use crate::work::Progress;

/// How long the control plane holds a question for orders.
const POLL: Duration = Duration::from_secs(30);
/// Between two questions that brought nothing new at once.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two reports of progress.
const PROGRESS: Duration = Duration::from_secs(1);
/// A clock that is wrong by more than this is set.
const CLOCK_OFF: model::Duration = model::Duration::from_secs(30);
/// So many questions in a row without an answer, and the agent says hello again: its
/// certificate may have been refused before HTTP could say so.
const FAILURES_MOST: u32 = 6;
/// An admission is used for at least this long, whatever it says.
const LEAST: Duration = Duration::from_secs(30);

/// What the link needs.
#[derive(Clone)]
pub struct Link {
    /// Settings of the agent.
    pub settings: Settings,
    /// Where the control plane is.
    pub origin: Origin,
    /// Whom to trust.
    pub trust: Trust,
    /// The TPM.
    pub chip: Chip,
    /// Orders and reports.
    pub desk: Arc<Desk>,
    /// TLS settings for whoever fetches images.
    pub config: Arc<watch::Sender<Arc<ClientConfig>>>,
}

impl Link {
    /// Keeps the link up, for ever.
    pub async fn keep_up(&self) {
        let mut backoff = Backoff::new(self.settings.patience);
        loop {
            match admit(&self.origin, &self.trust, &self.chip, &self.settings.roots).await {
                Ok(admitted) => {
                    backoff.reset();
                    self.serve(admitted).await;
                }
                Err(error) => {
                    crate::say!("not let in by {}: {error}; again soon", self.origin.authority);
                    // A refusal of a person's making is not worth knocking four times a second.
                    if matches!(&error, AdmissionError::Link(link) if link.is_denial() || link.is_final())
                    {
                        sleep(self.settings.patience.first * 4).await;
                    }
                }
            }
            backoff.wait().await;
        }
    }

    /// Takes orders and reports until the admission ends.
    async fn serve(&self, admitted: Admitted) {
        let admission = &admitted.admission;
        crate::say!("let in as machine {}", admission.machine);
        self.set_clock(admission.now);
        self.config.send_replace(admitted.config.clone());
        let valid = admission.expires.since(admission.now).std();
        let until = Instant::now() + (valid * 4 / 5).max(LEAST);
        let line = || Line::new(self.origin.clone(), admitted.config.clone(), self.trust.clone());
        let (orders, reports) = (line(), line());
        let why = tokio::select! {
            error = self.take_orders(orders) => error.to_string(),
            error = self.give_reports(reports) => error.to_string(),
            () = sleep_until(until) => "the certificate ends soon".to_owned(),
        };
        crate::say!("asking to be let in again: {why}");
    }

    fn set_clock(&self, now: Timestamp) {
        let here = clock::now();
        let off = here.since(now).max(now.since(here));
        if off <= CLOCK_OFF || !self.settings.owns_machine {
            return;
        }
        match clock::set(now) {
            Ok(()) => crate::say!("the clock was off by {off}; it is {now} now"),
            Err(error) => crate::say!("the clock is off by {off} and cannot be set: {error}"),
        }
    }

    /// Until we are denied, or nobody answers for a while.
    async fn take_orders(&self, mut line: Line) -> LinkError {
        let path = format!("{}?wait={}", api_path::<api::AgentOrders>(), POLL.as_secs());
        let mut backoff = Backoff::new(self.settings.patience);
        let mut failures = 0;
        loop {
            let asked = Instant::now();
            match line.call::<api::AgentOrders>(&path, &(), POLL).await {
                Ok(orders) => {
                    backoff.reset();
                    failures = 0;
                    let new = self.desk.take_in(orders);
                    if !new && asked.elapsed() < PAUSE {
                        sleep(PAUSE).await;
                    }
                }
                Err(error) if error.is_denial() || failures >= FAILURES_MOST => return error,
                Err(error) => {
                    failures += 1;
                    crate::say!("cannot ask for orders: {error}; again soon");
                    backoff.wait().await;
                }
            }
        }
    }

    /// Until we are denied.
    async fn give_reports(&self, mut line: Line) -> LinkError {
        let mut backoff = Backoff::new(self.settings.patience);
        let mut told = Progress::default();
        loop {
            let final_one = self.desk.to_report();
            let report = final_one.or_else(|| self.progress(&mut told));
            let Some(report) = report else {
                tokio::select! {
                    () = self.desk.news() => {}
                    () = sleep(PROGRESS) => {}
                }
                continue;
            };
            let path = api_path::<api::AgentNewsPosted>();
            match line.call::<api::AgentNewsPosted>(path, &report, Duration::ZERO).await {
                Ok(reply) => {
                    backoff.reset();
                    let hearing = if reply.stale { Hearing::Stale } else { Hearing::Heard };
                    self.desk.acknowledged(&report, hearing);
                }
                Err(error) if error.is_denial() => return error,
                Err(error) if error.is_final() => {
                    crate::say!("a report was not taken: {error}");
                    self.desk.acknowledged(&report, Hearing::Heard);
                }
                Err(error) => {
                    crate::say!("cannot report: {error}; again soon");
                    backoff.wait().await;
                }
            }
            if matches!(report.news, AgentNews::Progress { .. }) {
                tokio::select! {
                    () = self.desk.news() => {}
                    () = sleep(PROGRESS) => {}
                }
            }
        }
    }

    /// A report of progress, when there is some that was not told yet.
    fn progress(&self, told: &mut Progress) -> Option<AgentReport> {
        let (id, work) = self.desk.running()?;
        let now = work.progress().borrow().clone();
        if now == *told || now == Progress::default() {
            return None;
        }
        *told = now.clone();
        let Progress { doing, done, total } = now;
        Some(AgentReport { id, news: AgentNews::Progress { doing, done, total } })
    }
}
