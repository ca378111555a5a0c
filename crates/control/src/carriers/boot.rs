//! Who may boot, for the servers of the boot network, and what those have seen.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use model::machine::Machine;
use model::sighting::Sighting;
use netboot::{Directory, Permit};
use tokio::sync::mpsc;

use crate::cell::{Ask, Call};
use crate::plane::Plane;

/// Sightings that wait to be recorded. When a rack boots at once and more come,
/// they are left out: firmware asks again, and the proof is the agent's.
const WAITING_MOST: usize = 4096;
/// Sightings that are recorded at once.
const AT_ONCE: usize = 64;

/// Answers from memory.
pub struct BootDirectory {
    plane: Arc<Plane>,
    seen: mpsc::Sender<Sighting>,
}

impl BootDirectory {
    pub(super) fn new(plane: Arc<Plane>) -> (Self, mpsc::Receiver<Sighting>) {
        let (seen, sightings) = mpsc::channel(WAITING_MOST);
        (Self { plane, seen }, sightings)
    }
}

/// The leave to boot that a machine has now.
fn permit(machine: &Machine) -> Option<Permit> {
    let permit = machine.status.boot.as_ref()?;
    Some(Permit { machine: machine.id, token: permit.token.clone(), road: permit.road })
}

impl Directory for BootDirectory {
    fn by_mac(&self, mac: &str) -> Option<Permit> {
        self.plane.leader.read().machine_by_mac(mac).and_then(|machine| permit(machine))
    }

    fn by_token(&self, token: &str) -> Option<Permit> {
        self.plane.leader.read().machine_by_boot_token(token).and_then(|machine| permit(machine))
    }

    fn known(&self, mac: &str) -> bool {
        self.plane.leader.read().machine_by_mac(mac).is_some()
    }

    fn sighting(&self, sighting: Sighting) {
        self.plane.metrics.sighting();
        if self.seen.try_send(sighting).is_err() {
            tracing::debug!("a sighting was left out");
        }
    }
}

/// Brings sightings to the record, until all who see are gone.
pub(super) async fn bring_in(plane: Arc<Plane>, sightings: mpsc::Receiver<Sighting>) {
    let each = |sighting| {
        let plane = plane.clone();
        async move {
            let asked = plane.leader.ask(Ask::from("bedplate", Call::Sighted { sighting })).await;
            if let Err(problem) = asked {
                tracing::debug!(%problem, "a sighting was not recorded");
            }
        }
    };
    stream::unfold(sightings, |mut sightings| async move {
        sightings.recv().await.map(|sighting| (sighting, sightings))
    })
    .for_each_concurrent(AT_ONCE, each)
    .await;
}
