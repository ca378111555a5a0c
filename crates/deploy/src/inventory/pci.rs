//! PCI functions, from sysfs.

use model::inventory::PciFunction;

use crate::disks::attribute;
use crate::settings::Roots;

/// All functions in the order of their addresses.
pub fn list(roots: &Roots) -> Vec<PciFunction> {
    let Ok(entries) = std::fs::read_dir(roots.sys("bus/pci/devices")) else { return Vec::new() };
    let mut found: Vec<PciFunction> = entries
        .flatten()
        .filter_map(|entry| {
            let number = |name: &str| {
                let text = attribute(&entry.path().join(name));
                u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()
            };
            Some(PciFunction {
                address: entry.file_name().to_string_lossy().into_owned(),
                vendor: u16::try_from(number("vendor")?).ok()?,
                device: u16::try_from(number("device")?).ok()?,
                class: number("class")? & 0x00ff_ffff,
            })
        })
        .collect();
    found.sort_by(|a, b| a.address.cmp(&b.address));
    found
}
