//! Pages, and the console.

use cli::machine::console::Harmless;
use cli::machine::{show, words};
use cli::operation;
use cli::terminal::Paint;
use model::api::OperationDetail;
use model::attestation::{Finding, RefusalCode, Verdict};
use model::machine::{Lifecycle, StepKind, SystemPresence};
use model::operation::{OperationKind, OperationState};
use proptest::prelude::*;

use crate::samples::{at, machine, quarantined, reason, step, step_state};

#[test]
fn a_quarantined_machine_says_why_and_what_to_do() {
    let text = show::page(&quarantined("m1"), at(60), Some(80), Paint::plain());
    for part in [
        "state         quarantined",
        "since         2025-10-09 08:53:20 UTC (60 s ago)",
        "reason        bmc-unreachable",
        "evidence      try 1 (first): refused",
        "                try 2 (again): refused",
        "settle        bedplate operation retry|skip|abandon 3f9c1a2b",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_moving_machine_says_what_it_does_and_what_happens_otherwise() {
    let mut machine = machine("m1", Lifecycle::Attesting);
    let mut state = step_state(2, StepKind::Restart, 0, 900);
    state.attempt = 2;
    state.faults = vec!["try 1 (first): nothing was seen".to_owned()];
    machine.status.step = Some(state);
    let text = show::page(&machine, at(60), None, Paint::plain());
    for part in [
        "step          restart, try 2",
        "otherwise     given up in 14 min without a sign of progress",
        "faults so far try 1 (first): nothing was seen",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_verdict_and_the_way_in_are_shown() {
    let mut machine = machine("m1", Lifecycle::Active);
    let code = RefusalCode::PolicyMismatch;
    machine.status.attestation = Some(Verdict {
        at: at(0),
        nonce: String::new(),
        policy: "default@3".to_owned(),
        finding: Finding::Refused { code, message: "PCR 4, event 2".to_owned() },
        pcrs: Default::default(),
        events: Default::default(),
    });
    machine.spec.deployment = Some(model::machine::Deployment {
        project: "web".to_owned(),
        image: "debian-12".to_owned(),
        hostname: "web-1".to_owned(),
        ssh_keys: Vec::new(),
        user_data: None,
        disk: None,
        kexec: false,
    });
    machine.status.system =
        Some(SystemPresence { address: Some("10.0.0.5".to_owned()), ..SystemPresence::default() });
    let text = show::page(&machine, at(60), Some(100), Paint::plain());
    assert!(text.contains("verdict       refused, policy-mismatch: PCR 4, event 2"), "{text}");
    assert!(text.contains("log in        ssh USER@10.0.0.5"), "{text}");
}

#[test]
fn the_engines_words_are_filled_in() {
    let mut reason = reason();
    reason.next =
        "Enrol it: bedplate machine enroll NAME --bmc URL. (or NAME), then retry ID.".to_owned();
    let text = words::next(&reason, "m1", Some("https://b"), Some("1a2b"));
    let expected =
        "Enrol it: bedplate machine enroll m1 --bmc https://b. (or m1), then retry 1a2b.";
    assert_eq!(text, expected);
    assert!(words::next(&reason, "m1", None, None).contains("--bmc URL. "));
}

#[test]
fn an_operation_is_shown_with_its_journal() {
    let detail = OperationDetail {
        operation: operation_needing_attention(),
        steps: vec![
            step(0, StepKind::PointAtImage, 0, Some(3)),
            step(1, StepKind::Restart, 3, None),
        ],
    };
    let text = operation::show::page(&detail, "m1", at(60), Some(100), Paint::plain());
    for part in [
        "enroll of m1",
        "✓ deploying   point-at-image",
        "… deploying   restart",
        "reason        bmc-unreachable",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

fn operation_needing_attention() -> model::operation::Operation {
    crate::samples::operation(OperationKind::Enroll, OperationState::NeedsAttention)
}

#[test]
fn a_console_can_only_write_text() {
    let cases: [(&[u8], &[u8]); 6] = [
        (b"plain\r\n\ttext\x08", b"plain\r\n\ttext\x08"),
        (b"\x1b[31mred\x1b[0m\x1b[2J", b"red"),
        (b"\x1b]0;title\x07after", b"after"),
        (b"\x1bP1$r\x1b\\after\x00\x7f", b"after"),
        (b"\x1b(Bx\x1b=y", b"xy"),
        (b"\x1b[31\nnext line", b"\nnext line"),
    ];
    for (given, expected) in cases {
        let kept = Harmless::default().take(given);
        assert_eq!(kept, expected, "{:?}", String::from_utf8_lossy(given));
    }
}

proptest! {
    /// Wherever a stream is cut into pieces.
    #[test]
    fn a_console_is_harmless_in_pieces(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200) {
        let cut = cut.min(bytes.len());
        let whole = Harmless::default().take(&bytes);
        let mut harmless = Harmless::default();
        let mut pieces = harmless.take(&bytes[..cut]);
        pieces.extend(harmless.take(&bytes[cut..]));
        prop_assert!(!whole.contains(&0x1b));
        prop_assert_eq!(whole, pieces);
    }
}

#[test]
fn a_certificate_reads_like_one() {
    let certificate = crate::samples::certificate();
    let text = cli::machine::certificate::page(&certificate, at(100), None, Paint::plain());
    let disk = "nvme0n1 3.5 TiB Model D1: crypto-erase, 4.0 MiB read back, 0 B of residue";
    assert!(text.contains(disk) && text.contains("signature     none"), "{text}");
}
