//! The machine's flash: how its variable store is first laid out, and how the BMC's
//! wishes for the next boot get into it. Only while QEMU is off: QEMU holds the image
//! in memory while it runs.

use std::fs;
use std::path::Path;

use model::bmc::BootTarget;

use crate::error::{LabError, file};
use crate::needs::Firmware;
use crate::uefi_vars::{BootOption, DevicePath, Store};

use super::command::{PORT_MEDIA, Plan, SLOT_DISK, SLOT_NET, SLOT_USB};

/// Number of the boot option that the BMC uses; firmware counts its own from 0 up.
const OPTION: u16 = 0x0bed;

/// Lays out the first variable store of a machine. With secure boot, Microsoft's keys
/// stay beside ours where they are installed, so that a distribution's shim boots.
pub(crate) fn first_store(
    firmware: &Firmware,
    secure_boot: bool,
    trust: Option<&[u8]>,
) -> Result<Vec<u8>, LabError> {
    let path = match (&firmware.microsoft, secure_boot) {
        (Some(microsoft), true) => microsoft,
        _ => &firmware.blank,
    };
    let bad = |source| LabError::Store { path: path.clone(), source };
    let image = fs::read(path).map_err(file(path))?;
    let mut store = Store::parse(&image).map_err(bad)?;
    if let Some(certificate) = trust {
        store.trust(certificate);
    }
    if secure_boot {
        if let Some(certificate) = trust {
            store.enrol(certificate);
        }
        store.set_secure_boot(true);
    }
    store.to_image().map_err(bad)
}

/// Reads a machine's variables.
pub(crate) fn read(path: &Path) -> Result<Store, LabError> {
    let image = fs::read(path).map_err(file(path))?;
    Store::parse(&image).map_err(|source| LabError::Store { path: path.to_owned(), source })
}

/// Writes a machine's variables, all or nothing.
pub(crate) fn write(path: &Path, store: &Store) -> Result<(), LabError> {
    let image =
        store.to_image().map_err(|source| LabError::Store { path: path.to_owned(), source })?;
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, image).map_err(file(&fresh))?;
    fs::rename(&fresh, path).map_err(file(path))
}

/// Has the firmware boot from a target once; without one, forgets an older wish.
pub(crate) fn set_next(plan: &Plan, target: Option<&BootTarget>) -> Result<(), LabError> {
    let path = plan.variables();
    let mut store = read(&path)?;
    store.clear_boot_option(OPTION);
    if let Some(target) = target {
        store.set_boot_option(OPTION, &option(plan, target)?);
        store.set_boot_next(OPTION);
    }
    write(&path, &store)
}

fn option(plan: &Plan, target: &BootTarget) -> Result<BootOption, LabError> {
    let root = DevicePath::pci_root();
    let (title, path) = match target {
        BootTarget::Http { uri } if uri.is_ascii() && uri.len() <= 4096 => {
            ("HTTP boot", DevicePath::new().uri(uri))
        }
        BootTarget::Http { .. } => {
            return Err(LabError::State("an address has at most 4096 ASCII characters".into()));
        }
        BootTarget::Pxe => ("PXE boot", root.pci(SLOT_NET, 0).mac(plan.mac).ipv4()),
        // QEMU counts ports from 1, UEFI from 0.
        BootTarget::Media => ("Virtual media", root.pci(SLOT_USB, 0).usb(PORT_MEDIA - 1, 0)),
        // QEMU's disks have no EUI-64.
        BootTarget::Disk => ("First disk", root.pci(SLOT_DISK, 0).nvme(1, 0)),
    };
    Ok(BootOption { title: format!("Bedplate: {title}"), path })
}

/// Sees to it that a machine has a store that can be read, and that it trusts the
/// certificate of today. A store that was torn when QEMU was killed is laid out anew.
pub(crate) fn prepare(
    plan: &Plan,
    firmware: &Firmware,
    secure_boot: bool,
    trust: Option<&[u8]>,
) -> Result<(), LabError> {
    let path = plan.variables();
    match read(&path) {
        Ok(mut store) if store.secure_boot() == secure_boot => {
            if let Some(certificate) = trust {
                store.trust(certificate);
            }
            write(&path, &store)
        }
        _ => {
            let image = first_store(firmware, secure_boot, trust)?;
            fs::write(&path, image).map_err(file(&path))
        }
    }
}
