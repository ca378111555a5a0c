//! Volumes that are open in the lane, those of pools and those outside.

use std::path::Path;
use std::time::Duration;

use model::volume::{Backing, DiskProblem, Limits, VolumeSpec};
use volume::Nanos;
use volume::lane::{Capabilities, MediumIndex, VolumeHandle};
use volume::qos::Node;
use world::clock::monotonic_nanos;
use world::disk::{Medium, Opening};

use super::problem::{gone, problem};
use super::{Engine, Table};
use crate::reactor::Reactor;

/// How long a medium may be held by a process that has died.
pub(super) const LET_GO: Duration = Duration::from_secs(30);

/// An open volume, and how many serve it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    pub handle: VolumeHandle,
    pub node: Node,
    /// The file or device of a raw volume.
    pub medium: Option<MediumIndex>,
    pub capabilities: Capabilities,
    pub users: u32,
}

impl Engine {
    /// Opens a volume, or counts another user of it.
    pub(super) fn open(&self, table: &mut Table, name: &str) -> Result<Open, DiskProblem> {
        if let Some(open) = table.open.get_mut(name) {
            open.users += 1;
            return Ok(*open);
        }
        let open = match table.book.volume(name) {
            Some(spec) => self.open_outside(&spec.clone())?,
            None => self.open_inside(table, name)?,
        };
        table.open.insert(name.to_owned(), open);
        Ok(open)
    }

    /// Closes a volume when nobody else uses it. Requests in flight keep it open: those of
    /// clients that are being hung up on.
    pub(super) fn close(&self, table: &mut Table, name: &str) {
        let Some(open) = table.open.get_mut(name) else { return };
        open.users = open.users.saturating_sub(1);
        if open.users > 0 {
            return;
        }
        let Open { handle, node, medium, .. } = *open;
        for _ in 0..500 {
            let closed = self.lane.ask(move |lane| {
                if lane.sockets_of(handle) > 0 || lane.lane.close(handle).is_err() {
                    return false;
                }
                lane.lane.gate().remove(node);
                if let Some(medium) = medium
                    && let Err(error) = lane.remove_medium(medium)
                {
                    tracing::warn!(%error, "a medium stays open");
                }
                true
            });
            match closed {
                Ok(false) => pause(),
                Ok(true) | Err(_) => break,
            }
        }
        table.open.remove(name);
    }

    fn open_outside(&self, spec: &VolumeSpec) -> Result<Open, DiskProblem> {
        let limits = spec.limits;
        match &spec.backing {
            Backing::Raw { path } => {
                let medium = open_medium(Path::new(path))?;
                let bytes =
                    spec.size.map_or(medium.size(), |size| size.0.min(medium.size())) / 512 * 512;
                self.in_lane(limits, move |lane, node| {
                    let index = lane.add_file(medium).map_err(|error| error.to_string())?;
                    let opened = lane.open_raw(index, bytes, node);
                    opened.map(|handle| (handle, Some(index))).map_err(|error| error.to_string())
                })
            }
            Backing::Null | Backing::Pool { .. } => {
                let bytes = spec.size.map_or(0, |size| size.0);
                self.in_lane(limits, move |lane, node| {
                    let opened = lane.lane.open_null(bytes, node);
                    opened.map(|handle| (handle, None)).map_err(|error| error.to_string())
                })
            }
        }
    }

    /// Opens a volume on the lane's thread, with limits of its own.
    pub(super) fn in_lane(
        &self,
        limits: Limits,
        open: impl FnOnce(&mut Reactor, Node) -> Result<(VolumeHandle, Option<MediumIndex>), String>
        + Send
        + 'static,
    ) -> Result<Open, DiskProblem> {
        let opened = self.lane.ask(move |lane| {
            let node = lane.lane.gate().add(None, limits, Nanos(monotonic_nanos()));
            match open(lane, node) {
                Ok((handle, medium)) => {
                    let capabilities = lane.lane.capabilities(handle).expect("just opened");
                    Ok(Open { handle, node, medium, capabilities, users: 1 })
                }
                Err(why) => {
                    lane.lane.gate().remove(node);
                    Err(why)
                }
            }
        });
        opened.map_err(gone)?.map_err(|why| {
            problem(
                "volume_not_opened",
                format!("the volume cannot be opened: {why}"),
                "see `bedplate volume show`",
            )
        })
    }
}

/// Opens a file or device for a pool or a raw volume.
pub(super) fn open_medium(path: &Path) -> Result<Medium, DiskProblem> {
    let opening = Opening { lock_within: LET_GO, ..Opening::default() };
    Medium::open(path, opening).map_err(|error| {
        problem(
            "medium_not_opened",
            error.to_string(),
            "check the path, its owner, and who else uses it",
        )
    })
}

fn pause() {
    let pause = rustix::event::Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
    let _ = rustix::event::poll(&mut [], Some(&pause));
}
