//! Policies: which events a machine's log must have, learnt from a machine that is
//! trusted to be as it should, and compared event by event.
//!
//! # Which PCRs are enforced
//!
//! Those whose events are the same at each boot of the same machine, and whose
//! change means that other code ran or that secure boot was set differently:
//!
//! | PCR | what it measures |
//! |---|---|
//! | 0 | firmware code |
//! | 2 | option ROMs and drivers from cards |
//! | 4 | what was booted: our unified kernel image (and the kernel in it, by newer stubs) |
//! | 7 | secure boot: on or off, its keys, and the key that vouched for the image |
//! | 11 | sections of the image, by systemd's stub: kernel, command line, initial RAM disk |
//! | 12, 13 | command lines, credentials and extensions given to the stub from outside |
//!
//! PCRs 12 and 13 are enforced when they were quoted, even with no events: none is
//! what our boot has, and a command line slipped in would be the first.
//!
//! Left out, because they change when nothing is wrong:
//! - PCR 1: the boot order and each `Boot####` entry, also the one that we set for a
//!   single boot with a URI of its own; SMBIOS tables with counters on some servers;
//! - PCR 3 and 6: settings of cards and makers' own notes (wake-up reasons);
//! - PCR 5: the partition table of the disk (an image was just written to it), and
//!   whether the firmware's boot services were left;
//! - PCR 8, 9, 14: boot loaders and kernels of the installed system; what ours
//!   measures into 9 is in 4 and 11 already;
//! - 10 and 15 to 23 are not the firmware's.
//!
//! In PCR 4 the two action strings around a boot attempt are passed over, in a
//! policy as in a log: their number is that of the attempts, and a network that was
//! slow once must not quarantine a machine.

use std::collections::BTreeMap;

use model::attestation::{ExpectedEvent, Finding, PolicySpec, RefusalCode, Verdict};

use crate::digest::{Sha256Value, hex, sha256};
use crate::refusal::Refusal;

/// PCRs that are quoted at each attestation: all that firmware and boot loaders
/// write. More than are enforced, so that a policy can be widened without a new boot.
pub const DEFAULT_PCRS: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14];

/// PCRs that a learnt policy enforces; see the text at the head of this file.
const ENFORCED: &[u8] = &[0, 2, 4, 7, 11, 12, 13];

/// What firmware measures into PCR 4 around each boot attempt.
const ATTEMPTS: [&str; 2] =
    ["Calling EFI Application from Boot Option", "Returning from EFI Application from Boot Option"];

/// What to quote for a policy: [`DEFAULT_PCRS`] and those that the policy speaks of.
pub fn pcrs_to_quote(policy: &PolicySpec) -> Vec<u8> {
    let mut pcrs: Vec<u8> = DEFAULT_PCRS.iter().chain(policy.pcrs.keys()).copied().collect();
    pcrs.sort_unstable();
    pcrs.dedup();
    pcrs
}

/// The events to expect from now on, of a verdict on a machine that is as it should
/// be. Empty when the log was not proven by the quote: when the finding is a
/// refusal other than `PolicyMismatch`.
pub fn learn(verdict: &Verdict) -> BTreeMap<u8, Vec<ExpectedEvent>> {
    if let Finding::Refused { code, .. } = &verdict.finding
        && *code != RefusalCode::PolicyMismatch
    {
        return BTreeMap::new();
    }
    let zero = hex(&[0; 32]);
    ENFORCED
        .iter()
        .filter_map(|pcr| {
            let value = verdict.pcrs.get(pcr)?;
            let events = verdict.events.get(pcr).cloned().unwrap_or_default();
            // Extended behind the log's back: there is nothing to expect of it.
            let unlogged = events.is_empty() && *value != zero;
            (!unlogged).then_some((*pcr, events))
        })
        .collect()
}

/// Compares what was seen with what a policy expects. The refusal names the first
/// difference in each PCR that has one.
pub(crate) fn enforce(
    policy: &PolicySpec,
    values: &BTreeMap<u8, Sha256Value>,
    events: &BTreeMap<u8, Vec<ExpectedEvent>>,
) -> Result<(), Refusal> {
    if policy.pcrs.is_empty() {
        return Err(mismatch("the policy is enforced and expects nothing: learn it first"));
    }
    if events.is_empty() && policy.pcrs.values().any(|expected| !expected.is_empty()) {
        return Err(mismatch("the machine has no event log: there is nothing to compare"));
    }
    let differences: Vec<String> = policy
        .pcrs
        .iter()
        .filter_map(|(pcr, expected)| {
            let seen = events.get(pcr).map(Vec::as_slice).unwrap_or_default();
            difference(*pcr, expected, values.get(pcr), seen)
        })
        .collect();
    if differences.is_empty() { Ok(()) } else { Err(mismatch(differences.join("; "))) }
}

