//! Leaving: for the system on disk, by the firmware's boot order or by kexec, or
//! for good.

pub mod device_path;
pub mod efi;
pub mod kexec;

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use model::agent::AgentFailure;
use rustix::system::{RebootCommand, reboot};

use crate::disks::{self, FoundDisk};
use crate::failure;
use crate::image::gpt::{EFI_SYSTEM, Gpt, Partition};
use crate::image::target::END;
use crate::kernel::block;
use crate::settings::Roots;
use crate::work::Work;

/// How the machine leaves the ramdisk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Restart through the firmware.
    Restart,
    /// Straight into the kernel that was loaded.
    Kexec,
    /// Switch off.
    PowerOff,
}

/// Prepares to start from disk: `written` is the disk that was written on this boot, when one was.
pub fn prepare(
    roots: &Roots,
    written: Option<&str>,
    kexec: bool,
    work: &Work,
) -> Result<Departure, AgentFailure> {
    let disks = disks::list(roots);
    let system = disks
        .iter()
        .filter(|disk| written.is_none_or(|name| name == disk.disk.name))
        .find_map(|disk| system_partition(disk).map(|partition| (disk, partition)));
    match (efi::Variables::open(roots), &system) {
        (Some(variables), Some((disk, partition))) => {
            let entry = variables.boot_from(partition, &disk.disk.name).map_err(|error| {
                failure::refused(format!("the firmware keeps no entry: {error}"))
            })?;
            crate::say!("{entry} starts {}", disk.disk.name);
        }
        (Some(_), None) => {
            return Err(failure::disk("no disk has an EFI system partition to start from"));
        }
        (None, _) => crate::say!("not started by UEFI: the firmware's own order decides"),
    }
    rustix::fs::sync();
    let name = written.or(system.as_ref().map(|(disk, _)| disk.disk.name.as_str()));
    if let (true, Some(name)) = (kexec, name) {
        match kexec::prepare(roots, name) {
            Ok(()) => return Ok(Departure::Kexec),
            Err(error) => {
                crate::say!("no kexec: {error}; restarting instead");
                work.at(&format!("no kexec ({error}); restarting instead"), 0, 0);
            }
        }
    }
    Ok(Departure::Restart)
}

/// The disk's EFI system partition.
fn system_partition(disk: &FoundDisk) -> Option<Partition> {
    let file = File::open(&disk.node).ok()?;
    let mut head = vec![0; END as usize];
    file.read_exact_at(&mut head, 0).ok()?;
    let sector = block::sector_size(&file).unwrap_or(512);
    let gpt = Gpt::read(&head, sector.into()).ok()?;
    gpt.partitions()
        .into_iter()
        .find(|partition| partition.kind == EFI_SYSTEM && partition.last >= partition.first)
}

/// Leaves. Returns only when the kernel refuses.
pub fn leave(departure: Departure) -> std::io::Error {
    rustix::fs::sync();
    let command = match departure {
        Departure::Restart => RebootCommand::Restart,
        Departure::Kexec => RebootCommand::Kexec,
        Departure::PowerOff => RebootCommand::PowerOff,
    };
    match reboot(command) {
        Ok(()) => std::io::Error::other("the kernel goes on"),
        Err(error) => error.into(),
    }
}
