//! The repairs, from the gentlest on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Look again after a while: some things pass.
    ProbeAgain,
    /// Start the agent anew, or the management controller's, whichever is quiet.
    RestartAgent,
    /// Reset the device that is at fault: a GPU, a port, a controller.
    ResetDevice,
    /// Move away what can be moved while it runs.
    Migrate,
    /// Wait until what cannot be moved has ended, and let nothing new begin.
    Drain,
    /// Use the device no more, and the rest of the machine on: a part to be changed when
    /// somebody passes by.
    SetAside,
    /// Take its power away, and give it back.
    PowerCycle,
    /// Install its system anew.
    Reinstall,
    /// Write its firmware anew.
    Reflash,
    /// Test it under load for hours.
    BurnIn,
    /// Call a person.
    Person,
}

impl Action {
    /// Whether the machine serves nobody while it is done: budgets count these.
    pub const fn disturbs(self) -> bool {
        matches!(
            self,
            Self::Migrate
                | Self::Drain
                | Self::PowerCycle
                | Self::Reinstall
                | Self::Reflash
                | Self::BurnIn
        )
    }

    /// Whether what runs on the machine is interrupted by it.
    pub const fn interrupts(self) -> bool {
        matches!(self, Self::PowerCycle | Self::Reinstall | Self::Reflash | Self::BurnIn)
    }

    /// Whether it only prepares another one.
    pub const fn prepares(self) -> bool {
        matches!(self, Self::Migrate | Self::Drain)
    }

    /// Hours that a machine, or the part of it, is usually out of service for it.
    pub const fn hours_out(self) -> f64 {
        match self {
            Self::ProbeAgain | Self::RestartAgent => 0.02,
            Self::ResetDevice => 0.05,
            Self::Migrate => 0.1,
            Self::Drain => 4.0,
            // An eighth of it, until somebody passes by: two weeks.
            Self::SetAside => 42.0,
            Self::PowerCycle => 0.2,
            Self::Reinstall => 0.7,
            Self::Reflash => 1.0,
            Self::BurnIn => 4.0,
            Self::Person => 72.0,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ProbeAgain => "look again",
            Self::RestartAgent => "restart the agent",
            Self::ResetDevice => "reset the device",
            Self::Migrate => "move its workloads away",
            Self::Drain => "drain it",
            Self::SetAside => "set the device aside",
            Self::PowerCycle => "power-cycle it",
            Self::Reinstall => "install it anew",
            Self::Reflash => "write its firmware anew",
            Self::BurnIn => "test it under load",
            Self::Person => "call a person",
        })
    }
}
