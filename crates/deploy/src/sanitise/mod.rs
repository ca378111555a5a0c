//! Sanitising: what was on the disks must be gone, and we must be able to show
//! it. Each disk gets the best that it has and that was asked for (the key
//! destroyed, every block erased by the device, every block overwritten by us),
//! then a random sample is read back. What is reported is what was really done.

pub mod nvme;
pub mod overwrite;
pub mod verify;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;

use model::Bytes;
use model::agent::{AgentFact, AgentFailure, SanitisedDisk};
use model::machine::SanitiseMethod;

use crate::disks::{self, FoundDisk};
use crate::image::target::{fault, size_of_disk};
use crate::kernel::block;
use crate::settings::Roots;
use crate::work::Work;

/// Sanitises every disk, one after the other, and reads back a sample of each.
/// What remained is told, not judged: the control plane has the whole picture.
pub fn sanitise(
    roots: &Roots,
    wanted: SanitiseMethod,
    sample_ppm: u32,
    work: &Work,
) -> Result<AgentFact, AgentFailure> {
    let found = disks::list(roots);
    let total: u64 = found.iter().map(|disk| disk.disk.size.0).sum();
    let mut before = 0;
    let mut done = Vec::new();
    for disk in &found {
        crate::say!("sanitising {} ({})", disk.disk.name, disk.disk.size);
        let span = Span { before, total, work };
        done.push(one(disk, wanted, sample_ppm, &span)?);
        before += disk.disk.size.0;
    }
    Ok(AgentFact::Sanitised { disks: done })
}

/// A disk's part in the progress of all.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    before: u64,
    total: u64,
    work: &'a Work,
}

impl Span<'_> {
    /// So many bytes of this disk are done. Fails when nobody wants it any more.
    pub fn at(&self, doing: &str, done: u64) -> Result<(), AgentFailure> {
        self.work.at(doing, self.before + done, self.total);
        self.work.wanted()
    }
}

fn one(
    disk: &FoundDisk,
    wanted: SanitiseMethod,
    sample_ppm: u32,
    span: &Span<'_>,
) -> Result<SanitisedDisk, AgentFailure> {
    let node = disk.node.display();
    let name = &disk.disk.name;
    let named = |error| fault(&format!("cannot open {node}"), &error);
    let open =
        |flags| OpenOptions::new().read(true).write(true).custom_flags(flags).open(&disk.node);
    let file = open(libc::O_EXCL).map_err(named)?;
    let size = size_of_disk(&file).map_err(named)?;
    let before = verify::fingerprint(&file, size, sample_ppm)
        .map_err(|error| fault(&format!("cannot read {name}"), &error))?;
    let mut method = by_device(disk, &file, size, wanted, span)?;
    let mut checked = None;
    if let Some(purge) = method {
        block::forget_cache(&file);
        let sample = verify::after(&file, purge, &before)
            .map_err(|error| fault(&format!("cannot read back {name}"), &error))?;
        // A device that says "done" and is not is overwritten by us: never take its word.
        match sample.residue {
            0 => checked = Some(sample),
            residue => {
                crate::say!("{name} claims {purge}, but {residue} bytes remain; overwriting");
                method = None;
            }
        }
    }
    let sample = match checked {
        Some(sample) => sample,
        None => {
            overwrite::overwrite(&disk.node, size, span)?;
            block::forget_cache(&file);
            verify::after(&file, SanitiseMethod::Overwrite, &before)
                .map_err(|error| fault(&format!("cannot read back {name}"), &error))?
        }
    };
    Ok(SanitisedDisk {
        disk: name.clone(),
        model: disk.disk.model.clone(),
        serial: disk.disk.serial.clone(),
        size: Bytes(size),
        method: method.unwrap_or(SanitiseMethod::Overwrite),
        sampled: Bytes(sample.sampled),
        residue: Bytes(sample.residue),
    })
}

/// Has the device do it; `None` when it cannot, or was not asked to.
fn by_device(
    disk: &FoundDisk,
    file: &File,
    size: u64,
    wanted: SanitiseMethod,
    span: &Span<'_>,
) -> Result<Option<SanitiseMethod>, AgentFailure> {
    if wanted == SanitiseMethod::Overwrite {
        return Ok(None);
    }
    if disk.disk.transport == "nvme"
        && let Some(method) = nvme::purge(file, wanted, span)?
    {
        return Ok(Some(method));
    }
    span.at("erasing by the device", 0)?;
    match block::secure_discard(file, 0, size) {
        Ok(()) => Ok(Some(SanitiseMethod::BlockErase)),
        Err(error) => {
            crate::say!("{} has no secure discard ({error})", disk.disk.name);
            Ok(None)
        }
    }
}
