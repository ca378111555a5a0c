//! What the standard rules make of recorded lines: each rule fires on what it is for, and
//! none on what machines say when they are well. Lines are as public reports show them, with
//! the names of machines taken out.

use model::Timestamp;

use super::{Partial, Rules, Source, Value};
use crate::repair::Symptom;

/// A recording: seconds, source, name, value, line.
type Line = (i64, Source, &'static str, f64, &'static str);

/// The symptoms that a recording comes to.
fn play(lines: &[Line]) -> Vec<(Symptom, String)> {
    let rules = Rules::standard();
    let mut partials = vec![Some(Partial::default()); rules.all().len()];
    let mut fired = Vec::new();
    for (second, source, name, value, text) in lines {
        let now = Timestamp::from_micros(second * 1_000_000);
        let value = Value { source: *source, name, value: *value, text };
        for (rule, partial) in rules.all().iter().zip(&mut partials) {
            let (fires, next) = rule.take(partial.take().unwrap_or_default(), now, &value);
            *partial = next;
            if fires {
                fired.push((rule.symptom, rule.name.clone()));
            }
        }
    }
    fired
}

fn kernel(second: i64, line: &'static str) -> Line {
    (second, Source::Kernel, "", 0.0, line)
}

fn only(lines: &[Line], rule: &str) {
    let fired: Vec<String> = play(lines).into_iter().map(|(_, name)| name).collect();
    assert_eq!(fired, [rule]);
}

#[test]
fn gpu_errors_are_told_apart_by_number() {
    let lines = [
        (
            "NVRM: Xid (PCI:0000:9b:00): 79, pid='<unknown>', GPU has fallen off the bus.",
            "gpu-fallen-off-the-bus",
        ),
        (
            "NVRM: Xid (PCI:0000:3b:00): 48, pid=2312, An uncorrectable double bit error (DBE) has been detected on GPU",
            "gpu-memory-uncorrectable",
        ),
        (
            "NVRM: Xid (PCI:0000:01:00): 63, pid=5212, Row Remapper: New row marked for remapping, reset gpu to activate.",
            "gpu-memory-remap",
        ),
        (
            "NVRM: Xid (PCI:0000:01:00): 64, Row Remapper: Failed to mark row for remapping",
            "gpu-memory-remap-failed",
        ),
        ("NVRM: Xid (PCI:0000:cb:00): 94, pid=9001, Contained: SM (0x1).", "gpu-memory-contained"),
        (
            "NVRM: Xid (PCI:0000:cb:00): 95, pid=9001, Uncontained: LTC TAG (0x2,0x0).",
            "gpu-memory-uncontained",
        ),
        (
            "NVRM: Xid (PCI:0000:4f:00): 119, pid=1443, Timeout waiting for RPC from GSP1! Expected function 76",
            "gpu-processor-timeout",
        ),
        (
            "NVRM: Xid (PCI:0000:4f:00): 120, GSP Error: Task 1 raised error code 0x5",
            "gpu-processor-error",
        ),
    ];
    for (line, rule) in lines {
        only(&[kernel(0, line)], rule);
    }
}

#[test]
fn what_programs_do_wrong_is_no_fault_of_the_machine() {
    let lines = [
        kernel(
            0,
            "NVRM: Xid (PCI:0000:9b:00): 13, pid=812, Graphics Exception: ESR 0x405840=0xa204a000",
        ),
        kernel(
            1,
            "NVRM: Xid (PCI:0000:9b:00): 31, pid=812, MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_0",
        ),
        kernel(2, "NVRM: Xid (PCI:0000:9b:00): 43, pid=812, Ch 00000010"),
        kernel(3, "mlx5_core 0000:0c:00.0 ens1f0np0: Link up"),
        kernel(4, "EDAC MC0: Giving out device to module skx_edac"),
        kernel(5, "nvme nvme3: Shutdown timeout set to 10 seconds"),
        kernel(6, "Out of memory: Killed process 4242 (python3) total-vm:81234kB"),
        (7, Source::Smart, "media_errors", 0.0, ""),
        (8, Source::Smart, "critical_warning", 0.0, ""),
        (9, Source::Sensor, "FAN3", 8_400.0, ""),
        (10, Source::Sensor, "CPU1 Temp", 71.0, ""),
        (11, Source::Link, "symbol_error_rate", 3.0, ""),
    ];
    assert_eq!(play(&lines), []);
}

