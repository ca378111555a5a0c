//! Network interfaces as sysfs shows them: those with a device behind them.

use model::inventory::Nic;

use crate::disks::attribute;
use crate::settings::Roots;

/// ARPHRD_ETHER.
const ETHERNET: &str = "1";

/// All Ethernet interfaces of hardware, in the order of their names.
pub fn list(roots: &Roots) -> Vec<Nic> {
    let Ok(entries) = std::fs::read_dir(roots.sys("class/net")) else { return Vec::new() };
    let mut found: Vec<Nic> = entries
        .flatten()
        .filter(|entry| entry.path().join("device").exists())
        .filter(|entry| attribute(&entry.path().join("type")) == ETHERNET)
        .map(|entry| {
            let path = entry.path();
            Nic {
                name: entry.file_name().to_string_lossy().into_owned(),
                mac: attribute(&path.join("address")).to_ascii_lowercase(),
                // Negative or unreadable when the link is down.
                speed_mbps: attribute(&path.join("speed")).parse().unwrap_or(0),
                link: attribute(&path.join("carrier")) == "1",
                neighbour: None,
            }
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The kernel's number of an interface.
pub fn index(roots: &Roots, name: &str) -> Option<u32> {
    attribute(&roots.sys("class/net").join(name).join("ifindex")).parse().ok()
}

/// The six bytes of a hardware address written with colons.
pub fn mac_bytes(mac: &str) -> Option<[u8; 6]> {
    let bytes: Vec<u8> =
        mac.split(':').map(|part| u8::from_str_radix(part, 16)).collect::<Result<_, _>>().ok()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_read() {
        assert_eq!(mac_bytes("52:54:00:12:34:56"), Some([0x52, 0x54, 0, 0x12, 0x34, 0x56]));
        assert_eq!(mac_bytes("52:54:00:12:34"), None);
        assert_eq!(mac_bytes("zz:54:00:12:34:56"), None);
    }
}
