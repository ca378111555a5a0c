//! Network interfaces: those of the system; where it names none, the adapters of
//! its chassis.

use std::collections::HashSet;

use model::inventory::Nic;
use nv_redfish::schema::ethernet_interface::{EthernetInterface, LinkStatus};

use super::walk::{Walk, small};
use crate::document::Document;
use crate::failure::clean;
use crate::quirks::is_inner_nic;

/// The most chassis whose adapters are looked at.
const MOST_CHASSIS: usize = 64;

/// The most adapters, ports and functions that are looked at, each.
const MOST_PARTS: usize = 16;

pub(super) async fn read(walk: &mut Walk, system: &Document, chassis: Option<&str>) -> Vec<Nic> {
    let mut nics = Vec::new();
    if let Some(collection) = system.link("/EthernetInterfaces") {
        let members = walk.members::<EthernetInterface>(&collection).await;
        nics = members.iter().filter_map(|member| part(member)).collect();
    }
    if nics.is_empty()
        && let Some(chassis) = chassis
    {
        nics = from_adapters(walk, chassis).await;
    }
    let mut seen = HashSet::new();
    nics.retain(|nic| seen.insert(nic.mac.clone()));
    nics
}

fn part(member: &EthernetInterface) -> Option<Nic> {
    if is_inner_nic(&member.id) {
        return None;
    }
    let permanent = member.permanent_mac_address.iter().flatten().next();
    let current = member.mac_address.iter().flatten().next();
    Some(Nic {
        name: clean(&member.id, 128),
        mac: permanent.and_then(|mac| address(mac)).or_else(|| address(current?))?,
        speed_mbps: small(member.speed_mbps),
        link: member.link_status.flatten() == Some(LinkStatus::LinkUp),
        neighbour: None,
    })
}

/// A hardware address, lower case with colons; `None` for what is none, and for
/// the zeros and ones that stand for "not known".
fn address(text: &str) -> Option<String> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !b":-".contains(byte)).collect();
    let whole = digits.len() == 12 && digits.iter().all(u8::is_ascii_hexdigit);
    let same = digits.iter().all(|digit| *digit == digits[0]);
    if !whole || same {
        return None;
    }
    let text = String::from_utf8(digits).ok()?.to_lowercase();
    let pairs: Vec<&str> = (0..6).map(|pair| &text[pair * 2..pair * 2 + 2]).collect();
    Some(pairs.join(":"))
}

/// Where adapters say their addresses, best first: the collection, and where in
/// its members (DSP0268: NetworkDeviceFunction, Port, NetworkPort).
const ADAPTER_PARTS: [(&str, &str); 4] = [
    ("/NetworkDeviceFunctions", "/Ethernet/PermanentMACAddress"),
    ("/NetworkDeviceFunctions", "/Ethernet/MACAddress"),
    ("/Ports", "/Ethernet/AssociatedMACAddresses/0"),
    ("/NetworkPorts", "/AssociatedNetworkAddresses/0"),
];

/// The addresses of all network adapters of all chassis.
async fn from_adapters(walk: &mut Walk, collection: &str) -> Vec<Nic> {
    let mut nics = Vec::new();
    let all = walk.document(collection).await;
    for path in all.iter().flat_map(Document::members).take(MOST_CHASSIS) {
        let Some(chassis) = walk.document(&path).await else { continue };
        let Some(adapters) = chassis.link("/NetworkAdapters") else { continue };
        for adapter in below(walk, &adapters).await {
            nics.extend(from_adapter(walk, &adapter).await);
        }
    }
    nics
}

/// The addresses of one adapter, from the first place that has any.
async fn from_adapter(walk: &mut Walk, adapter: &Document) -> Vec<Nic> {
    for (collection, pointer) in ADAPTER_PARTS {
        let Some(collection) = adapter.link(collection) else { continue };
        let parts = below(walk, &collection).await;
        let nics: Vec<Nic> = parts.iter().filter_map(|part| from_part(part, pointer)).collect();
        if !nics.is_empty() {
            return nics;
        }
    }
    Vec::new()
}

/// The members of a collection as JSON.
async fn below(walk: &mut Walk, collection: &str) -> Vec<Document> {
    let mut documents = Vec::new();
    let all = walk.document(collection).await;
    for path in all.iter().flat_map(Document::members).take(MOST_PARTS) {
        documents.extend(walk.document(&path).await);
    }
    documents
}

fn from_part(part: &Document, pointer: &str) -> Option<Nic> {
    let up = ["LinkUp", "Up", "Starting"].contains(&part.text("/LinkStatus").as_str());
    Some(Nic {
        name: part.text("/Id"),
        mac: address(&part.text(pointer))?,
        speed_mbps: 0,
        link: up,
        neighbour: None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_put_into_one_form() {
        assert_eq!(address("B8-3F-D2-90-97-C4").as_deref(), Some("b8:3f:d2:90:97:c4"));
        assert_eq!(address("b83fd29097c4").as_deref(), Some("b8:3f:d2:90:97:c4"));
        for none in ["", "00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF", "b8:3f", "é8:3f:d2:90:97:c"] {
            assert_eq!(address(none), None);
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,24}") {
            let _ = address(&text);
        }
    }
}
