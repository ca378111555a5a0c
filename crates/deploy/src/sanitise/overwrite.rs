//! Overwriting every block with zeros that we send ourselves. The kernel's
//! shortcuts (discard, write-zeroes) are not used: a thin disk would only forget
//! where the data was.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use model::agent::AgentFailure;

use super::Span;
use crate::image::aligned::{Aligned, BLOCK, block_floor};
use crate::image::target::fault;

/// Bytes a write.
const RUN: usize = 4 << 20;

/// Writes zeros from the first byte to the last and synchronises.
pub fn overwrite(node: &Path, size: u64, span: &Span<'_>) -> Result<(), AgentFailure> {
    let open = |flags| OpenOptions::new().write(true).custom_flags(flags).open(node);
    let named = |error| fault(&format!("cannot open {}", node.display()), &error);
    let plain = open(0).map_err(named)?;
    let direct = open(libc::O_DIRECT).ok();
    let zeros = Aligned::zeroed(RUN);
    let whole = block_floor(size);
    let mut at = 0;
    while at < size {
        span.at("overwriting", at)?;
        let length = match at < whole {
            true => (whole - at).min(RUN as u64) as usize,
            false => (size - at) as usize,
        };
        assert!(length <= RUN && (at >= whole || length.is_multiple_of(BLOCK)));
        let file = match &direct {
            Some(direct) if at < whole => direct,
            _ => &plain,
        };
        file.write_all_at(&zeros[..length], at).map_err(|error| {
            fault(&format!("cannot overwrite {} at {at}", node.display()), &error)
        })?;
        at += length as u64;
    }
    plain.sync_all().map_err(|error| fault("cannot synchronise the disk", &error))
}
