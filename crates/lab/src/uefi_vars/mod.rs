//! OVMF's variable store, read and written while QEMU is off.
//!
//! A virtual BMC has no firmware of its own to ask: it sets the next boot and the
//! secure-boot keys by editing the flash image that holds the firmware's variables.
//! The layout is edk2's (MdeModulePkg, *VariableFormat.h*; UEFI PI 1.8 volume 3 for
//! the firmware volume around it); what variables mean is UEFI 2.10 chapters 3, 8
//! and 32.
//!
//! An edit reads all live variables and lays the store out anew, so there is no
//! half-edited state; whoever writes it to disk renames a whole file.

mod boot;
mod signature;
mod store;
mod ucs2;

pub use boot::{BootOption, DevicePath};
pub use signature::{SignatureEntry, append_certificate, signatures};
pub use store::{Store, StoreError, Variable};

/// A GUID as it lies in memory (mixed-endian; UEFI 2.10 appendix A).
pub type Guid = [u8; 16];

/// `EFI_GLOBAL_VARIABLE`: `Boot####`, `BootNext`, `PK`, `KEK`, …
pub const GLOBAL: Guid =
    guid(0x8be4df61, 0x93ca, 0x11d2, [0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c]);
/// `EFI_IMAGE_SECURITY_DATABASE_GUID`: `db`, `dbx`.
pub const SECURITY_DATABASE: Guid =
    guid(0xd719b2cb, 0x3d3a, 0x4596, [0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f]);
/// edk2's `SecureBootEnable`.
pub const SECURE_BOOT_ENABLE: Guid =
    guid(0xf0a30bc7, 0xaf08, 0x4556, [0x99, 0xc4, 0x00, 0x10, 0x09, 0xc9, 0x3a, 0x44]);
/// edk2's `CustomMode`.
pub const CUSTOM_MODE: Guid =
    guid(0xc076ec0c, 0x7028, 0x4399, [0xa0, 0x72, 0x71, 0xee, 0x5c, 0x44, 0x8b, 0x9f]);

/// `NON_VOLATILE | BOOTSERVICE_ACCESS` (UEFI 2.10 section 8.2).
pub const BOOT_ONLY: u32 = 0x3;
/// `NON_VOLATILE | BOOTSERVICE_ACCESS | RUNTIME_ACCESS`.
pub const RUNTIME: u32 = 0x7;
/// The same, with `TIME_BASED_AUTHENTICATED_WRITE_ACCESS`.
pub const AUTHENTICATED: u32 = 0x27;

pub(crate) const fn guid(a: u32, b: u16, c: u16, d: [u8; 8]) -> Guid {
    let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}
