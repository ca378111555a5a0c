//! After the image is on the disk: make its partition table fit the disk, grow
//! the last partition, and put the seed into a last small one.

use model::agent::{AgentFailure, WriteImage};

use super::fat;
use super::gpt::{BASIC_DATA, Gpt, GptError};
use super::mbr::{self, Place};
use super::target::{Sink as _, Target};
use crate::backoff::random;
use crate::failure;

/// Changes what the disk's ends hold, and writes the seed.
pub fn adapt(target: &mut Target, order: &WriteImage) -> Result<(), AgentFailure> {
    let seed = match order.seed.is_empty() {
        true => None,
        false => Some(
            fat::make(&order.seed, target.sector(), random() as u32)
                .map_err(|error| failure::refused(error.to_string()))?,
        ),
    };
    if seed.is_none() && !order.grow {
        return Ok(());
    }
    let extra = seed.as_ref().map_or(0, |seed| seed.len() as u64);
    let (sector, size) = (u64::from(target.sector()), target.size());
    let (head, tail) = target.ends();
    let place = match Gpt::read(head, sector) {
        Ok(mut gpt) => {
            let place = adapt_gpt(&mut gpt, sector, size, extra, order.grow).map_err(no_fit)?;
            gpt.write(head, tail, size);
            place
        }
        Err(GptError::Absent) if mbr::is_present(head) => {
            mbr::adapt(head, sector, size, extra, order.grow).map_err(no_fit)?
        }
        Err(GptError::Absent) if seed.is_none() => return Ok(()),
        Err(error) => return Err(no_fit(error)),
    };
    if let Some((place, seed)) = place.zip(seed) {
        assert!(seed.len() as u64 <= place.length, "the partition was made for the seed");
        target.clear(place.start, place.length)?;
        target.put(place.start, &seed)?;
    }
    Ok(())
}

fn adapt_gpt(
    gpt: &mut Gpt,
    sector: u64,
    disk: u64,
    extra: u64,
    grow: bool,
) -> Result<Option<Place>, GptError> {
    gpt.fit(disk)?;
    let added = match extra {
        0 => None,
        _ => Some(gpt.add_at_end(extra, BASIC_DATA, "CIDATA")?),
    };
    if grow {
        gpt.grow_last(added.map(|added| added.first));
    }
    Ok(added.map(|added| Place {
        start: added.first * sector,
        length: (added.last - added.first + 1) * sector,
    }))
}

fn no_fit(error: GptError) -> AgentFailure {
    match error {
        GptError::NoRoom(_) | GptError::Sector { .. } => failure::disk(error.to_string()),
        GptError::Absent | GptError::Damaged(_) => failure::refused(error.to_string()),
    }
}
