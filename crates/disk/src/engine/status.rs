//! What the engine says of itself and of what it measured.

use model::volume::{
    Attachment, CutOvers, DiskProblem, DiskProtocol, DiskStatus, LaneStatus, Latency,
};
use volume::Kind;
use volume::lane::VolumeHandle;

use super::problem::gone;
use super::{Engine, Table};
use crate::reactor::Polling;

const KINDS: [(Kind, &str); 5] = [
    (Kind::Read, "read"),
    (Kind::Write, "write"),
    (Kind::Flush, "flush"),
    (Kind::Discard, "discard"),
    (Kind::WriteZeroes, "write_zeroes"),
];

impl Engine {
    pub(super) fn status(&self, table: &Table) -> Result<DiskStatus, DiskProblem> {
        let fronts = self.lane.ask(|lane| lane.fronts()).map_err(gone)?;
        let volumes = self.volume_list(table)?.len();
        let lane = LaneStatus {
            core: self.settings.core,
            always_polls: self.settings.polling == Polling::Always,
            fronts: fronts as u32,
        };
        Ok(DiskStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            generation: self.generation,
            pid: std::process::id(),
            came: self.came.into(),
            pools: table.pools.len() as u32,
            volumes: volumes as u32,
            attachments: (table.guests.len() + table.clients.len()) as u32,
            lanes: vec![lane],
            cut_overs: self.cut_overs(),
            confinement: self
                .confinement
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .clone(),
        })
    }

    fn cut_overs(&self) -> CutOvers {
        let (count, mut latest) = self.page.cut_overs();
        let last = latest.last().copied().unwrap_or(0);
        latest.sort_unstable();
        let at = |percent: usize| {
            latest.get((latest.len() * percent / 100).min(latest.len().saturating_sub(1)))
        };
        let (p50, p99) = (at(50).copied().unwrap_or(0), at(99).copied().unwrap_or(0));
        CutOvers { count, last, p50, p99, worst: latest.last().copied().unwrap_or(0) }
    }

    pub(super) fn attachments(&self, table: &Table, volume: &str) -> Vec<Attachment> {
        let guests = table.guests.get(volume).map(|guests| Attachment {
            volume: volume.to_owned(),
            protocol: DiskProtocol::VhostUser,
            socket: guests.served.socket.display().to_string(),
            read_only: guests.served.read_only,
            clients: u32::from(guests.is_connected()),
        });
        // Those that came with an earlier engine are not the listener's.
        let served = |handle| self.lane.ask(move |lane| lane.sockets_of(handle)).unwrap_or(0);
        let clients = table.clients.get(volume).map(|clients| Attachment {
            volume: volume.to_owned(),
            protocol: DiskProtocol::Nbd,
            socket: clients.served.socket.display().to_string(),
            read_only: clients.served.read_only,
            clients: served(clients.handle) as u32,
        });
        guests.into_iter().chain(clients).collect()
    }

    /// How long the requests of an open volume took, by kind.
    pub(super) fn latency(&self, handle: VolumeHandle) -> Result<Vec<Latency>, DiskProblem> {
        let seen = self.lane.ask(move |lane| {
            let Some(statistics) = lane.lane.statistics(handle) else { return Vec::new() };
            let each = |(kind, name): &(Kind, &str)| {
                let histogram = statistics.latency(*kind)?;
                let at = |fraction| histogram.quantile(fraction).unwrap_or(0);
                Some(Latency {
                    kind: (*name).to_owned(),
                    count: histogram.count(),
                    p50: at(0.5),
                    p99: at(0.99),
                    p999: at(0.999),
                    p99999: at(0.99999),
                    most: histogram.most(),
                })
            };
            KINDS.iter().filter_map(each).collect()
        });
        seen.map_err(gone)
    }
}
