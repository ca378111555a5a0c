//! An agent proves itself and is let in.
//!
//! Here it is decided whether the evidence is genuine and fresh: the TPM opened
//! the credential, and its quote answers this nonce and this signing request. What
//! the firmware *did* is judged by the step `attest`, where a refusal quarantines
//! the machine with its reason; so a log that is not as it should be does not keep
//! an agent from being let in, it only gets nothing to do.

use axum::Json;
use axum::body::Body;

use model::agent::{Admission, Proof};
use model::attestation::{Finding, PolicySpec, RefusalCode};
use model::machine::AgentPresence;
use model::{ErrorCode, Problem, Timestamp};

use super::Agents;
use super::incoming::document;
use super::sessions::Session;
use crate::api::Refusal;
use crate::cell::{Ask, Call};
use crate::identity::tokens::same_secret;
use crate::identity::{AgentCertificate, IdentityError};

/// A proof with an event log takes some hundred kilobytes.
const PROOF_LARGEST: usize = 2 << 20;

/// `POST /v1/agent/prove`. The session is over afterwards, whatever came of it.
pub(super) async fn prove(agents: Agents, body: Body) -> Result<Json<Admission>, Refusal> {
    let proof: Proof = document(body, PROOF_LARGEST).await?;
    let plane = &agents.plane;
    let now = plane.clock.now();
    let session = agents
        .talks
        .sessions
        .lock()
        .unwrap_or_else(|held| held.into_inner())
        .take(proof.session, now)
        .ok_or_else(|| {
            let detail = "no exchange of this name is open: it was ended, or it took too long";
            Problem::new(ErrorCode::Gone, detail).next("Say hello again.")
        })?;
    if let Err(problem) = genuine(&session, &proof, now) {
        tracing::warn!(target: "audit", machine = %session.machine, %problem, "an agent was refused");
        return Err(problem.into());
    }
    let certificate = plane
        .authority
        .issue_agent(session.hello.csr.as_ref(), attestation_key(&session), session.machine, now)
        .map_err(issue_problem)?;
    admit(&agents, &session, &certificate, now).await?;
    Ok(Json(Admission {
        machine: session.machine,
        certificate: certificate.chain,
        expires: certificate.expires,
        now,
    }))
}

fn attestation_key(session: &Session) -> Option<&[u8]> {
    session.hello.tpm.as_ref().map(|tpm| tpm.attestation.as_ref())
}

/// Whether this TPM is there, now, and speaks for this signing request. A machine
/// without a TPM has nothing to prove; its record decides what that means.
fn genuine(session: &Session, proof: &Proof, now: Timestamp) -> Result<(), Problem> {
    let (Some(expected), Some(attestation)) = (&session.secret, attestation_key(session)) else {
        return Ok(());
    };
    let refuse = |detail: String| {
        Problem::new(ErrorCode::Forbidden, detail)
            .next("Say hello again, from the machine that it is about; nothing was changed.")
    };
    let given = proof.secret.as_ref().map(AsRef::as_ref).unwrap_or_default();
    if !same_secret(expected, given) {
        let word = RefusalCode::ForeignTpm;
        return Err(refuse(format!("{word}: the credential was not opened by this TPM")));
    }
    let Some(quote) = &proof.quote else {
        return Err(refuse("the proof holds no quote".to_owned()));
    };
    let question = attest::Question {
        attestation,
        nonce: &session.nonce,
        csr: session.hello.csr.as_ref(),
        pcrs: &session.pcrs,
    };
    let rules = attest::Rules { name: "admission", generation: 0, spec: &PolicySpec::default() };
    match attest::judge(quote, &question, &rules, now).finding {
        Finding::Refused { code, message }
            if !matches!(code, RefusalCode::LogMismatch | RefusalCode::PolicyMismatch) =>
        {
            Err(refuse(format!("{code}: {message}")))
        }
        _ => Ok(()),
    }
}

/// Has the machine's record take the agent in. The certificate goes out only when
/// the record names it: a machine that turned out to be another one is quarantined
/// by the same decision, and its agent gets nothing.
async fn admit(
    agents: &Agents,
    session: &Session,
    certificate: &AgentCertificate,
    now: Timestamp,
) -> Result<(), Problem> {
    let plane = &agents.plane;
    let call = Call::Admit {
        machine: session.machine,
        presence: AgentPresence {
            admitted: now,
            certificate: certificate.digest.clone(),
            version: session.hello.version.clone(),
        },
        endorsement: session.endorsement.clone(),
        macs: session.hello.macs.clone(),
        serial: session.hello.serial.clone(),
    };
    plane.leader.ask(Ask::from(format!("machine:{}", session.machine), call)).await?;
    let nouns = plane.leader.read();
    let machine = nouns.machines.get(session.machine.uuid());
    let named = machine.and_then(|machine| machine.status.agent.as_ref());
    if named.is_some_and(|agent| agent.certificate == certificate.digest) {
        return Ok(());
    }
    let reason = machine.and_then(|machine| machine.status.reason.as_ref());
    let why = reason.map_or("the machine does not wait for an agent any more", |it| &it.message);
    Err(Problem::new(ErrorCode::Forbidden, why).next(
        "See `bedplate machine show`: its reason says what to do. `bedplate machine recover` begins anew.",
    ))
}

fn issue_problem(error: IdentityError) -> Problem {
    let code = match error {
        IdentityError::Request(_) => ErrorCode::InvalidRequest,
        _ => ErrorCode::Internal,
    };
    Problem::new(code, error.to_string())
}
