//! What is asked of a baseboard management controller (BMC), and what it answers.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::inventory::Inventory;

/// A request to a BMC. The crate `bmc` carries it out; each is safe to repeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum BmcCommand {
    /// Read what the machine is made of, and its power state.
    Inspect,
    /// Read the power state.
    ReadPower,
    /// Change the power state.
    Power {
        /// How.
        action: PowerAction,
    },
    /// Say where the machine boots from, next time and only once.
    SetBoot {
        /// From where.
        target: BootTarget,
    },
    /// Put an image into the virtual drive.
    InsertMedia {
        /// Where the BMC fetches it.
        url: String,
    },
    /// Empty the virtual drive.
    EjectMedia,
    /// Forget the session and everything cached, and log in anew.
    Reconnect,
    /// Restart the BMC itself; the machine goes on.
    ResetBmc,
}

/// A change of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PowerAction {
    /// On; nothing when it is on.
    On,
    /// Off at once; nothing when it is off.
    Off,
    /// Ask the operating system to shut down.
    GracefulOff,
    /// Off and on at once; on when it is off.
    Cycle,
}

/// From where a machine boots next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum BootTarget {
    /// UEFI HTTP boot of this address (UEFI 2.10 section 24.7).
    Http {
        /// The image; single use, for one machine.
        uri: String,
    },
    /// PXE: the network as old firmware knows it.
    Pxe,
    /// The virtual drive.
    Media,
    /// The first disk.
    Disk,
}

/// Power, as the BMC reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PowerState {
    /// Running.
    On,
    /// Not running.
    Off,
    /// On its way up.
    PoweringOn,
    /// On its way down.
    PoweringOff,
    /// Not known: never read, or the BMC would not say.
    #[default]
    Unknown,
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PowerState::On => "on",
            PowerState::Off => "off",
            PowerState::PoweringOn => "powering-on",
            PowerState::PoweringOff => "powering-off",
            PowerState::Unknown => "unknown",
        })
    }
}

/// What a BMC answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum BmcFact {
    /// Done, with nothing to tell. Not evidence that it happened.
    Accepted,
    /// The power state read back.
    Power {
        /// As read.
        state: PowerState,
    },
    /// What the machine is made of.
    Inventory {
        /// The parts, as far as this BMC knows them.
        inventory: Box<Inventory>,
        /// The power state read with them.
        power: PowerState,
        /// What this BMC can do.
        abilities: BmcAbilities,
        /// SHA-256 of the TLS certificate that it showed, hexadecimal; absent for `http`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<String>,
    },
}

/// What a BMC can do, as its Redfish tree says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BmcAbilities {
    /// Boots an address given to it (`HttpBootUri`).
    pub http_boot: bool,
    /// Has a virtual drive that fetches an image.
    pub virtual_media: bool,
    /// Tells of events by itself (server-sent events).
    pub events: bool,
}

/// Why a BMC did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BmcFailure {
    /// What kind of failure.
    pub kind: BmcFailureKind,
    /// In words, with what the BMC said.
    pub message: String,
}

/// The kinds of failure that call for different answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BmcFailureKind {
    /// No answer: refused, unreachable, or past the deadline.
    Unreachable,
    /// The password was refused.
    Unauthorised,
    /// Answered with a passing fault (503, busy).
    Busy,
    /// Does not know how.
    Unsupported,
    /// Answered with something that makes no sense.
    Malformed,
    /// Refused, and will again.
    Refused,
}

impl fmt::Display for BmcFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
