//! From an order to what is done.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use model::volume::{Attachment, DiskOrder, DiskProblem, DiskProtocol};
use serde::Serialize;
use serde_json::Value;

use super::book::Served;
use super::clients::Clients;
use super::guests::Guests;
use super::problem::{problem, system};
use super::{Engine, LANE, Table};
use crate::keeper::client::Deposits;
use crate::virtio_blk::Device;

/// Queues that are offered when nobody says how many.
const QUEUES: u16 = 4;

impl Engine {
    /// Carries an order out.
    pub fn carry_out(self: &Arc<Self>, order: DiskOrder) -> Result<Value, DiskProblem> {
        match order {
            DiskOrder::PoolList => told(self.pool_list(&self.table())?),
            DiskOrder::PoolShow { pool } => told(self.pool_show(&self.table(), &pool)?),
            DiskOrder::VolumeList => told(self.volume_list(&self.table())?),
            DiskOrder::VolumeShow { volume } => told(self.show(&self.table(), &volume)?),
            DiskOrder::Status => told(self.status(&self.table())?),
            DiskOrder::Scrub { volume } => told(self.scrub(&volume)?),
            DiskOrder::Replace { program } => told(self.replace(program.map(PathBuf::from))?),
            changes => {
                let _alone = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
                // It may have waited while a successor took over.
                if self.page.owner(LANE) != self.generation {
                    let what = "another engine serves now";
                    return Err(problem("replaced", what, "give the order again"));
                }
                self.change_something(changes)
            }
        }
    }

    fn change_something(self: &Arc<Self>, order: DiskOrder) -> Result<Value, DiskProblem> {
        match order {
            DiskOrder::PoolCreate(spec) => told(self.pool_create(spec)?),
            DiskOrder::VolumeCreate(spec) => told(self.volume_create(spec)?),
            DiskOrder::VolumeSnapshot { volume, name } => {
                told(self.volume_snapshot(&volume, &name)?)
            }
            DiskOrder::VolumeClone { snapshot, name, limits } => {
                told(self.volume_clone(&snapshot, &name, limits)?)
            }
            DiskOrder::VolumeGrow { volume, size } => told(self.volume_grow(&volume, size)?),
            DiskOrder::VolumeLimit { volume, limits } => told(self.volume_limit(&volume, limits)?),
            DiskOrder::VolumeDelete { volume } => told(self.volume_delete(&volume)?),
            DiskOrder::Attach { volume, socket, queues, read_only } => {
                let queues = queues.unwrap_or(QUEUES).clamp(1, crate::vhost_user::QUEUES_MAX);
                let protocol = DiskProtocol::VhostUser;
                told(self.serve(Wanted { volume, protocol, socket, queues, read_only })?)
            }
            DiskOrder::Serve { volume, socket, read_only } => {
                let protocol = DiskProtocol::Nbd;
                told(self.serve(Wanted { volume, protocol, socket, queues: 0, read_only })?)
            }
            DiskOrder::Detach { volume } => told(self.unserve(&volume, DiskProtocol::VhostUser)?),
            DiskOrder::Unserve { volume } => told(self.unserve(&volume, DiskProtocol::Nbd)?),
            DiskOrder::PoolList
            | DiskOrder::PoolShow { .. }
            | DiskOrder::VolumeList
            | DiskOrder::VolumeShow { .. }
            | DiskOrder::Status
            | DiskOrder::Scrub { .. }
            | DiskOrder::Replace { .. } => self.carry_out(order),
        }
    }

    /// Serves a volume, and writes that down.
    fn serve(self: &Arc<Self>, wanted: Wanted) -> Result<Attachment, DiskProblem> {
        let mut table = self.table();
        let Wanted { volume, protocol, socket, queues, read_only } = wanted;
        if table.book.served(&volume, protocol).is_some() {
            let next = format!(
                "stop that first: bedplate volume {} {volume}",
                if protocol == DiskProtocol::Nbd { "unserve" } else { "detach" }
            );
            return Err(problem("served_already", format!("`{volume}` is served already"), next));
        }
        let socket = socket.map_or_else(|| self.usual_socket(&volume, protocol), PathBuf::from);
        let served = Served { volume, protocol, socket, queues, read_only };
        self.start_serving(&mut table, served.clone(), &Deposits::new())?;
        let volume = served.volume.clone();
        table.book.served.push(served);
        self.keep_book(&table.book)
            .map_err(|error| system("the book cannot be written", &error))?;
        let found = self
            .attachments(&table, &volume)
            .into_iter()
            .find(|attachment| attachment.protocol == protocol);
        Ok(found.expect("it was just begun"))
    }

    fn usual_socket(&self, volume: &str, protocol: DiskProtocol) -> PathBuf {
        let kind = if protocol == DiskProtocol::Nbd { "nbd" } else { "vhost" };
        self.directory.join(format!("{volume}.{kind}"))
    }

    /// Serves a volume, with the listening socket of an engine before us if there is one.
    pub(super) fn start_serving(
        self: &Arc<Self>,
        table: &mut Table,
        served: Served,
        left: &Deposits,
    ) -> Result<(), DiskProblem> {
        let open = self.open(table, &served.volume)?;
        let volume = served.volume.clone();
        let bytes = open.capabilities.bytes;
        let mut served = served;
        served.read_only |= open.capabilities.read_only;
        let key = match served.protocol {
            DiskProtocol::VhostUser => super::guests::listener_key(&volume),
            DiskProtocol::Nbd => super::clients::listener_key(&volume),
        };
        let listener = left.get(&key).and_then(|deposit| deposit.fd(0).ok());
        let begun = match served.protocol {
            DiskProtocol::VhostUser => {
                let device = Device::new(bytes, served.queues.max(1), served.read_only, &volume);
                Guests::start(self, served, device, open.handle, listener).map(|guests| {
                    table.guests.insert(volume.clone(), guests);
                })
            }
            DiskProtocol::Nbd => {
                Clients::start(self, served, bytes, open.handle, listener).map(|clients| {
                    table.clients.insert(volume.clone(), clients);
                })
            }
        };
        begun.map_err(|error| {
            self.close(table, &volume);
            system("the volume cannot be served", &error)
        })
    }

    fn unserve(self: &Arc<Self>, volume: &str, protocol: DiskProtocol) -> Result<(), DiskProblem> {
        let mut table = self.table();
        if table.book.served(volume, protocol).is_none() {
            let next = "see where it is served: bedplate volume show";
            return Err(problem("not_served", format!("`{volume}` is not served that way"), next));
        }
        match protocol {
            DiskProtocol::VhostUser => {
                if let Some(guests) = table.guests.remove(volume) {
                    guests.end(self);
                }
            }
            DiskProtocol::Nbd => {
                if let Some(clients) = table.clients.remove(volume) {
                    clients.end(self);
                }
            }
        }
        self.close(&mut table, volume);
        table
            .book
            .served
            .retain(|served| !(served.volume == volume && served.protocol == protocol));
        self.keep_book(&table.book).map_err(|error| system("the book cannot be written", &error))
    }
}

/// How a volume is to be served.
struct Wanted {
    volume: String,
    protocol: DiskProtocol,
    socket: Option<String>,
    queues: u16,
    read_only: bool,
}

fn told(answer: impl Serialize) -> Result<Value, DiskProblem> {
    serde_json::to_value(answer)
        .map_err(|error| problem("answer_not_written", error.to_string(), "report this"))
}