#[test]
fn links_flap_within_minutes_or_not_at_all() {
    let down = "mlx5_core 0000:0c:00.0 ens1f0np0: Link down";
    only(&[kernel(0, down), kernel(200, down), kernel(590, down)], "link-flaps");
    assert_eq!(play(&[kernel(0, down), kernel(400, down), kernel(1_000, down)]), []);
    let errors = |second| (second, Source::Link, "port_1_symbol_error_rate", 5_000.0, "");
    only(&[errors(0), errors(300), errors(600)], "link-errors");
    only(
        &[kernel(
            0,
            "mlx5_core 0000:3b:00.0: poll_health:825: Fatal error, device health is compromised",
        )],
        "nic-firmware",
    );
}

#[test]
fn disks_say_when_they_fail() {
    let media = |second, value| (second, Source::Smart, "media_errors", value, "");
    only(&[media(0, 3.0), media(3_600, 9.0)], "disk-media-errors");
    only(&[(0, Source::Smart, "critical_warning", 4.0, "")], "disk-critical-warning");
    only(&[kernel(0, "nvme nvme2: Device not ready; aborting reset, CSTS=0x1")], "disk-gone");
    let down =
        kernel(0, "nvme nvme2: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0x10");
    let gone = "nvme nvme2: Removing after probe failure status: -19";
    only(&[down, kernel(40, gone)], "disk-controller-down");
    assert_eq!(play(&[down, kernel(4_000, gone)]), [], "too late to belong together");
}

#[test]
fn heat_needs_its_cause_first() {
    let fan = (0, Source::Sensor, "FAN4", 0.0, "");
    let hot = |second| (second, Source::Sensor, "Inlet Temp", 96.0, "");
    only(&[fan, hot(600)], "fan-then-heat");
    assert_eq!(play(&[hot(0), fan]), []);
    assert_eq!(play(&[fan, hot(4_000)]), []);
    let supply = (0, Source::EventLog, "", 0.0, "Power Supply #2 | Failure detected | Asserted");
    only(&[supply, hot(600)], "supply-then-heat");
    let gpu = |second| (second, Source::Gpu, "temperature", 95.0, "");
    only(&[gpu(0), gpu(60), gpu(120)], "gpu-hot");
}

#[test]
fn memory_complaints_and_controllers() {
    let corrected = "EDAC MC1: 1 CE memory read error on CPU_SrcID#1_MC#0_Chan#1_DIMM#0";
    let storm: Vec<Line> = (0..24).map(|minute| kernel(minute * 60, corrected)).collect();
    only(&storm, "memory-correctable-storm");
    assert_eq!(play(&storm[1..]), []);
    let complaint = |second, text| (second, Source::Complaint, "", 0.0, text);
    let differs = "worker 12: checksum of the step differs from its replicas";
    only(&[complaint(0, differs), complaint(7_200, differs)], "wrong-results");
    let slow = "rank 97 is slower than its peers by 38 %";
    only(&[complaint(0, slow), complaint(60, slow), complaint(120, slow)], "slow-steps");
    let hung = "NCCL watchdog: collective timed out after 600 s";
    let many: Vec<Line> = (0..5).map(|hour| complaint(hour * 3_600, hung)).collect();
    only(&many, "workloads-complain");
    only(&[(0, Source::Bmc, "silent_seconds", 320.0, "")], "controller-silent");
}

#[test]
fn every_rule_is_in_a_test_here() {
    let here = include_str!("recorded.rs");
    for rule in Rules::standard().all() {
        assert!(here.contains(&format!("\"{}\"", rule.name)), "{} has no recording", rule.name);
    }
}
