//! Which disk gets the image: the one that was named, or the smallest that fits.

use model::Bytes;
use model::agent::{AgentFailure, WriteImage};

use super::target::SMALLEST;
use crate::disks::FoundDisk;
use crate::failure;

/// Room for the seed's partition and the alignment around it.
const SEED_ROOM: u64 = 4 << 20;

/// Chooses among the machine's disks.
pub fn choose(disks: Vec<FoundDisk>, order: &WriteImage) -> Result<FoundDisk, AgentFailure> {
    let room = if order.seed.is_empty() { 0 } else { SEED_ROOM };
    let needed = order.size.0.saturating_add(room).max(SMALLEST);
    let shown: Vec<String> =
        disks.iter().map(|d| format!("{} ({})", d.disk.name, d.disk.size)).collect();
    let shown = if shown.is_empty() { "none".to_owned() } else { shown.join(", ") };
    if let Some(name) = &order.disk {
        let named = disks.into_iter().find(|found| found.disk.name == *name);
        let named = named
            .ok_or_else(|| failure::disk(format!("there is no disk {name}; there are: {shown}")))?;
        return match named.disk.size.0 >= needed {
            true => Ok(named),
            false => Err(failure::disk(format!(
                "disk {name} has {}, the image needs {}",
                named.disk.size,
                Bytes(needed)
            ))),
        };
    }
    let fitting = disks.into_iter().filter(|found| found.disk.size.0 >= needed);
    let ranked = fitting.min_by(|a, b| {
        (a.disk.size, a.disk.rotational, &a.disk.name).cmp(&(
            b.disk.size,
            b.disk.rotational,
            &b.disk.name,
        ))
    });
    ranked
        .ok_or_else(|| failure::disk(format!("no disk has {}; there are: {shown}", Bytes(needed))))
}
