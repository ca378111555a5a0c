//! The parser on logs of real firmware, with the kernel and `tpm2_eventlog` as judges.

use std::process::Command;

use attest::eventlog::{Backing, EventKind, EventLog};

use crate::evidence::{BOOT, OTHER_COMMAND_LINE};
use crate::swtpm::{installed, run};

const VALUES: &str = include_str!("../fixtures/uki-http-boot.pcrs");
const OTHER_VALUES: &str = include_str!("../fixtures/uki-other-command-line.pcrs");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `kind | what | backing` of the events of a PCR.
fn lines(log: &EventLog, pcr: u8) -> Vec<String> {
    log.of(pcr)
        .map(|event| format!("{} | {} | {:?}", event.kind, event.what, event.backing))
        .collect()
}

#[test]
fn replay_gives_what_the_tpm_held() {
    for (log, values) in [(BOOT, VALUES), (OTHER_COMMAND_LINE, OTHER_VALUES)] {
        let replayed = EventLog::parse(log).expect("a real log").replay();
        assert_eq!(replayed.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7, 9, 11]);
        for line in values.lines() {
            let (pcr, value) = line.split_once(' ').expect("two words");
            if let Some(led_to) = replayed.get(&pcr.parse().expect("a number")) {
                assert_eq!(hex(led_to), value, "PCR {pcr}");
            }
        }
    }
}

#[test]
fn replay_is_that_of_tpm2_eventlog() {
    if !installed(&[("tpm2_eventlog", "tpm2-tools")]) {
        return;
    }
    for name in ["uki-http-boot.log", "uki-other-command-line.log"] {
        let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        let told = run(Command::new("tpm2_eventlog").arg(&path)).expect("tpm2_eventlog reads it");
        let log = EventLog::parse(&std::fs::read(&path).expect("a fixture")).expect("a real log");
        for (pcr, value) in log.replay() {
            let line = format!("{pcr:<2} : 0x{}", hex(&value));
            assert!(told.contains(&line), "tpm2_eventlog does not say “{line}”");
        }
    }
}

#[test]
fn events_are_told_in_words() {
    let log = EventLog::parse(BOOT).expect("a real log");
    assert_eq!(
        lines(&log, 7),
        [
            "EV_EFI_VARIABLE_DRIVER_CONFIG | variable SecureBoot = 01 | Proven",
            "EV_EFI_VARIABLE_DRIVER_CONFIG | variable PK (841 bytes) | Proven",
            "EV_EFI_VARIABLE_DRIVER_CONFIG | variable KEK (841 bytes) | Proven",
            "EV_EFI_VARIABLE_DRIVER_CONFIG | variable db (841 bytes) | Proven",
            "EV_EFI_VARIABLE_DRIVER_CONFIG | variable dbx (76 bytes) | Proven",
            "EV_SEPARATOR | separator | Proven",
            "EV_EFI_VARIABLE_AUTHORITY | authority db: CN=attest fixture db | Proven",
        ]
    );
    assert_eq!(
        lines(&log, 11),
        [
            "EV_IPL | name of section .linux | Proven",
            "EV_IPL | content of section .linux | Opaque",
            "EV_IPL | name of section .osrel | Proven",
            "EV_IPL | content of section .osrel | Opaque",
            "EV_IPL | name of section .cmdline | Proven",
            "EV_IPL | content of section .cmdline | Opaque",
            "EV_IPL | name of section .initrd | Proven",
            "EV_IPL | content of section .initrd | Opaque",
        ]
    );
    assert_eq!(
        lines(&log, 4),
        [
            "EV_EFI_ACTION | action: Calling EFI Application from Boot Option | Proven",
            "EV_SEPARATOR | separator | Proven",
            "EV_EFI_BOOT_SERVICES_APPLICATION | boot application from the network (HTTP) | Opaque",
        ]
    );
    assert_eq!(
        lines(&log, 0),
        [
            "EV_S_CRTM_VERSION | S-CRTM version of 2 bytes | Proven",
            "EV_EFI_PLATFORM_FIRMWARE_BLOB | firmware volume at 0x820000, 0xe0000 bytes | Opaque",
            "EV_EFI_PLATFORM_FIRMWARE_BLOB | firmware volume at 0x900000, 0xc00000 bytes | Opaque",
            "EV_SEPARATOR | separator | Proven",
        ]
    );
    assert_eq!(
        lines(&log, 1)[..2],
        [
            "EV_EFI_VARIABLE_BOOT | variable BootOrder (12 bytes) | Proven",
            "EV_EFI_VARIABLE_BOOT | variable Boot0000 (62 bytes) | Proven",
        ]
    );
    assert_eq!(
        lines(&log, 9),
        [
            "EV_EVENT_TAG | LOADED_IMAGE::LoadOptions | Opaque",
            "EV_EVENT_TAG | Linux initrd | Opaque",
        ]
    );
}

#[test]
fn no_firmware_here_lies_about_its_data() {
    let log = EventLog::parse(BOOT).expect("a real log");
    let lying = log.events.iter().find(|event| event.backing == Backing::Differs);
    assert_eq!(lying, None);
}

#[test]
fn pcr_0_starts_at_the_locality_that_the_log_tells() {
    let mut log = EventLog::parse(BOOT).expect("a real log");
    let plain = log.replay();
    log.startup_locality = 3;
    let shifted = log.replay();
    assert_ne!(plain[&0], shifted[&0]);
    assert_eq!(plain[&7], shifted[&7]);

    // EV_NO_ACTION in PCR 0: "StartupLocality", a zero, the locality; never extended.
    let mut bytes = BOOT.to_vec();
    bytes.extend_from_slice(&[0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0x0b, 0]);
    bytes.extend_from_slice(&[0; 32]);
    bytes.extend_from_slice(&[17, 0, 0, 0]);
    bytes.extend_from_slice(b"StartupLocality\0\x03");
    assert_eq!(EventLog::parse(&bytes).expect("one event more"), log);
}

#[test]
fn kinds_have_their_names() {
    assert_eq!(EventKind::EFI_VARIABLE_AUTHORITY.to_string(), "EV_EFI_VARIABLE_AUTHORITY");
    assert_eq!(EventKind(0x8000_0099).to_string(), "event type 0x80000099");
}
