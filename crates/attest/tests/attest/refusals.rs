//! Each way to cheat, and the reason that it is refused for.

use attest::eventlog::EventLog;
use attest::{DEFAULT_PCRS, Question, Rules, check_secret, judge, make_credential};
use model::attestation::RefusalCode;

use crate::evidence::{
    BOOT, CSR, Machine, NONCE, NOW, OTHER_COMMAND_LINE, enforced, learning, refused, verdict,
};
use crate::round_trip::counting;
use crate::swtpm::SwTpm;

/// Where a digest is in a log.
fn position(log: &[u8], bytes: &[u8]) -> usize {
    log.windows(bytes.len()).position(|window| window == bytes).expect("it is in the log")
}

/// The log with one byte of the event's digest changed.
fn with_other_digest(log: &[u8], pcr: u8, what: &str) -> Vec<u8> {
    let parsed = EventLog::parse(log).expect("a real log");
    let event = parsed.of(pcr).find(|event| event.what == what).expect("the event is there");
    let mut changed = log.to_vec();
    changed[position(log, &event.digest)] ^= 1;
    changed
}

/// The log with an event at its end, in the shape of its other events.
fn with_event(log: &[u8], pcr: u32, kind: u32, digest: [u8; 32], data: &[u8]) -> Vec<u8> {
    let mut longer = log.to_vec();
    longer.extend_from_slice(&pcr.to_le_bytes());
    longer.extend_from_slice(&kind.to_le_bytes());
    longer.extend_from_slice(&[1, 0, 0, 0, 0x0b, 0]);
    longer.extend_from_slice(&digest);
    longer.extend_from_slice(&u32::try_from(data.len()).expect("short").to_le_bytes());
    longer.extend_from_slice(data);
    longer
}

#[test]
fn tampered_event_log() {
    let Some(mut machine) = Machine::booted(BOOT) else { return };
    machine.quote.event_log = with_other_digest(BOOT, 11, "content of section .cmdline").into();
    let verdict = machine.judged(&learning());
    let reason = refused(&verdict, RefusalCode::LogMismatch);
    assert!(reason.contains("PCR 11"), "{reason}");
    // Nothing of a log that was not proven is kept, and nothing is learnt from it.
    assert!(verdict.events.is_empty());
    assert!(attest::learn(&verdict).is_empty());
}

#[test]
fn tampered_event_text() {
    let Some(mut machine) = Machine::booted(BOOT) else { return };
    // "SecureBoot" in UTF-16, followed by its value: 1 becomes 0, and no digest is touched.
    let name: Vec<u8> = "SecureBoot".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut log = BOOT.to_vec();
    let value = position(&log, &name) + name.len();
    assert_eq!(log[value], 1);
    log[value] = 0;
    machine.quote.event_log = log.into();
    let reason = refused(&machine.judged(&learning()), RefusalCode::LogMismatch);
    assert!(reason.contains("PCR 7") && reason.contains("variable SecureBoot = 00"), "{reason}");
}

#[test]
fn shortened_event_log() {
    let Some(mut machine) = Machine::booted(BOOT) else { return };
    machine.quote.event_log = BOOT[..BOOT.len() - 3].to_vec().into();
    refused(&machine.judged(&learning()), RefusalCode::Malformed);
    machine.quote.event_log = Vec::new().into();
    let policy = enforced().expect("swtpm is installed, as above");
    let reason = refused(&machine.judged(&policy), RefusalCode::PolicyMismatch);
    assert!(reason.contains("no event log"), "{reason}");
}

#[test]
fn replayed_quote() {
    let Some(machine) = Machine::booted(BOOT) else { return };
    let policy = learning();
    let rules = Rules { name: "default", generation: 1, spec: &policy };
    for (nonce, csr) in [(&b"the next nonce"[..], CSR), (NONCE, &b"a CSR of somebody else"[..])] {
        let question =
            Question { attestation: &machine.attestation, nonce, csr, pcrs: DEFAULT_PCRS };
        refused(&judge(&machine.quote, &question, &rules, NOW), RefusalCode::Replayed);
    }
}

