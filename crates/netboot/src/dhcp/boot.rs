//! Where a client finds its image, by what it says it is.
//!
//! UEFI HTTP boot (UEFI 2.10, section 24.7): the class begins with `HTTPClient`;
//! the answer repeats the word and holds the URL in option 67. PXE (RFC 4578): the
//! class begins with `PXEClient`; the answer names a server and a file for TFTP.
//!
//! Firmware that asks for an image and is not to have one is given the name of one
//! that does not exist. Measured with OVMF: without a file, or without any answer,
//! it asks four times and goes on after 60 seconds; a file that is refused lets it
//! go on after the 4 seconds that it always waits for more offers.

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

/// Stands in the place of a token in names that are never served.
const NOBODY: &str = "none";

/// What to say to a client with this permit.
pub(super) fn answer(packet: &Packet, permit: Option<&Permit>, boot_url: &str) -> BootAnswer {
    if packet.class.starts_with(b"HTTPClient") {
        // By whichever road it was to come: here it is, and may boot.
        let token = permit.map_or(NOBODY, |permit| &permit.token);
        return BootAnswer::Http(format!("{boot_url}{}", crate::boot_path(token)));
    }
    if !packet.class.starts_with(b"PXEClient") {
        return BootAnswer::None;
    }
    let uefi = packet.arch.is_some_and(|arch| PXE_UEFI.contains(&arch));
    let permit = permit.filter(|permit| uefi && permit.road == BootRoad::Pxe);
    let path = crate::boot_path(permit.map_or(NOBODY, |permit| &permit.token));
    BootAnswer::Tftp(path.trim_start_matches('/').to_owned())
}
