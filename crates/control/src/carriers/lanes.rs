//! How many requests are under way at once. Those to BMCs that did not answer the
//! last time have a lane of their own, and a request that takes long gives its
//! place up: so a thousand BMCs that hang hold up none that answer.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// The lanes. Each is first come, first served.
pub(super) struct Lanes {
    prompt: Semaphore,
    doubtful: Semaphore,
    patience: Duration,
}

/// A place in a lane.
pub(super) struct Place<'a> {
    permit: SemaphorePermit<'a>,
    patience: Duration,
}

impl Lanes {
    /// With so many places.
    pub(super) fn new(prompt: usize, doubtful: usize, patience: Duration) -> Self {
        assert!(prompt > 0 && doubtful > 0, "a lane without places leads nowhere");
        Self { prompt: Semaphore::new(prompt), doubtful: Semaphore::new(doubtful), patience }
    }

    /// Waits for a place.
    pub(super) async fn enter(&self, doubtful: bool) -> Place<'_> {
        let lane = if doubtful { &self.doubtful } else { &self.prompt };
        let permit = lane.acquire().await.expect("lanes are never closed");
        Place { permit, patience: self.patience }
    }
}

impl Place<'_> {
    /// Carries something out, and gives the place up when it takes long.
    pub(super) async fn hold<T>(self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        if let Ok(done) = tokio::time::timeout(self.patience, &mut work).await {
            return done;
        }
        drop(self.permit);
        work.await
    }
}