#[test]
fn foreign_tpm_cannot_open_the_credential() {
    let (Some(honest), Some(foreign)) = (SwTpm::bare(), SwTpm::bare()) else { return };
    let keys = honest.open().keys().expect("keys");
    let secret = [9; 32];
    let endorsement = keys.endorsement.as_ref();
    let credential =
        make_credential(endorsement, keys.attestation.as_ref(), &secret, &mut counting())
            .expect("a credential");
    let mut foreign = foreign.open();
    let failure = foreign.activate(&credential).expect_err("another TPM's credential");
    println!("refused by the TPM: {failure}");
    let refusal = check_secret(&secret, None).expect_err("no secret, no entry");
    println!("refused, {refusal}");
    assert_eq!(refusal.code, RefusalCode::ForeignTpm);
    // What failed took no session with it: a TPM has three.
    for _ in 0..4 {
        foreign.activate(&credential).expect_err("still another TPM's credential");
    }
    let own = foreign.keys().expect("keys");
    let (endorsement, attestation) = (own.endorsement.as_ref(), own.attestation.as_ref());
    let own = make_credential(endorsement, attestation, &secret, &mut counting()).expect("its own");
    assert_eq!(foreign.activate(&own).expect("it opens").as_slice(), secret);

    assert!(check_secret(&secret, Some(&[9; 31])).is_err());
    assert!(check_secret(&secret, Some(&[8; 32])).is_err());
    assert_eq!(check_secret(&secret, Some(&[9; 32])), Ok(()));

    // The right endorsement key with the attestation key of another TPM: refused too.
    let theirs = foreign.keys().expect("keys").attestation;
    drop(foreign);
    let mixed = make_credential(endorsement, theirs.as_ref(), &secret, &mut counting())
        .expect("each key by itself is in order");
    honest.open().activate(&mixed).expect_err("the attestation key is not beside it");
    assert_eq!(honest.open().activate(&credential).expect("its own").as_slice(), secret);
}

#[test]
fn foreign_attestation_key() {
    let (Some(honest), Some(foreign)) = (Machine::booted(BOOT), Machine::booted(BOOT)) else {
        return;
    };
    let passed_on = verdict(&foreign.quote, &honest.attestation, &learning());
    refused(&passed_on, RefusalCode::BadSignature);
    assert!(passed_on.pcrs.is_empty());
}

#[test]
fn tampered_pcr_value() {
    let Some(mut machine) = Machine::booted(BOOT) else { return };
    let genuine = machine.quote.clone();
    machine.quote.pcrs[4].1.0[31] ^= 1;
    refused(&machine.judged(&learning()), RefusalCode::PcrMismatch);

    machine.quote = genuine.clone();
    machine.quote.pcrs.remove(7);
    let reason = refused(&machine.judged(&learning()), RefusalCode::PcrMismatch);
    assert!(reason.contains("values came for"), "{reason}");

    machine.quote = genuine;
    machine.quote.pcrs[3].1.0.pop();
    refused(&machine.judged(&learning()), RefusalCode::PcrMismatch);
}

#[test]
fn pcr_that_was_not_quoted() {
    let Some(mut machine) = Machine::booted(BOOT) else { return };
    let binding = attest::binding(NONCE, CSR);
    machine.quote = machine.tpm.quote(&binding, &[0, 2, 7], BOOT.to_vec()).expect("a quote");
    let reason = refused(&machine.judged(&learning()), RefusalCode::PcrMismatch);
    assert!(reason.contains("PCR 1 was asked for"), "{reason}");
}

#[test]
fn tampered_kernel_command_line() {
    let Some(policy) = enforced() else { return };
    let Some(machine) = Machine::booted(OTHER_COMMAND_LINE) else { return };
    let verdict = machine.judged(&policy);
    let reason = refused(&verdict, RefusalCode::PolicyMismatch);
    // Another image in PCR 4, and in PCR 11 the section that makes it another one.
    assert!(reason.contains("PCR 4, event"), "{reason}");
    assert!(reason.contains("boot application"), "{reason}");
    assert!(
        reason.contains("PCR 11, event 6: expected EV_IPL “content of section .cmdline”"),
        "{reason}"
    );
    assert!(!reason.contains("PCR 7,"), "the key that signed it is the same: {reason}");
}

