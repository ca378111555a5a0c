//! The loops that carry out what was decided, and bring in what happens: requests
//! to BMCs, deadlines, sightings from the boot network.
//!
//! Nothing here looks at everything at a fixed tick. [`feed`] reads what was
//! recorded and tells whom it concerns: [`dispatch`] (BMCs), [`timers`], and the
//! agents that wait in [`crate::agents`]. All of it acts only while this process
//! leads, and begins anew from the record when it comes to lead.
//!
//! Read in this order: [`feed`], [`queues`] (what is out, by machine),
//! [`dispatch`], [`worker`] (one machine's BMC), [`lanes`] (how many at once),
//! [`timers`], [`boot`], [`console`], [`placements`],
//! [`retention`].

mod boot;
mod console;
mod dispatch;
mod feed;
mod lanes;
mod placements;
mod queues;
mod reach;
mod retention;
mod timers;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::plane::Plane;
pub use boot::BootDirectory;
pub use console::{ConsoleStream, console};
use dispatch::Dispatch;
pub use reach::{Connector, OverRedfish};
pub use retention::Retention;
use timers::Timers;

/// How requests to BMCs are spread.
#[derive(Clone, Copy, Debug)]
pub struct CarrierSettings {
    /// Requests at once to BMCs that answer.
    pub prompt: usize,
    /// Requests at once to BMCs that did not answer the last time.
    pub doubtful: usize,
    /// A request that takes longer than this does not count against the limit any
    /// more: it waits, and waiting costs nothing.
    pub patience: Duration,
    /// How long a connection without work is kept.
    pub idle: Duration,
    /// How many BMCs tell of events at once.
    pub streams: usize,
}

impl Default for CarrierSettings {
    fn default() -> Self {
        Self {
            prompt: 256,
            doubtful: 64,
            patience: Duration::from_secs(3),
            idle: Duration::from_secs(60),
            streams: 4096,
        }
    }
}

/// The running loops. They end when this is dropped; [`Carriers::stop`] waits for it.
pub struct Carriers {
    directory: Arc<BootDirectory>,
    stopping: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// How long the loops may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Starts the loops, with BMCs behind Redfish.
pub fn start(plane: Arc<Plane>) -> Carriers {
    start_with(plane, Arc::new(OverRedfish), CarrierSettings::default())
}

/// Starts the loops with other BMCs or other settings.
pub fn start_with(
    plane: Arc<Plane>,
    connector: Arc<dyn Connector>,
    settings: CarrierSettings,
) -> Carriers {
    let (stopping, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let timers = Arc::new(Timers::new(plane.clone()));
    let dispatch = Arc::new(Dispatch::new(plane.clone(), connector, settings, stopped.clone()));
    let (directory, sightings) = BootDirectory::new(plane.clone());
    let feed = feed::Feed::new(plane.clone(), dispatch, timers.clone());
    spawn(&mut tasks, stopped.clone(), feed.run());
    spawn(&mut tasks, stopped.clone(), async move { timers.run().await });
    spawn(&mut tasks, stopped.clone(), placements::run(plane.clone()));
    spawn(&mut tasks, stopped.clone(), retention::run(plane.clone()));
    spawn(&mut tasks, stopped, boot::bring_in(plane, sightings));
    Carriers { directory: Arc::new(directory), stopping, tasks }
}

/// Runs a loop until all are told to stop. What it is at is dropped then: it is in
/// the record, and is taken up again after the next start.
fn spawn(
    tasks: &mut JoinSet<()>,
    mut stopped: watch::Receiver<bool>,
    work: impl Future<Output = ()> + Send + 'static,
) {
    tasks.spawn(async move {
        tokio::select! {
            () = work => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    });
}

impl Carriers {
    /// Who may boot, for the servers of the boot network.
    pub fn directory(&self) -> Arc<BootDirectory> {
        self.directory.clone()
    }

    /// Ends the loops. Requests under way are dropped: they are in the record, and
    /// each is safe to repeat.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::warn!("some loops did not end in time and are dropped");
        }
    }
}

impl Drop for Carriers {
    fn drop(&mut self) {
        self.stopping.send_replace(true);
    }
}