/// The first difference in one PCR.
fn difference(
    pcr: u8,
    expected: &[ExpectedEvent],
    value: Option<&Sha256Value>,
    seen: &[ExpectedEvent],
) -> Option<String> {
    match value {
        None => Some(format!("the policy speaks of PCR {pcr}, which was not quoted")),
        Some(value) if seen.is_empty() && *value != [0; 32] => {
            Some(format!("PCR {pcr} was extended, but the event log does not say with what"))
        }
        Some(_) => compare(pcr, expected, seen),
    }
}

fn compare(pcr: u8, expected: &[ExpectedEvent], seen: &[ExpectedEvent]) -> Option<String> {
    let attempts = ATTEMPTS.map(|text| hex(&sha256(&[text.as_bytes()])));
    let counts = |event: &&ExpectedEvent| pcr != 4 || !attempts.contains(&event.digest);
    let mut expected = expected.iter().filter(counts);
    let mut seen = seen.iter().filter(counts);
    let mut number = 0;
    loop {
        number += 1;
        let difference = match (expected.next(), seen.next()) {
            (None, None) => return None,
            (Some(wanted), Some(found)) if same(wanted, found) => continue,
            (Some(wanted), Some(found)) => {
                format!("expected {}, seen {}", shown(wanted), shown(found))
            }
            (Some(wanted), None) => format!("expected {}, but the log ends", shown(wanted)),
            (None, Some(found)) => format!("expected no more events, seen {}", shown(found)),
        };
        return Some(format!("PCR {pcr}, event {number}: {difference}"));
    }
}

/// The same measurement. The text beside it is for people and is not compared.
fn same(wanted: &ExpectedEvent, found: &ExpectedEvent) -> bool {
    wanted.kind == found.kind && wanted.digest.eq_ignore_ascii_case(&found.digest)
}

fn shown(event: &ExpectedEvent) -> String {
    format!("{} “{}” with digest {}", event.kind, event.what, event.digest)
}

fn mismatch(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::PolicyMismatch, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(what: &str) -> ExpectedEvent {
        let digest = hex(&sha256(&[what.as_bytes()]));
        ExpectedEvent { kind: "EV_EFI_ACTION".into(), what: what.into(), digest }
    }

    fn message(pcr: u8, expected: &[ExpectedEvent], seen: &[ExpectedEvent]) -> String {
        compare(pcr, expected, seen).unwrap_or_else(|| "same".into())
    }

    #[test]
    fn a_difference_is_named() {
        let (a, b) = (event("a"), event("b"));
        let both = [a.clone(), b.clone()];
        assert_eq!(message(0, &both, &both), "same");
        assert!(
            message(0, &both, &both[..1]).starts_with("PCR 0, event 2: expected EV_EFI_ACTION “b”")
        );
        assert!(message(0, &both[..1], &both).contains("event 2: expected no more events, seen"));
        let swapped = message(7, &both, &[b.clone(), a.clone()]);
        assert!(swapped.contains("PCR 7, event 1: expected EV_EFI_ACTION “a”"), "{swapped}");
        let other_kind = ExpectedEvent { kind: "EV_ACTION".into(), ..both[0].clone() };
        assert!(message(7, &both[..1], &[other_kind]).contains("seen EV_ACTION “a”"));
        let other_words = ExpectedEvent { what: "c".into(), ..both[0].clone() };
        assert_eq!(message(7, &both[..1], &[other_words]), "same");
    }

    #[test]
    fn a_second_boot_attempt_is_no_difference_in_pcr_4_alone() {
        let once = [event(ATTEMPTS[0]), event("image")];
        let twice = [event(ATTEMPTS[0]), event(ATTEMPTS[1]), event(ATTEMPTS[0]), event("image")];
        assert_eq!(message(4, &once, &twice), "same");
        assert_eq!(message(4, &twice, &once), "same");
        assert_ne!(message(5, &once, &twice), "same");
    }

    #[test]
    fn enforcing_nothing_is_refused() {
        let refused = enforce(&PolicySpec::default(), &BTreeMap::new(), &BTreeMap::new());
        assert!(refused.is_err_and(|refusal| refusal.code == RefusalCode::PolicyMismatch));
    }

    #[test]
    fn a_pcr_that_was_extended_in_secret_is_refused() {
        let policy = PolicySpec { pcrs: [(12, vec![])].into(), ..PolicySpec::default() };
        let check = |value| enforce(&policy, &[(12, value)].into(), &BTreeMap::new());
        assert_eq!(check([0; 32]), Ok(()));
        assert!(check([1; 32]).is_err_and(|refusal| refusal.message.contains("does not say")));
        assert!(enforce(&policy, &BTreeMap::new(), &BTreeMap::new()).is_err());
    }

    #[test]
    fn what_a_policy_asks_is_quoted() {
        let policy =
            PolicySpec { pcrs: [(16, vec![]), (0, vec![])].into(), ..PolicySpec::default() };
        assert_eq!(pcrs_to_quote(&policy), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 16]);
    }
}
