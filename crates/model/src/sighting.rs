//! Sightings: signs of life that a machine gives on the network while it boots.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One sign of life. It is unproven: anybody on that wire could have sent it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "sign", rename_all = "kebab-case")]
pub enum Sighting {
    /// A DHCP request from firmware or a ramdisk.
    Dhcp {
        /// Hardware address, lower case with colons.
        mac: String,
        /// Client architecture (RFC 4578; 7 and 16 are x86-64 UEFI, by PXE and by HTTP).
        arch: Option<u16>,
        /// Vendor class, at most 64 printable characters.
        client: String,
    },
    /// A machine began to fetch its boot image.
    Fetching {
        /// Token of the address.
        token: String,
    },
    /// A machine has fetched its boot image whole.
    Fetched {
        /// Token of the address.
        token: String,
    },
}
