//! Exchanges that were begun by a hello and not yet ended by a proof. They live in
//! memory only: after a restart of the control plane the agent says hello again.

use std::collections::HashMap;

use model::agent::Hello;
use model::id::{MachineId, SessionId};
use model::{Duration, ErrorCode, Problem, Timestamp};

/// Exchanges at a time: a few racks that boot at once.
pub const SESSIONS_MOST: usize = 4096;
/// How long an agent may take for its proof. A slow TPM takes seconds.
pub(super) const SESSION_SPAN: Duration = Duration::from_secs(120);

/// An exchange.
pub(super) struct Session {
    /// The machine that it was recognised as.
    pub(super) machine: MachineId,
    /// What was said.
    pub(super) hello: Hello,
    /// SHA-256 of its endorsement key, hexadecimal; absent without a TPM.
    pub(super) endorsement: Option<String>,
    /// Whether that is the endorsement key that the machine is known by.
    pub(super) known: bool,
    /// What only this machine's TPM can open; absent without a TPM.
    pub(super) secret: Option<[u8; 32]>,
    /// What the quote must answer.
    pub(super) nonce: Vec<u8>,
    /// PCRs that were asked for.
    pub(super) pcrs: Vec<u8>,
    /// After this it is over.
    pub(super) expires: Timestamp,
}

/// All of them, one a machine.
#[derive(Default)]
pub(super) struct Sessions {
    open: HashMap<SessionId, Session>,
    by_machine: HashMap<MachineId, SessionId>,
}

impl Sessions {
    /// Begins one; the machine's earlier one is over. A stranger's hello does not
    /// push out that of the TPM by which the machine is known.
    pub(super) fn begin(
        &mut self,
        id: SessionId,
        session: Session,
        now: Timestamp,
    ) -> Result<(), Problem> {
        if self.open.len() >= SESSIONS_MOST {
            self.forget_expired(now);
        }
        let machine = session.machine;
        let before = self.by_machine.get(&machine).copied();
        let held = before.and_then(|id| self.open.get(&id)).filter(|it| it.expires > now);
        if held.is_some_and(|held| held.known && !session.known) {
            let detail = "another agent is at its proof for this machine";
            return Err(Problem::new(ErrorCode::TooManyRequests, detail));
        }
        if let Some(before) = before {
            self.open.remove(&before);
        }
        if self.open.len() >= SESSIONS_MOST {
            let detail = "too many machines say hello at once";
            return Err(Problem::new(ErrorCode::TooManyRequests, detail));
        }
        self.by_machine.insert(machine, id);
        self.open.insert(id, session);
        assert!(self.by_machine.len() == self.open.len(), "one session a machine");
        Ok(())
    }

    /// Ends one, whatever comes of its proof: each serves once.
    pub(super) fn take(&mut self, id: SessionId, now: Timestamp) -> Option<Session> {
        let session = self.open.remove(&id)?;
        self.by_machine.remove(&session.machine);
        (session.expires > now).then_some(session)
    }

    fn forget_expired(&mut self, now: Timestamp) {
        let Self { open, by_machine } = self;
        open.retain(|_, session| session.expires > now);
        by_machine.retain(|_, id| open.contains_key(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn session(machine: u128, known: bool) -> Session {
        let hello = Hello {
            uuid: String::new(),
            serial: String::new(),
            macs: Vec::new(),
            version: String::new(),
            csr: Vec::new().into(),
            tpm: None,
        };
        Session {
            machine: MachineId::from_uuid(Uuid::from_u128(machine)),
            hello,
            endorsement: None,
            known,
            secret: None,
            nonce: Vec::new(),
            pcrs: Vec::new(),
            expires: at(120),
        }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_micros(secs * 1_000_000)
    }

    fn id(number: u128) -> SessionId {
        SessionId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn one_a_machine_and_each_serves_once() {
        let mut sessions = Sessions::default();
        sessions.begin(id(1), session(7, false), at(0)).expect("room");
        sessions.begin(id(2), session(7, false), at(0)).expect("room");
        assert!(sessions.take(id(1), at(1)).is_none(), "it was pushed out");
        assert!(sessions.take(id(2), at(1)).is_some());
        assert!(sessions.take(id(2), at(1)).is_none(), "it was used");
    }

    #[test]
    fn they_expire_and_strangers_do_not_push_out_the_known() {
        let mut sessions = Sessions::default();
        sessions.begin(id(1), session(7, true), at(0)).expect("room");
        assert!(sessions.begin(id(2), session(7, false), at(60)).is_err());
        assert!(sessions.begin(id(3), session(7, false), at(120)).is_ok(), "it is over");
        assert!(sessions.take(id(3), at(120)).is_none(), "over at its last moment");
    }

    #[test]
    fn their_number_is_bounded() {
        let mut sessions = Sessions::default();
        for number in 0..SESSIONS_MOST as u128 {
            sessions.begin(id(number), session(number, false), at(0)).expect("room");
        }
        let more = session(1 << 40, false);
        assert!(sessions.begin(id(1 << 40), more, at(1)).is_err());
        let mut later = session(1 << 41, false);
        later.expires = at(400);
        assert!(sessions.begin(id(1 << 41), later, at(121)).is_ok(), "expired ones make room");
    }
}
