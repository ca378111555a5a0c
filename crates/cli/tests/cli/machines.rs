//! The operator's page says what the code does.

use machine::ladder;
use model::machine::{Lifecycle, ReasonCode, StepKind};
use model::verbs::VERBS;

const PAGE: &str = include_str!("../../../../docs/machines.md");

/// Every code of a reason. The match makes a new one impossible to forget.
fn codes() -> Vec<ReasonCode> {
    use ReasonCode::*;
    let all = vec![
        Requested,
        BmcUnreachable,
        BmcUnauthorised,
        BmcUnfit,
        NoBoot,
        NoAgent,
        IdentityChanged,
        AttestationFailed,
        NoTpm,
        HardwareFailed,
        ImageFailed,
        NoSystem,
        SanitiseFailed,
    ];
    for code in &all {
        match code {
            Requested | BmcUnreachable | BmcUnauthorised | BmcUnfit | NoBoot | NoAgent
            | IdentityChanged | AttestationFailed | NoTpm | HardwareFailed | ImageFailed
            | NoSystem | SanitiseFailed => {}
        }
    }
    all
}

fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.map(|row| row.split(" | ").map(str::trim).collect())
}

#[test]
fn every_reason_has_its_row_with_a_next_step() {
    for code in codes() {
        let name = format!("`{}`", code.name());
        let row = rows().find(|row| row[0] == name);
        let row = row.unwrap_or_else(|| panic!("{name} is not in docs/machines.md"));
        assert!(row.len() == 3 && row[2].len() > 10, "{name} has no next step: {row:?}");
    }
}

#[test]
fn every_state_is_described() {
    for state in Lifecycle::ALL {
        let name = format!("`{state}`");
        assert!(rows().any(|row| row[0] == name), "{name} is not in docs/machines.md");
    }
}

#[test]
fn every_ladder_is_the_one_of_the_code() {
    for step in StepKind::ALL {
        let name = format!("`{step}`");
        let rungs: Vec<&str> = ladder::rungs(step).iter().map(|rung| rung.name()).collect();
        let row = rows().find(|row| row[0] == name && row.len() == 4);
        let row = row.unwrap_or_else(|| panic!("{name} has no ladder in docs/machines.md"));
        assert_eq!(row[3], rungs.join(", "), "{name}");
    }
}

#[test]
fn every_deadline_is_the_one_of_the_code() {
    let settings = machine::Settings::default();
    for step in StepKind::ALL {
        let name = format!("`{step}`");
        let row = rows().find(|row| row[0] == name && row.len() == 4).unwrap();
        let patience = settings.patience(step).micros() / 1_000_000;
        assert!(row[2].starts_with(&format!("{patience} s")), "{name}: {} and {patience}", row[2]);
    }
}

#[test]
fn every_command_of_the_page_is_a_verb() {
    use clap::{CommandFactory as _, Parser as _};
    let mut tree = cli::Program::command();
    tree.build();
    let roles = ["up", "lab", "--help"];
    let mut seen = 0;
    for line in PAGE.lines().map(|line| line.trim().trim_start_matches("$ ")) {
        let Some(rest) = line.strip_prefix("bedplate ") else { continue };
        if roles.iter().any(|role| rest.starts_with(role)) {
            continue;
        }
        let line = line.split(['#', '>', '|']).next().unwrap().trim();
        let parsed = cli::Program::try_parse_from(line.split_whitespace());
        assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        seen += 1;
    }
    assert!(seen > 15, "{seen} commands");
    assert!(VERBS.len() > 30);
}

/// The three commands of the page, run as they stand there.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_checked_as_the_page_says() {
    for program in ["jq", "openssl"] {
        if world::process::find(program).is_none() {
            println!("skipped: {program} is not installed (apt-get install {program})");
            return;
        }
    }
    let scratch = crate::samples::Scratch::new("openssl");
    let server = crate::against_control::control(&scratch.0).await;
    let mut certificate = crate::samples::certificate();
    server.plane.authority.sign_certificate(&mut certificate).unwrap();
    server.stop().await;
    std::fs::copy(scratch.0.join("ca/sanitise.pub"), scratch.0.join("sanitise.pub")).unwrap();
    let write = |certificate: &model::machine::SanitiseCertificate| {
        let text = serde_json::to_string_pretty(certificate).unwrap();
        std::fs::write(scratch.0.join("m1.json"), text).unwrap();
    };
    let script: Vec<&str> = PAGE
        .lines()
        .filter(|line| line.starts_with("jq ") || line.starts_with("openssl dgst"))
        .collect();
    assert_eq!(script.len(), 3, "{script:?}");
    let check = || {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-ec", &script.join("\n")]).current_dir(&scratch.0);
        let output = shell.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    write(&certificate);
    assert_eq!(check(), (true, "Verified OK\n".to_owned()));
    certificate.disks[0].residue = model::Bytes(1);
    write(&certificate);
    assert!(!check().0, "a changed word is noticed");
}
