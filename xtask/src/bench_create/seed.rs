//! A cell with hosts: active machines, offered to instances, and a type. Written into the
//! record before the control plane starts; what is measured comes by the API.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use model::fleet::{
    Host, HostSpec, HostStatus, InstanceType, InstanceTypeSpec, InstanceTypeStatus,
};
use model::machine::{Lifecycle, Machine, MachineSpec, MachineStatus};
use model::{Id, Resource, Resources, Timestamp};
use record::store::sqlite::Sqlite;
use record::{Change, ObjectRow, Store, Transaction};
use serde::Serialize;
use uuid::Uuid;

/// The type of the instances.
pub const TYPE: &str = "tenth";
/// When all of it was made: 2026-01-01T00:00:00Z.
const MADE: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);
/// Changes in one transaction.
const AT_ONCE: usize = 1_000;

/// Writes a record with so many hosts of 64 cores. Room for 640 instances each.
pub fn hosts(directory: &Path, hosts: u64) -> Result<()> {
    let tenth = Resources { millicores: 100, memory_mib: 256, ..Resources::default() };
    let whole = Resources { millicores: 64_000, memory_mib: 262_144, ..Resources::default() };
    let spec = InstanceTypeSpec { resources: tenth, ..InstanceTypeSpec::default() };
    let kind: InstanceType = thing(1 << 40, TYPE, spec, InstanceTypeStatus {});
    let mut changes = vec![object("instance-type", &kind)];
    for number in 0..hosts {
        let (name, rack) = (format!("m{number}"), Some(format!("r{}", number / 40)));
        let spec = MachineSpec { rack: rack.clone(), ..MachineSpec::default() };
        let status =
            MachineStatus { lifecycle: Lifecycle::Active, since: MADE, ..MachineStatus::default() };
        let machine: Machine = thing(number, &name, spec, status);
        let status = HostStatus { room: vec![whole], rack };
        let host: Host = thing(number, &name, HostSpec::default(), status);
        changes.extend([object("machine", &machine), object("host", &host)]);
    }
    let mut store = Sqlite::open(directory.join("record.db"))?;
    let ttl = model::Duration::from_secs(10);
    let fence = store.acquire("leader", "benchmark", MADE, ttl)?.context("nobody leads yet")?;
    let mut first = 1;
    for changes in changes.chunks(AT_ONCE) {
        let (actor, changes) = ("benchmark".to_owned(), changes.to_vec());
        let count = changes.len() as u64;
        let transaction = Transaction { at: MADE, actor, request: None, changes };
        store.commit(fence.clone(), first, &[transaction])?;
        first += count;
    }
    Ok(store.release(&fence)?)
}

fn thing<N, S, T>(number: u64, name: &str, spec: S, status: T) -> Resource<Id<N>, S, T> {
    // Version 7, so that it is the kind of id that is made otherwise.
    let id = Uuid::from_u128(0x019b_76da_a800_7000_8000_0000_0000_0000 + u128::from(number));
    Resource {
        id: Id::from_uuid(id),
        name: name.to_owned(),
        generation: 1,
        labels: BTreeMap::new(),
        created: MADE,
        updated: MADE,
        spec,
        status,
    }
}

fn object<N, S: Serialize, T: Serialize>(kind: &str, thing: &Resource<Id<N>, S, T>) -> Change {
    Change::Object(ObjectRow {
        kind: kind.to_owned(),
        id: thing.id.uuid(),
        name: thing.name.clone(),
        generation: thing.generation,
        body: serde_json::to_string(thing).expect("a resource is plain data"),
    })
}
