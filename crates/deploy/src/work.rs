//! The thread between an order that is being carried out and those who watch
//! it: how far it is, and whether anybody still wants it. Work runs on its own
//! thread and must ask [`Work::wanted`] between pieces.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::agent::AgentFailure;
use tokio::sync::watch;

use crate::failure;

/// How far an order is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// For people: `writing image`.
    pub doing: String,
    /// Units done.
    pub done: u64,
    /// Units in all; 0 when unknown.
    pub total: u64,
}

/// Held by the work and by its watcher.
#[derive(Clone, Debug)]
pub struct Work {
    stopped: Arc<AtomicBool>,
    progress: Arc<watch::Sender<Progress>>,
}

impl Default for Work {
    fn default() -> Self {
        let (progress, _) = watch::channel(Progress::default());
        Self { stopped: Arc::default(), progress: Arc::new(progress) }
    }
}

impl Work {
    /// Tells how far the work is. Cheap: whoever reports it picks the newest.
    pub fn at(&self, doing: &str, done: u64, total: u64) {
        self.progress.send_replace(Progress { doing: doing.to_owned(), done, total });
    }

    /// To hear of progress.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Nobody wants it any more.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Fails when nobody wants the work any more.
    pub fn wanted(&self) -> Result<(), AgentFailure> {
        match self.is_stopped() {
            true => Err(failure::refused("the control plane no longer wants this")),
            false => Ok(()),
        }
    }
}