#[test]
fn command_line_given_from_outside() {
    let Some(policy) = enforced() else { return };
    let text: Vec<u8> = "init=/bin/sh\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let digest: [u8; 32] = ring::digest::digest(&ring::digest::SHA256, &text)
        .as_ref()
        .try_into()
        .expect("SHA-256 has 32 bytes");
    let Some(machine) = Machine::booted(&with_event(BOOT, 12, 0x0d, digest, &text)) else { return };
    let reason = refused(&machine.judged(&policy), RefusalCode::PolicyMismatch);
    assert!(
        reason.starts_with("PCR 12, event 1: expected no more events, seen EV_IPL “init=/bin/sh”"),
        "{reason}"
    );
}

#[test]
fn pcr_extended_behind_the_logs_back() {
    let Some(policy) = enforced() else { return };
    let Some(swtpm) = SwTpm::bare() else { return };
    crate::evidence::boot(&swtpm, BOOT);
    swtpm.extend([(13, [1; 32])]);
    let mut tpm = swtpm.open();
    let attestation = tpm.keys().expect("keys").attestation;
    let binding = attest::binding(NONCE, CSR);
    let quote = tpm.quote(&binding, DEFAULT_PCRS, BOOT.to_vec()).expect("a quote");
    let reason =
        refused(&verdict(&quote, attestation.as_ref(), &policy), RefusalCode::PolicyMismatch);
    assert!(reason.contains("PCR 13 was extended"), "{reason}");
}

#[test]
fn second_attempt_to_boot_is_not_cheating() {
    let Some(policy) = enforced() else { return };
    let log = [
        "Returning from EFI Application from Boot Option",
        "Calling EFI Application from Boot Option",
    ]
    .iter()
    .fold(BOOT.to_vec(), |log, text| {
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let digest = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        with_event(&log, 4, 0x8000_0007, digest, text.as_bytes())
    });
    let Some(machine) = Machine::booted(&log) else { return };
    assert_eq!(machine.judged(&policy).finding, model::attestation::Finding::Trusted);
}

#[test]
fn keys_that_could_lie() {
    let Some(swtpm) = SwTpm::bare() else { return };
    let keys = swtpm.open().keys().expect("keys");
    let (endorsement, attestation) = (keys.endorsement.0, keys.attestation.0);
    // The attributes are the 32 bits after type and name algorithm.
    for (bit, mark) in [
        (0x0000_0002_u32, "fixedTPM"),
        (0x0000_0010, "fixedParent"),
        (0x0000_0020, "sensitiveDataOrigin"),
        (0x0001_0000, "restricted"),
        (0x0004_0000, "sign"),
        (0x0002_0000, "for signing alone"),
    ] {
        let mut changed = attestation.clone();
        let marks = u32::from_be_bytes([changed[4], changed[5], changed[6], changed[7]]) ^ bit;
        changed[4..8].copy_from_slice(&marks.to_be_bytes());
        let refusal = make_credential(&endorsement, &changed, &[1; 32], &mut counting())
            .expect_err("a key that could lie");
        println!("refused, {refusal}");
        assert_eq!(refusal.code, RefusalCode::Malformed);
        assert!(refusal.message.contains(mark), "{refusal}");
    }
    for position in [0, 5, 12, 50] {
        let mut changed = endorsement.clone();
        changed[position] ^= 0x40;
        let refusal = make_credential(&changed, &attestation, &[1; 32], &mut counting());
        println!("refused, {}", refusal.expect_err("not an endorsement key of the template"));
    }
}

#[test]
fn structures_that_no_tpm_made() {
    let Some(mut machine) = Machine::booted(BOOT) else { return };
    let genuine = machine.quote.clone();
    machine.quote.attest.0[0] ^= 1;
    let reason = refused(&machine.judged(&learning()), RefusalCode::Malformed);
    assert!(reason.contains("no TPM made it"), "{reason}");

    machine.quote = genuine.clone();
    machine.quote.attest.0.push(0);
    refused(&machine.judged(&learning()), RefusalCode::Malformed);

    machine.quote = genuine.clone();
    *machine.quote.attest.0.last_mut().expect("not empty") ^= 1;
    refused(&machine.judged(&learning()), RefusalCode::BadSignature);

    machine.quote = genuine;
    machine.quote.signature.0.truncate(10);
    refused(&machine.judged(&learning()), RefusalCode::Malformed);
}
