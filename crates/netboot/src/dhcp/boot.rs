//! Where a client finds its image, by what it says it is.
//!
//! UEFI HTTP boot (UEFI 2.10, section 24.7): the class begins with `HTTPClient`;
//! the answer repeats the word and holds the URL in option 67. PXE (RFC 4578): the
//! class begins with `PXEClient`; the answer names a server and a file for TFTP.
//!
//! A PXE client that is not to boot so is given an address and no file. Silence
//! would cost more: UEFI firmware waits 4, 8, 16 and 32 seconds for an offer, but
//! gives up after the first 4 when all it has then is an offer without a file.

use model::machine::BootRoad;

use super::packet::Packet;
use crate::Permit;

/// What a reply says about the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BootAnswer {
    /// Nothing.
    None,
    /// By HTTP, at this URL.
    Http(String),
    /// By TFTP from ourselves, under this name.
    Tftp(String),
}

/// x86-64 UEFI by PXE: 7 as the RFC has it, 9 as its erratum and some firmware.
const PXE_UEFI: [u16; 2] = [7, 9];

/// What to say to a client with this permit.
pub(super) fn answer(packet: &Packet, permit: Option<&Permit>, boot_url: &str) -> BootAnswer {
    let Some(permit) = permit else { return BootAnswer::None };
    if packet.class.starts_with(b"HTTPClient") {
        // By whichever road it was to come: here it is, and may boot.
        return BootAnswer::Http(format!("{boot_url}{}", crate::boot_path(&permit.token)));
    }
    let pxe = packet.class.starts_with(b"PXEClient");
    let uefi = packet.arch.is_some_and(|arch| PXE_UEFI.contains(&arch));
    if pxe && uefi && permit.road == BootRoad::Pxe {
        let path = crate::boot_path(&permit.token);
        return BootAnswer::Tftp(path.trim_start_matches('/').to_owned());
    }
    BootAnswer::None
}
