//! Evidence for the judge: real logs, and TPMs that were extended with them.

use std::time::SystemTime;

use attest::eventlog::EventLog;
use attest::tpm::{SocketTransport, Tpm};
use attest::{DEFAULT_PCRS, Question, Rules, binding, judge};
use model::agent::Quote;
use model::attestation::{Finding, PolicyMode, PolicySpec, RefusalCode, Verdict};
use model::{Duration, Timestamp};

use crate::swtpm::SwTpm;

/// A boot with the command line that it should have.
pub const BOOT: &[u8] = include_bytes!("../fixtures/uki-http-boot.log");
/// A boot of an image with another command line, signed with the same key.
pub const OTHER_COMMAND_LINE: &[u8] = include_bytes!("../fixtures/uki-other-command-line.log");

/// The time of judgements that do not hang on it: 2026-01-01.
pub const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

/// A moment after now, when a certificate that was just made is valid.
pub fn soon() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    Timestamp::from_micros(i64::try_from(now.as_micros()).expect("not that late"))
        + Duration::from_secs(60)
}
/// The nonce of the test's exchange.
pub const NONCE: &[u8] = b"a fresh nonce of the control plane";
/// Its certificate signing request.
pub const CSR: &[u8] = b"not looked into here";

/// Does to a TPM what a boot with this log did to its own.
pub fn boot(swtpm: &SwTpm, log: &[u8]) {
    let log = EventLog::parse(log).expect("a real log");
    swtpm.extend(log.events.iter().map(|event| (event.pcr, event.digest)));
}

/// A machine that booted, and is asked.
pub struct Machine {
    pub tpm: Tpm<SocketTransport>,
    pub attestation: Vec<u8>,
    pub quote: Quote,
    // After `tpm`: it flushes its keys before the TPM goes.
    _swtpm: SwTpm,
}

impl Machine {
    /// A fresh TPM after a boot with this log, and its quote; `None` without swtpm.
    pub fn booted(log: &[u8]) -> Option<Machine> {
        let swtpm = SwTpm::bare()?;
        boot(&swtpm, log);
        let mut tpm = swtpm.open();
        let attestation = tpm.keys().expect("keys").attestation.0;
        let quote = tpm.quote(&binding(NONCE, CSR), DEFAULT_PCRS, log.to_vec()).expect("a quote");
        Some(Machine { tpm, attestation, quote, _swtpm: swtpm })
    }

    /// Judges its quote.
    pub fn judged(&self, policy: &PolicySpec) -> Verdict {
        verdict(&self.quote, &self.attestation, policy)
    }
}

/// Judges a quote as the answer to this test's exchange.
pub fn verdict(quote: &Quote, attestation: &[u8], policy: &PolicySpec) -> Verdict {
    let question = Question { attestation, nonce: NONCE, csr: CSR, pcrs: DEFAULT_PCRS };
    judge(quote, &question, &Rules { name: "default", generation: 1, spec: policy }, NOW)
}

/// A policy that lets everything genuine in.
pub fn learning() -> PolicySpec {
    PolicySpec::default()
}

/// A policy learnt from a boot with the log [`BOOT`].
pub fn enforced() -> Option<PolicySpec> {
    let golden = Machine::booted(BOOT)?.judged(&learning());
    assert_eq!(golden.finding, Finding::Learning);
    Some(PolicySpec {
        mode: PolicyMode::Enforce,
        pcrs: attest::learn(&golden),
        endorsement_roots: vec![],
    })
}

/// The verdict must be a refusal with this code; prints and gives the reason.
pub fn refused(verdict: &Verdict, expected: RefusalCode) -> String {
    match &verdict.finding {
        Finding::Refused { code, message } => {
            println!("refused, {code}: {message}");
            assert_eq!(*code, expected, "{message}");
            message.clone()
        }
        other => panic!("expected {expected}, came out {other:?}"),
    }
}
