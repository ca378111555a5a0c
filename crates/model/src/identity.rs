//! The names by which roles know one another: SPIFFE ids in the URI of a
//! certificate's subject alternative name.

use std::fmt;
use std::str::FromStr;

use crate::id::MachineId;

/// Who is at the other end of an mTLS connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoleIdentity {
    /// The control plane.
    Control,
    /// The agent on one machine.
    Agent(MachineId),
}

/// The trust domain of every name.
pub const TRUST_DOMAIN: &str = "bedplate";

impl fmt::Display for RoleIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RoleIdentity::Control => write!(f, "spiffe://{TRUST_DOMAIN}/control"),
            RoleIdentity::Agent(machine) => write!(f, "spiffe://{TRUST_DOMAIN}/agent/{machine}"),
        }
    }
}

impl FromStr for RoleIdentity {
    type Err = UnknownIdentity;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = text
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.strip_prefix(TRUST_DOMAIN))
            .ok_or(UnknownIdentity)?;
        match path {
            "/control" => Ok(RoleIdentity::Control),
            _ => {
                let id = path.strip_prefix("/agent/").ok_or(UnknownIdentity)?;
                id.parse().map(RoleIdentity::Agent).map_err(|_| UnknownIdentity)
            }
        }
    }
}

/// A name that no role of ours has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownIdentity;

impl fmt::Display for UnknownIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the name of a role: expected spiffe://bedplate/control or spiffe://bedplate/agent/<machine id>")
    }
}
impl std::error::Error for UnknownIdentity {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_strangers_are_refused() {
        let agent = RoleIdentity::Agent(MachineId::from_uuid(uuid::Uuid::from_u128(7)));
        for identity in [RoleIdentity::Control, agent] {
            assert_eq!(identity.to_string().parse(), Ok(identity));
        }
        for stranger in ["spiffe://bedplate/agent/", "spiffe://elsewhere/control", "control", ""] {
            assert_eq!(stranger.parse::<RoleIdentity>(), Err(UnknownIdentity));
        }
    }
}
