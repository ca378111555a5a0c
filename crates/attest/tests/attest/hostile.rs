//! Bytes from a machine that means harm: whatever they are, there is a verdict.

use std::io::{Read, Write};

use attest::eventlog::{EventLog, MAX_EVENTS};
use attest::tpm::{SocketTransport, Tpm, TpmError, Transport};
use attest::{
    Question, Rules, check_attestation_key, check_endorsement_certificate, check_endorsement_key,
    judge, make_credential,
};
use model::agent::{Credential, Quote};
use model::attestation::{Finding, PolicySpec};
use proptest::prelude::*;

use crate::evidence::{BOOT, NOW};

/// A change somewhere in bytes that began well.
#[derive(Clone, Debug)]
enum Change {
    Set(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        any::<usize>().prop_map(Change::Cut),
        (any::<usize>(), proptest::collection::vec(any::<u8>(), 0..12))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
    ];
    proptest::collection::vec(change, 1..6)
}

fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for change in changes {
        let length = bytes.len();
        match change {
            Change::Set(at, byte) if length > 0 => bytes[at % length] = *byte,
            Change::Cut(at) if length > 0 => bytes.truncate(at % length),
            Change::Insert(at, new) => {
                let at = at % (length + 1);
                bytes.splice(at..at, new.iter().copied());
            }
            _ => {}
        }
    }
    bytes
}

/// A quote and its key as a real TPM made them.
fn sample() -> (Vec<u8>, Vec<u8>, Quote) {
    let sample: Sample =
        serde_json::from_str(include_str!("../fixtures/quote.json")).expect("a fixture");
    (sample.endorsement.0, sample.attestation.0, sample.quote)
}

#[derive(serde::Deserialize)]
struct Sample {
    endorsement: model::Encoded,
    attestation: model::Encoded,
    quote: Quote,
}

fn finding(quote: &Quote, attestation: &[u8]) -> Finding {
    let question =
        Question { attestation, nonce: b"sample nonce", csr: b"", pcrs: attest::DEFAULT_PCRS };
    let policy = PolicySpec::default();
    judge(quote, &question, &Rules { name: "default", generation: 1, spec: &policy }, NOW).finding
}

#[test]
fn the_sample_is_genuine() {
    let (endorsement, attestation, mut quote) = sample();
    quote.event_log = BOOT.to_vec().into();
    assert_eq!(check_endorsement_key(&endorsement), Ok(()));
    assert_eq!(finding(&quote, &attestation), Finding::Learning);
}

#[test]
fn lengths_that_lie_take_no_memory() {
    // A header that is in order, then an event that claims four gigabytes of data.
    let mut log = BOOT[..65].to_vec();
    log.extend_from_slice(&[4, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0x0b, 0]);
    log.extend_from_slice(&[0; 32]);
    log.extend_from_slice(&u32::MAX.to_le_bytes());
    let refusal = EventLog::parse(&log).expect_err("it ends too early");
    assert_eq!(refusal.message, "event 1 of the event log: it ends too early");

    let mut many = BOOT[..65].to_vec();
    for _ in 0..=MAX_EVENTS {
        many.extend_from_slice(&[4, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0x0b, 0]);
        many.extend_from_slice(&[0; 36]);
    }
    assert!(EventLog::parse(&many).is_err_and(|refusal| refusal.message.contains("more than")));
}

/// A TPM that answers every command with success and whatever it likes.
struct Liar(Vec<Vec<u8>>);

impl Transport for Liar {
    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        let body = self.0.pop().unwrap_or_default();
        let length = u32::try_from(10 + body.len()).expect("short").to_be_bytes();
        Ok([&command[..2], &length, &[0; 4], &body].concat())
    }
}

#[test]
fn answers_of_absurd_length_are_not_waited_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let liar = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        let mut command = [0; 22];
        stream.read_exact(&mut command).expect("TPM2_GetCapability");
        stream.write_all(&[0x80, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]).expect("an answer");
    });
    let transport = SocketTransport::tcp(address).expect("it listens");
    let failure = Tpm::new(transport).about().expect_err("an answer of four gigabytes");
    assert!(matches!(failure, TpmError::Answer(_)), "{failure}");
    liar.join().expect("the liar is done");
}

proptest! {
    #[test]
    fn any_answers_of_a_tpm(
        answers in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..90), 0..6),
        small in proptest::collection::vec(proptest::collection::vec(0..3_u8, 0..90), 0..6),
    ) {
        for answers in [answers, small] {
            let ask = || Tpm::new(Liar(answers.clone()));
            let _ = ask().about();
            let _ = ask().keys();
            let _ = ask().read_pcrs(&[0, 7, 11]);
            let _ = ask().quote(&[1; 32], &[0, 7], vec![]);
            let credential = Credential { blob: vec![0, 0].into(), secret: vec![0, 0].into() };
            let _ = ask().activate(&credential);
        }
    }

    #[test]
    fn any_log(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = EventLog::parse(&bytes);
        let _ = EventLog::parse(&[&BOOT[..65], &bytes[..]].concat());
    }

    #[test]
    fn a_real_log_with_changes(changes in changes()) {
        if let Ok(log) = EventLog::parse(&changed(BOOT, &changes)) {
            for event in &log.events {
                prop_assert!(event.pcr < 24);
                prop_assert!(event.what.chars().count() < 200);
                prop_assert!(!event.what.chars().any(char::is_control));
            }
            prop_assert!(log.replay().len() <= 24);
        }
    }

    #[test]
    fn any_structures(
        one in proptest::collection::vec(any::<u8>(), 0..400),
        two in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let quote = Quote {
            attest: one.clone().into(),
            signature: two.clone().into(),
            pcrs: vec![(200, one.clone().into())],
            event_log: two.clone().into(),
        };
        let judged = finding(&quote, &sample().1);
        prop_assert_ne!(judged, Finding::Learning);
        prop_assert!(check_attestation_key(&one).is_err());
        prop_assert!(check_endorsement_key(&two).is_err());
        let endorsement = sample().0;
        prop_assert!(check_endorsement_certificate(&one, &endorsement, &[], NOW).is_err());
    }

    #[test]
    fn real_structures_with_changes(attest in changes(), signature in changes(), keys in changes()) {
        let (endorsement, attestation, quote) = sample();
        let original = quote.clone();
        for (a, s, k) in [(true, false, false), (false, true, false), (false, false, true)] {
            let mut quote = quote.clone();
            let mut key = attestation.clone();
            if a { quote.attest = changed(quote.attest.as_ref(), &attest).into(); }
            if s { quote.signature = changed(quote.signature.as_ref(), &signature).into(); }
            if k { key = changed(&key, &keys); }
            let judged = finding(&quote, &key);
            // A key with other harmless marks is another key to admit, and verifies the same.
            let same = quote == original;
            prop_assert!(k || (judged == Finding::Learning) == same, "{:?}", judged);
        }
        let endorsement = changed(&endorsement, &keys);
        let _ = make_credential(&endorsement, &attestation, &[1; 32], &mut |bytes| bytes.fill(1));
    }
}
