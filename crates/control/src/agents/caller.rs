//! The agent that calls, by its certificate.

use std::sync::Arc;

use axum::extract::Request;
use model::id::MachineId;
use model::identity::RoleIdentity;
use model::machine::Machine;
use model::{ErrorCode, Problem};

use crate::identity::Peer;
use crate::plane::Plane;

/// An agent that was let in and whose place nobody has taken.
pub(super) struct Caller {
    /// Its machine.
    pub(super) machine: MachineId,
    /// What its certificate says.
    pub(super) peer: Peer,
}

/// Who sends this request. The machine's record must name this very certificate:
/// one of another boot is refused, though it has not expired.
pub(super) fn caller(plane: &Plane, request: &Request) -> Result<Caller, Problem> {
    let stranger = |detail: &str| {
        Problem::new(ErrorCode::Unauthenticated, detail)
            .next("Say hello, prove the machine's TPM, and come with the certificate from that.")
    };
    let peer = request.extensions().get::<Peer>().ok_or_else(|| {
        stranger("this is for the agent of a machine, and no certificate was shown")
    })?;
    let RoleIdentity::Agent(machine) = peer.identity else {
        let detail = format!("{} is not the agent of a machine", peer.identity);
        return Err(Problem::new(ErrorCode::Forbidden, detail));
    };
    if peer.expires < plane.clock.now() {
        return Err(stranger(&format!("the agent's certificate expired at {}", peer.expires)));
    }
    let caller = Caller { machine, peer: peer.clone() };
    caller.machine(plane)?;
    Ok(caller)
}

impl Caller {
    /// The machine as it is now, as long as this agent is the one that runs on it.
    pub(super) fn machine(&self, plane: &Plane) -> Result<Arc<Machine>, Problem> {
        let nouns = plane.leader.read();
        let gone = |detail: &str| {
            Problem::new(ErrorCode::Gone, detail.to_owned())
                .next("Nothing: the machine is restarted when it is needed again.")
        };
        let machine = nouns
            .machines
            .get(self.machine.uuid())
            .ok_or_else(|| gone("the machine is not known any more"))?;
        let current = machine.status.agent.as_ref().map(|agent| agent.certificate.as_str());
        if current != Some(self.peer.certificate.as_str()) {
            return Err(gone("no agent with this certificate is expected on the machine"));
        }
        Ok(machine.clone())
    }
}
