//! An agent says hello: it is asked to prove that its TPM is the one that it names.

use axum::Json;
use axum::body::Body;

use model::agent::{Challenge, Credential, Hello};
use model::attestation::PolicySpec;
use model::machine::Machine;
use model::{Encoded, ErrorCode, Problem};
use world::SystemEntropy;
use world::entropy::{Entropy as _, new_id};

use super::Agents;
use super::incoming::document;
use super::recognise::recognise;
use super::sessions::{SESSION_SPAN, Session};
use crate::api::Refusal;
use crate::nouns::Nouns;

/// A hello with two keys and a certificate takes a few kilobytes.
const HELLO_LARGEST: usize = 64 << 10;
/// More interfaces than any server has.
const MACS_MOST: usize = 64;
/// The longest word that an agent says about itself.
const WORD_LONGEST: usize = 128;
/// The longest signing request.
const REQUEST_LONGEST: usize = 4096;

/// `POST /v1/agent/hello`. Nothing is recorded: whoever cannot prove leaves no trace.
pub(super) async fn hello(agents: Agents, body: Body) -> Result<Json<Challenge>, Refusal> {
    let hello = checked(document(body, HELLO_LARGEST).await?)?;
    let now = agents.plane.clock.now();
    let endorsement =
        hello.tpm.as_ref().map(|tpm| attest::endorsement_digest(tpm.endorsement.as_ref()));
    let (machine, policy) = {
        let nouns = agents.plane.leader.read();
        let machine = recognise(&nouns, &hello, endorsement.as_deref())?;
        let policy = policy_of(&nouns, &machine);
        (machine, policy)
    };
    if let Some(tpm) = &hello.tpm {
        check_maker(tpm, &policy, now)?;
    }
    let (credential, secret) = credential(&hello)?;
    let pcrs = attest::pcrs_to_quote(&policy);
    let nonce: [u8; 32] = SystemEntropy.bytes();
    let session = Session {
        machine: machine.id,
        known: endorsement.is_some() && machine.status.endorsement == endorsement,
        endorsement,
        hello,
        secret,
        nonce: nonce.to_vec(),
        pcrs: pcrs.clone(),
        expires: now + SESSION_SPAN,
    };
    let id = new_id(now, &mut SystemEntropy);
    agents
        .talks
        .sessions
        .lock()
        .unwrap_or_else(|held| held.into_inner())
        .begin(id, session, now)?;
    tracing::info!(machine = %machine.name, "an agent said hello");
    Ok(Json(Challenge { session: id, credential, nonce: Encoded(nonce.to_vec()), pcrs }))
}

/// The policy that a machine is judged by; one that only learns where there is none yet.
pub(super) fn policy_of(nouns: &Nouns, machine: &Machine) -> PolicySpec {
    let name = machine.spec.policy.as_deref().unwrap_or("default");
    nouns.policies.by_name(name).map(|policy| policy.spec.clone()).unwrap_or_default()
}

/// Bounds what was said, and brings it into our form.
fn checked(mut hello: Hello) -> Result<Hello, Problem> {
    let refuse = |detail: &str| Err(Problem::new(ErrorCode::InvalidRequest, detail));
    let words = [&hello.uuid, &hello.serial, &hello.version];
    if words.iter().any(|word| word.len() > WORD_LONGEST || word.chars().any(char::is_control)) {
        return refuse("uuid, serial or version is not a short word");
    }
    if hello.macs.len() > MACS_MOST || !hello.macs.iter().all(|mac| is_mac(mac)) {
        return refuse("macs is not a list of at most 64 hardware addresses");
    }
    if hello.csr.as_ref().len() > REQUEST_LONGEST {
        return refuse("csr is too long");
    }
    for mac in &mut hello.macs {
        mac.make_ascii_lowercase();
    }
    hello.uuid.make_ascii_lowercase();
    Ok(hello)
}

fn is_mac(text: &str) -> bool {
    text.len() == 17
        && text.bytes().enumerate().all(|(place, byte)| match place % 3 {
            2 => byte == b':',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Whether the TPM's maker is one that the policy trusts. A policy that names no
/// makers takes any TPM, but not one with another TPM's certificate.
fn check_maker(
    tpm: &model::agent::TpmKeys,
    policy: &PolicySpec,
    now: model::Timestamp,
) -> Result<(), Problem> {
    attest::check_endorsement(tpm, &policy.endorsement_roots, now).map_err(|refusal| {
        Problem::new(ErrorCode::Forbidden, refusal.to_string()).next(
            "Add the certificate of the TPM's maker to the attestation policy, if it is trusted.",
        )
    })
}

/// What only the TPM with both of these keys can open.
fn credential(hello: &Hello) -> Result<(Option<Credential>, Option<[u8; 32]>), Problem> {
    let Some(tpm) = &hello.tpm else { return Ok((None, None)) };
    let secret: [u8; 32] = SystemEntropy.bytes();
    let credential = attest::make_credential(
        tpm.endorsement.as_ref(),
        tpm.attestation.as_ref(),
        &secret,
        &mut |buffer| SystemEntropy.fill(buffer),
    )
    .map_err(|refusal| {
        Problem::new(ErrorCode::InvalidRequest, format!("the TPM's keys: {refusal}"))
            .next("The TPM must be a TPM 2.0 with an RSA 2048 endorsement key.")
    })?;
    Ok((Some(credential), Some(secret)))
}
