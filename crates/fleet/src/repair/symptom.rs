//! What can be wrong: one word a kind, as rules, cases and people use it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! symptoms {
    ($($variant:ident, $name:literal, $what:literal;)*) => {
        /// What is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Symptom {
            $(#[doc = $what] $variant,)*
        }

        impl Symptom {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its word in rules and tables.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

symptoms! {
    Dead, "dead", "The machine does not run.";
    Stalled, "stalled", "It has power and does not move.";
    Unreachable, "unreachable", "Nothing is known of it.";
    Isolated, "isolated", "It runs, and reaches nobody.";
    AgentSilent, "agent-silent", "Its kernel answers, its agent does not.";
    Bmc, "bmc", "Its management controller does not answer.";
    Slow, "slow", "It does its work, too slowly.";
    GpuLost, "gpu-lost", "A GPU is gone from the bus.";
    GpuMemory, "gpu-memory", "A GPU has memory errors that it cannot correct.";
    GpuStuck, "gpu-stuck", "A GPU's own processor does not answer.";
    Link, "link", "A link has errors, or comes and goes.";
    Nic, "nic", "A network device is at fault.";
    Disk, "disk", "A disk fails, or says that it will.";
    Memory, "memory", "Memory errors are more than they should be.";
    Heat, "heat", "It is too hot, or a fan stands still.";
    WrongResults, "wrong-results", "It computes wrongly.";
    Complaints, "complaints", "Workloads complain, and nothing else is seen.";
    RackDark, "rack-dark", "A rack has no power.";
    RackCutOff, "rack-cut-off", "A rack runs, and nobody reaches it.";
    RackSilent, "rack-silent", "Nothing is known of a rack.";
    RackTroubled, "rack-troubled", "Many machines of a rack were lost at once.";
    AreaSilent, "area-silent", "Many racks of a switch or a power feed are quiet at once.";
    FleetSilent, "fleet-silent", "Much of the fleet is quiet at once.";
}

impl Symptom {
    /// Whether it is seen by silence, and gone when the machine is heard.
    pub const fn is_silence(self) -> bool {
        matches!(
            self,
            Self::Dead | Self::Stalled | Self::Unreachable | Self::Isolated | Self::AgentSilent
        )
    }

    /// Whether a machine still serves with it, so that it is worth emptying first.
    pub const fn serves(self) -> bool {
        !matches!(self, Self::Dead | Self::Stalled | Self::Unreachable | Self::Isolated)
    }

    /// Whether it counts towards a lemon: what comes back is likely a part.
    pub const fn is_of_hardware(self) -> bool {
        !matches!(self, Self::AgentSilent | Self::Bmc | Self::Complaints)
    }

    /// Which of two is to be repaired when both are there: the lower number.
    pub(crate) const fn rank(self) -> u8 {
        match self {
            Self::Dead => 0,
            Self::Stalled => 1,
            Self::Isolated | Self::Unreachable => 2,
            Self::AgentSilent => 4,
            Self::Bmc | Self::Complaints | Self::Slow => 5,
            _ => 3,
        }
    }
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Symptom {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|known| known.name() == text).ok_or(())
    }
}
