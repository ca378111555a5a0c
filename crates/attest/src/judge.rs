//! The judgement of a quote. A pure function: the same evidence, question, policy
//! and time give the same verdict.
//!
//! Each check rests on the ones before it. A signature makes the quote's bytes the
//! TPM's; the nonce makes them fresh; the digest makes the PCR values the TPM's; the
//! replay makes the log's digests true; only then is the log compared with a policy.

use std::collections::BTreeMap;

use model::Timestamp;
use model::agent::Quote;
use model::attestation::{
    ExpectedEvent, Finding, Policy, PolicyMode, PolicySpec, RefusalCode, Verdict,
};

use crate::binding::binding;
use crate::digest::{Sha256Value, hex};
use crate::eventlog::{Backing, Event, EventKind, EventLog};
use crate::policy::enforce;
use crate::public::attestation_key;
use crate::quoted;
use crate::refusal::Refusal;

/// What a machine was asked, and who it was known to be.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The attestation key that was let in by credential activation, `TPMT_PUBLIC`.
    pub attestation: &'a [u8],
    /// The nonce of the challenge.
    pub nonce: &'a [u8],
    /// The CSR of the exchange; empty for a machine that is already in.
    pub csr: &'a [u8],
    /// PCRs that were asked for.
    pub pcrs: &'a [u8],
}

/// A policy with the name that verdicts know it by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Name.
    pub name: &'a str,
    /// Generation.
    pub generation: u64,
    /// What is asked.
    pub spec: &'a PolicySpec,
}

impl<'a> From<&'a Policy> for Rules<'a> {
    fn from(policy: &'a Policy) -> Self {
        Self { name: &policy.name, generation: policy.generation, spec: &policy.spec }
    }
}

/// Judges a quote. A refusal is a verdict like any other: it tells which check
/// failed first, and `pcrs` and `events` hold only what was proven before that.
pub fn judge(quote: &Quote, question: &Question<'_>, rules: &Rules<'_>, now: Timestamp) -> Verdict {
    let mut verdict = Verdict {
        at: now,
        nonce: hex(question.nonce),
        policy: format!("{}, generation {}", rules.name, rules.generation),
        finding: Finding::Trusted,
        pcrs: BTreeMap::new(),
        events: BTreeMap::new(),
    };
    verdict.finding = match weigh(quote, question, rules.spec, &mut verdict) {
        Ok(finding) => finding,
        Err(refusal) => refusal.into(),
    };
    verdict
}

fn weigh(
    quote: &Quote,
    question: &Question<'_>,
    policy: &PolicySpec,
    verdict: &mut Verdict,
) -> Result<Finding, Refusal> {
    let values = genuine_values(quote, question)?;
    verdict.pcrs = values.iter().map(|(pcr, value)| (*pcr, hex(value))).collect();

    let log = EventLog::parse(quote.event_log.as_ref())?;
    check_replay(&log, &values)?;
    check_data(&log, &values)?;
    for event in log.events.iter().filter(|event| values.contains_key(&event.pcr)) {
        verdict.events.entry(event.pcr).or_default().push(expected(event));
    }

    match policy.mode {
        PolicyMode::Learn => Ok(Finding::Learning),
        PolicyMode::Enforce => enforce(policy, &values, &verdict.events).map(|()| Finding::Trusted),
    }
}

/// Signature, nonce, digest and coverage: the PCR values as the TPM has them now.
fn genuine_values(
    quote: &Quote,
    question: &Question<'_>,
) -> Result<BTreeMap<u8, Sha256Value>, Refusal> {
    let key = attestation_key(question.attestation)?;
    let quoted = quoted::parse(quote.attest.as_ref())?;
    key.verify(quote.attest.as_ref(), quote.signature.as_ref())?;
    if quoted.qualifying != binding(question.nonce, question.csr) {
        let message = "the quote answers another nonce: it is old, or of another exchange";
        return Err(Refusal::new(RefusalCode::Replayed, message));
    }
    let values = quoted::values(&quoted, &quote.pcrs)?;
    if let Some(pcr) = question.pcrs.iter().find(|pcr| !values.contains_key(pcr)) {
        let message = format!("PCR {pcr} was asked for and is not in the quote");
        return Err(Refusal::new(RefusalCode::PcrMismatch, message));
    }
    Ok(values)
}

/// The log's digests, extended in order, must give what the TPM holds. A PCR without
/// events is not judged here: others than the firmware extend some.
fn check_replay(log: &EventLog, values: &BTreeMap<u8, Sha256Value>) -> Result<(), Refusal> {
    let replayed = log.replay();
    for (pcr, value) in values {
        if let Some(led_to) = replayed.get(pcr)
            && led_to != value
        {
            let message = format!(
                "the event log leads to {} for PCR {pcr}, but the TPM holds {}",
                hex(led_to),
                hex(value)
            );
            return Err(Refusal::new(RefusalCode::LogMismatch, message));
        }
    }
    Ok(())
}

/// Where all firmware hashes the event data itself, data that does not give the
/// digest was changed afterwards.
fn check_data(log: &EventLog, values: &BTreeMap<u8, Sha256Value>) -> Result<(), Refusal> {
    let changed = log.events.iter().find(|event| {
        let hashed =
            matches!(event.kind, EventKind::SEPARATOR | EventKind::EFI_VARIABLE_DRIVER_CONFIG);
        hashed && event.backing == Backing::Differs && values.contains_key(&event.pcr)
    });
    match changed {
        None => Ok(()),
        Some(event) => {
            let message = format!(
                "in PCR {} the data of {} “{}” does not hash to its digest {}",
                event.pcr,
                event.kind,
                event.what,
                hex(&event.digest)
            );
            Err(Refusal::new(RefusalCode::LogMismatch, message))
        }
    }
}

/// An event as policies and people have it.
fn expected(event: &Event) -> ExpectedEvent {
    let what = match event.backing {
        Backing::Proven | Backing::Opaque => event.what.clone(),
        Backing::Differs => format!("{} (says the log; its digest does not prove it)", event.what),
    };
    ExpectedEvent { kind: event.kind.to_string(), what, digest: hex(&event.digest) }
}
