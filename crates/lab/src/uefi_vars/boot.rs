//! Boot options: what the firmware may boot, and what it boots next
//! (UEFI 2.10 sections 3.1 and 10.3).

use super::{GLOBAL, RUNTIME, Store, ucs2};

/// `LOAD_OPTION_ACTIVE`.
const ACTIVE: u32 = 1;

/// A device path: where something is, node by node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DevicePath(Vec<u8>);

impl DevicePath {
    /// An empty path, to which nodes are added.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first PCI root bridge: `PciRoot(0x0)`.
    pub fn pci_root() -> Self {
        // ACPI node: _HID PNP0A03 (compressed EISA id), _UID 0.
        let mut path = Self::new();
        path.node(2, 1, &[0xd0, 0x41, 0x03, 0x0a, 0, 0, 0, 0]);
        path
    }

    /// `Pci(device,function)`.
    pub fn pci(mut self, device: u8, function: u8) -> Self {
        self.node(1, 1, &[function, device]);
        self
    }

    /// `NVMe(namespace,EUI-64)`.
    pub fn nvme(mut self, namespace: u32, eui64: u64) -> Self {
        let mut data = namespace.to_le_bytes().to_vec();
        data.extend(eui64.to_le_bytes());
        self.node(3, 0x17, &data);
        self
    }

    /// `USB(port,interface)`.
    pub fn usb(mut self, port: u8, interface: u8) -> Self {
        self.node(3, 5, &[port, interface]);
        self
    }

    /// `MAC(address,type)`: a network interface; type 1 is Ethernet.
    pub fn mac(mut self, address: [u8; 6]) -> Self {
        let mut data = [0; 33];
        data[..6].copy_from_slice(&address);
        data[32] = 1;
        self.node(3, 0x0b, &data);
        self
    }

    /// `IPv4(0.0.0.0)`: an address that DHCP gives.
    pub fn ipv4(mut self) -> Self {
        self.node(3, 0x0c, &[0; 23]);
        self
    }

    /// `Uri(address)`. At the start of a path it means: over whatever network there is
    /// (section 3.1.2, short form).
    pub fn uri(mut self, address: &str) -> Self {
        self.node(3, 0x18, address.as_bytes());
        self
    }

    fn node(&mut self, kind: u8, subkind: u8, data: &[u8]) {
        let length = u16::try_from(data.len() + 4).expect("a node is shorter than 64 KiB");
        self.0.extend([kind, subkind]);
        self.0.extend(length.to_le_bytes());
        self.0.extend(data);
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.0.clone();
        bytes.extend([0x7f, 0xff, 4, 0]);
        bytes
    }
}

/// A boot option (`EFI_LOAD_OPTION`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootOption {
    /// What a boot menu would show.
    pub title: String,
    /// From where.
    pub path: DevicePath,
}

impl BootOption {
    /// As it lies in a `Boot####` variable.
    pub fn to_bytes(&self) -> Vec<u8> {
        let path = self.path.bytes();
        let mut bytes = ACTIVE.to_le_bytes().to_vec();
        bytes.extend(
            u16::try_from(path.len()).expect("a path is shorter than 64 KiB").to_le_bytes(),
        );
        bytes.extend(ucs2::encode(&self.title));
        bytes.extend(path);
        bytes
    }
}

impl Store {
    /// Adds a boot option under a number, without putting it into `BootOrder`.
    pub fn set_boot_option(&mut self, number: u16, option: &BootOption) {
        self.set(&format!("Boot{number:04X}"), GLOBAL, RUNTIME, option.to_bytes());
    }

    /// Has the firmware boot an option once, before everything else.
    pub fn set_boot_next(&mut self, number: u16) {
        self.set("BootNext", GLOBAL, RUNTIME, number.to_le_bytes().to_vec());
    }

    /// Takes a boot option away, and `BootNext` with it when it points there.
    pub fn clear_boot_option(&mut self, number: u16) {
        self.delete(&format!("Boot{number:04X}"), &GLOBAL);
        let points = self.get("BootNext", &GLOBAL).is_some_and(|v| v.data == number.to_le_bytes());
        if points {
            self.delete("BootNext", &GLOBAL);
        }
    }
}
