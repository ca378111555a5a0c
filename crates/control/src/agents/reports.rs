//! An agent tells what it found or did. Quotes are judged here and certificates
//! signed here, because the cell that decides has neither keys nor parsers.

use axum::Json;
use axum::extract::Request;
use model::Timestamp;
use model::agent::{AgentCommand, AgentFact, AgentNews, AgentReport, Quote, SanitisedDisk};
use model::api::Acknowledged;
use model::attestation::{Finding, RefusalCode, Verdict};
use model::effect::Action;
use model::machine::{Machine, SanitiseCertificate};
use model::{Encoded, ErrorCode, Problem};

use super::Agents;
use super::caller::{Caller, caller};
use super::hello::policy_of;
use super::incoming::document;
use crate::api::Refusal;
use crate::cell::{Ask, Call, Reply};
use crate::plane::Plane;

/// A report with an event log or a large inventory takes some hundred kilobytes.
const REPORT_LARGEST: usize = 2 << 20;

/// `POST /v1/agent/reports`.
pub(super) async fn report(
    agents: Agents,
    request: Request,
) -> Result<Json<Acknowledged>, Refusal> {
    let plane = &agents.plane;
    let caller = caller(plane, &request)?;
    let report: AgentReport = document(request.into_body(), REPORT_LARGEST).await?;
    let machine = caller.machine(plane)?;
    let Some(command) = command_of(plane, &caller, &report) else {
        // Nobody waits for it; nothing needs to be recorded to say so.
        return Ok(Json(Acknowledged { stale: true }));
    };
    let now = plane.clock.now();
    let (mut verdict, mut sanitised) = (None, None);
    match (&command, &report.news) {
        (
            AgentCommand::Quote { nonce, pcrs },
            AgentNews::Done { fact: AgentFact::Quoted { quote } },
        ) => verdict = Some(Box::new(judge(plane, &caller, &machine, quote, (nonce, pcrs), now))),
        (
            AgentCommand::Sanitise { .. },
            AgentNews::Done { fact: AgentFact::Sanitised { disks } },
        ) => sanitised = certificate(plane, &machine, disks, now)?.map(Box::new),
        _ => {}
    }
    let call = Call::Reported {
        machine: caller.machine,
        certificate: caller.peer.certificate.clone(),
        report,
        verdict,
        sanitised,
    };
    let answer = plane.leader.ask(Ask::from(format!("machine:{}", caller.machine), call)).await?;
    let stale = matches!(answer.reply, Reply::Heard { stale: true });
    Ok(Json(Acknowledged { stale }))
}

/// The order that this is the news of, as long as it has not ended.
fn command_of(plane: &Plane, caller: &Caller, report: &AgentReport) -> Option<AgentCommand> {
    let nouns = plane.leader.read();
    let effect = nouns.outbox.get(&report.id).filter(|effect| effect.machine == caller.machine)?;
    match &effect.action {
        Action::Agent { command } => Some(command.clone()),
        Action::Bmc { .. } => None,
    }
}

/// Judges a quote by the attestation key of the certificate that it came with, and
/// by the machine's policy.
fn judge(
    plane: &Plane,
    caller: &Caller,
    machine: &Machine,
    quote: &Quote,
    (nonce, pcrs): (&Encoded, &[u8]),
    now: Timestamp,
) -> Verdict {
    let name = machine.spec.policy.as_deref().unwrap_or("default");
    let (spec, generation) = {
        let nouns = plane.leader.read();
        let generation = nouns.policies.by_name(name).map_or(0, |policy| policy.generation);
        (policy_of(&nouns, machine), generation)
    };
    let rules = attest::Rules { name, generation, spec: &spec };
    // A machine without a TPM has no such key; no signature counts for an empty one.
    let attestation = caller.peer.attestation.as_deref().unwrap_or_default();
    let question = attest::Question { attestation, nonce: nonce.as_ref(), csr: &[], pcrs };
    let mut verdict = attest::judge(quote, &question, &rules, now);
    if attestation.is_empty() {
        verdict.finding = Finding::Refused {
            code: RefusalCode::ForeignTpm,
            message: "the agent was let in without a TPM".to_owned(),
        };
    }
    verdict
}

/// The signed certificate of disks that are clean; none for others.
fn certificate(
    plane: &Plane,
    machine: &Machine,
    disks: &[SanitisedDisk],
    now: Timestamp,
) -> Result<Option<SanitiseCertificate>, Problem> {
    if disks.iter().any(|disk| disk.residue.0 > 0 || disk.sampled.0 == 0) {
        return Ok(None);
    }
    let status = &machine.status;
    let parts = status.parts.as_ref().or(status.parts_by_bmc.as_ref());
    let mut certificate = SanitiseCertificate {
        machine: machine.id,
        serial: parts.map(|parts| parts.system.serial.clone()).unwrap_or_default(),
        at: now,
        operation: status.operation,
        disks: disks.to_vec(),
        endorsement: status.endorsement.clone(),
        signature: Encoded::default(),
    };
    plane
        .authority
        .sign_certificate(&mut certificate)
        .map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))?;
    Ok(Some(certificate))
}
