//! The way of a machine that is as it should be.

use attest::tpm::{SocketTransport, Tpm, TpmError, Transport};
use attest::{check_endorsement, check_secret, endorsement_digest, learn, make_credential};
use model::agent::TpmKeys;
use model::attestation::{Finding, PolicyMode, PolicySpec, RefusalCode};

use crate::evidence::{BOOT, Machine, NOW, enforced, learning, soon};
use crate::swtpm::SwTpm;

/// Bytes that a test can foresee.
pub fn counting() -> impl FnMut(&mut [u8]) {
    let mut next = 1_u8;
    move |bytes: &mut [u8]| {
        for byte in bytes {
            *byte = next;
            next = next.wrapping_mul(5).wrapping_add(3);
        }
    }
}

#[test]
fn a_certified_tpm_proves_itself() {
    let Some((swtpm, authority)) = SwTpm::certified() else { return };
    let mut tpm = swtpm.open();
    let about = tpm.about().expect("a TPM tells about itself");
    assert_eq!((about.manufacturer.as_str(), about.family.as_str()), ("IBM", "2.0"));

    let keys = tpm.keys().expect("keys");
    assert!(keys.endorsement_certificate.is_some(), "swtpm_setup put one there");
    assert_eq!(check_endorsement(&keys, &[], soon()), Ok(()));
    assert_eq!(check_endorsement(&keys, std::slice::from_ref(&authority), soon()), Ok(()));
    let early = check_endorsement(&keys, &[authority], NOW).expect_err("made after 2026-01-01");
    println!("refused, {early}");
    assert!(early.message.contains("is valid from"), "{early}");

    let secret = [7; 32];
    let credential = make_credential(
        keys.endorsement.as_ref(),
        keys.attestation.as_ref(),
        &secret,
        &mut counting(),
    )
    .expect("the keys are of the right kind");
    let opened = tpm.activate(&credential).expect("the right TPM opens it");
    assert_eq!(opened.as_slice(), secret);
    assert_eq!(check_secret(&secret, Some(&opened)), Ok(()));
    // And once more: no session or slot was lost on the way.
    for _ in 0..8 {
        assert_eq!(tpm.activate(&credential).expect("again").as_slice(), secret);
    }
}

/// A TPM that reads no more than 100 bytes of NV memory at once.
struct Narrow(SocketTransport);

impl Transport for Narrow {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        let mut answer = self.0.transmit(command)?;
        // TPM2_GetCapability of TPM_PT_NV_BUFFER_MAX: the value is at the end.
        if command[6..10] == [0, 0, 1, 0x7a] && command[14..18] == [0, 0, 1, 0x2c] {
            let value = answer.len() - 4;
            answer[value..].copy_from_slice(&100_u32.to_be_bytes());
        }
        // TPM2_NV_Read: its size and offset end the command.
        if command[6..10] == [0, 0, 1, 0x4e] {
            assert!(command[command.len() - 4] == 0 && command[command.len() - 3] <= 100);
        }
        Ok(answer)
    }
}

#[test]
fn a_certificate_longer_than_the_tpms_buffer_is_read_in_pieces() {
    let Some((swtpm, _)) = SwTpm::certified() else { return };
    let whole = swtpm.open().keys().expect("keys");
    let pieces = Tpm::new(Narrow(swtpm.transport())).keys().expect("keys");
    assert!(whole.endorsement_certificate.as_ref().is_some_and(|bytes| bytes.0.len() > 200));
    assert_eq!(pieces, whole);
}

#[test]
fn another_tpms_certificate_is_refused() {
    let Some((first, authority)) = SwTpm::certified() else { return };
    let Some((second, stranger)) = SwTpm::certified() else { return };
    let (one, other) = (first.open().keys().expect("keys"), second.open().keys().expect("keys"));
    let check = |keys: &TpmKeys, roots: &[String]| {
        let refusal = check_endorsement(keys, roots, soon()).expect_err("it must be refused");
        println!("refused, {refusal}");
        refusal.code
    };
    let swapped = TpmKeys { endorsement: other.endorsement, ..one.clone() };
    assert_eq!(check(&swapped, &[]), RefusalCode::ForeignTpm);

    // Both authorities bear the same name: only the signature tells them apart.
    assert_eq!(check(&one, &[stranger]), RefusalCode::BadSignature);

    let without = TpmKeys { endorsement_certificate: None, ..one.clone() };
    assert_eq!(check_endorsement(&without, &[], soon()), Ok(()));
    assert_eq!(check(&without, std::slice::from_ref(&authority)), RefusalCode::ForeignTpm);

    let nonsense = "-----BEGIN CERTIFICATE-----\n".to_owned();
    assert_eq!(check(&one, &[nonsense, authority]), RefusalCode::Malformed);
}

#[test]
fn keys_are_the_same_after_each_start() {
    let Some(swtpm) = SwTpm::bare() else { return };
    let first = swtpm.open().keys().expect("keys");
    // A TPM has three slots: this only works when each session gives them back.
    for _ in 0..4 {
        assert_eq!(swtpm.open().keys().expect("keys again"), first);
    }
    assert_eq!(first.endorsement_certificate, None);
    assert_eq!(endorsement_digest(first.endorsement.as_ref()).len(), 64);
}

#[test]
fn a_genuine_quote_is_learnt_from_and_then_trusted() {
    let Some(policy) = enforced() else { return };
    assert_eq!(policy.pcrs.keys().copied().collect::<Vec<_>>(), [0, 2, 4, 7, 11, 12, 13]);
    assert_eq!(policy.pcrs[&12], []);

    let Some(machine) = Machine::booted(BOOT) else { return };
    let learnt = machine.judged(&learning());
    assert_eq!(learnt.finding, Finding::Learning);
    assert_eq!(learnt.policy, "default, generation 1");
    assert_eq!(learnt.pcrs.len(), attest::DEFAULT_PCRS.len());
    assert_eq!(learn(&learnt), policy.pcrs);

    let trusted = machine.judged(&policy);
    assert_eq!(trusted.finding, Finding::Trusted);
    assert_eq!(trusted.events, learnt.events);
}

#[test]
fn a_policy_that_was_never_learnt_trusts_nobody() {
    let Some(machine) = Machine::booted(BOOT) else { return };
    let policy = PolicySpec { mode: PolicyMode::Enforce, ..PolicySpec::default() };
    let verdict = machine.judged(&policy);
    let reason = crate::evidence::refused(&verdict, RefusalCode::PolicyMismatch);
    assert!(reason.contains("learn it first"), "{reason}");
    // Its log was proven all the same: this is what an operator learns from.
    assert!(!learn(&verdict).is_empty());
}

#[test]
fn more_pcrs_than_a_tpm_answers_at_once_are_read() {
    let Some(swtpm) = SwTpm::bare() else { return };
    swtpm.extend([(23, [9; 32])]);
    let mut tpm = swtpm.open();
    let all: Vec<u8> = (0..24).rev().collect();
    let values = tpm.read_pcrs(&all).expect("all PCRs");
    assert_eq!(values.iter().map(|(pcr, _)| *pcr).collect::<Vec<_>>(), (0..24).collect::<Vec<_>>());
    assert_ne!(values[23].1, [0; 32]);
    assert_eq!(values[0].1, [0; 32]);
    assert!(tpm.read_pcrs(&[24]).is_err());
}
