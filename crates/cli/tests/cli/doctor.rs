//! What the doctor's findings mean.

use cli::Failure;
use cli::doctor::certificate::{Life, place};
use cli::doctor::checks::{
    certificate, clock, firmware, kvm, leader, machines, privileges, programs, reachable, room,
    token, version,
};
use cli::doctor::{Check, Level, report};
use cli::terminal::Paint;
use model::Bytes;
use model::api::{Caller, Health};
use model::machine::Lifecycle;
use model::project::Role;
use std::io::ErrorKind;

use crate::samples::{at, machine, quarantined};

fn health(status: &str) -> Health {
    Health {
        status: status.to_owned(),
        version: "1".to_owned(),
        leader: true,
        revision: 1,
        now: at(0),
    }
}

fn life(from: i64, to: i64) -> Life {
    Life { not_before: at(from), not_after: at(to) }
}

#[test]
fn each_finding_has_its_level() {
    let down = Failure::new("unreachable", "It does not answer").next("bedplate up");
    let caller = Caller { name: "ada".to_owned(), role: Role::Admin, project: None };
    let day = 86_400;
    let levels = [
        (reachable("u", &Ok(health("ok"))), Level::Ok),
        (reachable("u", &Ok(health("ill"))), Level::Fail),
        (reachable("u", &Err(down.clone())), Level::Fail),
        (version("1", "1"), Level::Ok),
        (version("1", "2"), Level::Warn),
        (leader(true), Level::Ok),
        (leader(false), Level::Warn),
        (clock(at(0), at(1)), Level::Ok),
        (clock(at(60), at(0)), Level::Warn),
        (clock(at(0), at(600)), Level::Fail),
        (certificate("c", life(0, day), at(day / 2), "f"), Level::Ok),
        (certificate("c", life(0, day), at(day - 3_600), "f"), Level::Warn),
        (certificate("c", life(0, 3_650 * day), at(3_500 * day), "f"), Level::Ok),
        (certificate("c", life(0, 3_650 * day), at(3_600 * day), "f"), Level::Warn),
        (certificate("c", life(0, day), at(day), "f"), Level::Fail),
        (token(&Ok(caller)), Level::Ok),
        (token(&Err(down)), Level::Fail),
        (room(Bytes::gib(50), Bytes::gib(100), "/x"), Level::Ok),
        (room(Bytes::gib(5), Bytes::gib(100), "/x"), Level::Warn),
        (room(Bytes::mib(5), Bytes::gib(100), "/x"), Level::Fail),
        (programs(&[]), Level::Ok),
        (programs(&[("swtpm", "swtpm")]), Level::Warn),
        (kvm(&Ok(())), Level::Ok),
        (kvm(&Err(ErrorKind::NotFound)), Level::Warn),
        (kvm(&Err(ErrorKind::PermissionDenied)), Level::Warn),
        (privileges(true, 1 << 12), Level::Ok),
        (privileges(true, 0), Level::Warn),
        (privileges(false, 0), Level::Warn),
        (firmware(Some("/x")), Level::Ok),
        (firmware(None), Level::Warn),
    ];
    for (check, level) in levels {
        assert_eq!(check.level, level, "{check:?}");
        assert_eq!(
            check.fix.is_empty(),
            level == Level::Ok,
            "a fix where one is needed: {check:?}"
        );
    }
}

#[test]
fn machines_that_wait_are_named_with_their_next_step() {
    let well = [machine("m1", Lifecycle::Active), machine("m2", Lifecycle::Available)];
    let found = machines(&well);
    assert_eq!(found[0].found, "2 known, 1 active, none needs attention");
    let many: Vec<_> = (1..=8).map(|number| quarantined(&format!("m{number}"))).collect();
    let found = machines(&many);
    assert_eq!(found.len(), 6);
    assert!(found[0].found.starts_with("m1 is quarantined, bmc-unreachable: "));
    assert!(found[0].fix.ends_with("bedplate operation retry 3f9c1a2b."), "{}", found[0].fix);
    assert_eq!(found[5].found, "3 more need attention");
}

#[test]
fn one_command_installs_what_is_missing() {
    let missing = [
        ("swtpm", "swtpm"),
        ("swtpm_setup", "swtpm-tools"),
        ("mcopy", "mtools"),
        ("mmd", "mtools"),
    ];
    assert_eq!(programs(&missing).fix, "apt-get install mtools swtpm swtpm-tools");
}

#[test]
fn the_report_fits_and_counts() {
    let checks = [Check::ok("a", "well"), Check::fail("b", "word ".repeat(30), "do this")];
    let text = report(&checks, Some(60), Paint::plain());
    assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    assert!(text.starts_with("ok    a                 well\nFAIL  b"), "{text}");
    assert!(text.contains("→ do this\n"), "{text}");
    assert!(text.ends_with("1 ok, 0 to be looked at, 1 broken\n"), "{text}");
}

#[test]
fn addresses_are_taken_apart() {
    let host = |url: &str| place(url).map(|(host, port)| format!("{host} {port}"));
    assert_eq!(host("https://a.example:7443/").as_deref(), Some("a.example 7443"));
    assert_eq!(host("https://a.example").as_deref(), Some("a.example 443"));
    assert_eq!(host("https://[::1]:1").as_deref(), Some("::1 1"));
    for nothing in ["http://a:1", "https://a:x", "https://[::1:7", ""] {
        assert_eq!(host(nothing), None, "{nothing}");
    }
}
