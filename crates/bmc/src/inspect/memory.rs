//! Memory: one entry a populated slot.

use model::Bytes;
use model::inventory::MemoryModule;
use nv_redfish::schema::memory::Memory as Resource;
use nv_redfish::schema::resource::State;

use super::walk::{Walk, count, text};
use crate::document::Document;
use crate::failure::clean;

/// Beyond this a size is a lie (64 TiB a module).
const MOST_MIB: u64 = 64 << 20;

pub(super) async fn read(walk: &mut Walk, system: &Document) -> Vec<MemoryModule> {
    let mut modules = Vec::new();
    if let Some(collection) = system.link("/Memory") {
        let members = walk.members::<Resource>(&collection).await;
        modules = members.iter().filter_map(|member| part(member)).collect();
    }
    if modules.is_empty() {
        modules.extend(from_summary(system));
    }
    modules
}

fn part(member: &Resource) -> Option<MemoryModule> {
    let state = member.status.as_ref().and_then(|status| status.state.flatten());
    let mib = count(member.capacity_mi_b);
    if state == Some(State::Absent) || !(1..=MOST_MIB).contains(&mib) {
        return None;
    }
    let locator = text(&member.device_locator);
    let slot = if locator.is_empty() { clean(&member.id, 128) } else { locator };
    Some(MemoryModule { slot, size: Bytes::mib(mib) })
}

/// What the system says of its memory as a whole, when it names no module.
fn from_summary(system: &Document) -> Option<MemoryModule> {
    let gib = system.body.pointer("/MemorySummary/TotalSystemMemoryGiB")?;
    let gib = gib.as_f64().filter(|gib| *gib > 0.0 && *gib <= (MOST_MIB >> 10) as f64)?;
    Some(MemoryModule { slot: "all".to_owned(), size: Bytes::mib((gib * 1024.0) as u64) })
}
