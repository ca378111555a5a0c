//! One command and its answer: framing, authorisations, response codes.

use tpm2_protocol::TpmWriter;
use tpm2_protocol::basic::TpmHandle;
use tpm2_protocol::constant::TPM_MAX_COMMAND_SIZE;
use tpm2_protocol::data::{TpmRc, TpmRh, TpmSt, TpmaSession, TpmsAuthCommand};
use tpm2_protocol::frame::{
    TpmFlushContextCommand, TpmFlushContextResponse, TpmFrame, TpmResponse, TpmUnmarshalBody,
    tpm_marshal_command,
};

use super::{Tpm, TpmError, Transport};

/// Authorisation by the empty password.
pub(super) fn empty_password() -> TpmsAuthCommand {
    session(TpmHandle::new(TpmRh::Pw as u32), TpmaSession::CONTINUE_SESSION)
}

/// Authorisation by a policy session, which ends with the command.
pub(super) fn policy(handle: TpmHandle) -> TpmsAuthCommand {
    session(handle, TpmaSession::empty())
}

fn session(session_handle: TpmHandle, session_attributes: TpmaSession) -> TpmsAuthCommand {
    TpmsAuthCommand { session_handle, session_attributes, ..TpmsAuthCommand::default() }
}

impl<T: Transport> Tpm<T> {
    /// A command without authorisation.
    pub(super) fn plain<R: TpmUnmarshalBody>(
        &mut self,
        command: &impl TpmFrame,
    ) -> Result<R, TpmError> {
        self.send(command, TpmSt::NoSessions, &[])
    }

    /// A command with its authorisations, in the order of its handles.
    pub(super) fn authorised<R: TpmUnmarshalBody>(
        &mut self,
        command: &impl TpmFrame,
        sessions: &[TpmsAuthCommand],
    ) -> Result<R, TpmError> {
        self.send(command, TpmSt::Sessions, sessions)
    }

    fn send<R: TpmUnmarshalBody>(
        &mut self,
        command: &impl TpmFrame,
        tag: TpmSt,
        sessions: &[TpmsAuthCommand],
    ) -> Result<R, TpmError> {
        let mut buffer = [0; TPM_MAX_COMMAND_SIZE];
        let mut writer = TpmWriter::new(&mut buffer);
        tpm_marshal_command(command, tag, sessions, &mut writer)
            .map_err(|error| TpmError::Request(format!("{}: {error}", command.cc())))?;
        let answer = self.transport.transmit(writer.as_bytes())?;
        refuse(&command.cc().to_string(), &answer)?;
        let malformed = |error| TpmError::Answer(format!("to {}: {error}", command.cc()));
        TpmResponse::cast(&answer).and_then(TpmResponse::unmarshal).map_err(malformed)
    }

    /// Makes room: a key or session that is not needed any more.
    pub(super) fn flush(&mut self, flush_handle: TpmHandle) -> Result<(), TpmError> {
        let command = TpmFlushContextCommand { flush_handle, handles: [] };
        self.plain::<TpmFlushContextResponse>(&command).map(|_| ())
    }
}

/// Turns a response code other than success into an error. The code is read before
/// the rest of the answer: there are more codes than any table knows.
fn refuse(command: &str, answer: &[u8]) -> Result<(), TpmError> {
    let code = answer.get(6..10).and_then(|code| code.try_into().ok()).map(u32::from_be_bytes);
    match code {
        Some(0) => Ok(()),
        Some(code) => {
            let name =
                TpmRc::try_from(code).map_or_else(|_| "unknown code".into(), |rc| rc.to_string());
            Err(TpmError::Refused { command: command.into(), name, code })
        }
        None => Err(TpmError::Answer(format!("{} bytes to {command}", answer.len()))),
    }
}
