//! `bedplate doctor`: find what is wrong here, and say how to mend it.
//!
//! What is looked at is gathered in [`gather`]; what it means is decided in
//! [`checks`] by pure functions. Ends with 1 when something is broken.

pub mod certificate;
pub mod checks;
pub mod disk;
pub mod gateway;
pub mod gather;
mod look_at_gateway;

use clap::Args;
use serde::Serialize;
use std::io::Write as _;

use crate::human::{clean, wrap};
use crate::terminal::{Paint, Terminal, Tone};
use crate::{Exit, Failure, Global, Output};

/// Nothing to say.
#[derive(Args, Debug)]
#[command(
    after_help = "Ends with 1 when a check fails; warnings alone are 0.\n\nExamples:\n  bedplate doctor\n  bedplate doctor --output json"
)]
pub struct Arguments {}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Well.
    Ok,
    /// To be looked at.
    Warn,
    /// Broken.
    Fail,
}

/// One line of the doctor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at; stable.
    pub name: &'static str,
    /// How it came out.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// How to mend it; empty where nothing is to be mended.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fix: String,
}

impl Check {
    /// All is well.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, found: found.into(), fix: String::new() }
    }
    /// To be looked at.
    pub fn warn(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, level: Level::Warn, found: found.into(), fix: fix.into() }
    }
    /// Broken.
    pub fn fail(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, level: Level::Fail, found: found.into(), fix: fix.into() }
    }
}

/// Looks and reports.
pub async fn run(global: &Global, terminal: &Terminal, _: Arguments) -> Result<(), Failure> {
    let mut checks = gather::of_control_plane(global).await;
    let directory = global.directory();
    let place = directory.clone();
    let disks = tokio::task::spawn_blocking(move || gather::of_disk_service(&place));
    checks.extend(disks.await.expect("looking does not panic"));
    checks.extend(look_at_gateway::all(global).await);
    checks.extend(gather::of_this_host(&directory));
    let text = match global.output {
        Output::Json => {
            let text = serde_json::to_string_pretty(&checks).expect("checks are JSON");
            format!("{text}\n")
        }
        Output::Table => report(&checks, terminal.width, terminal.paint),
    };
    terminal.out.clone().write_all(text.as_bytes())?;
    match checks.iter().any(|check| check.level == Level::Fail) {
        true => Err(Failure { exit: Exit::Problem, ..Failure::new("", "") }),
        false => Ok(()),
    }
}

/// The checks for people.
pub fn report(checks: &[Check], width: Option<usize>, paint: Paint) -> String {
    const BEFORE: usize = 24;
    let room = width.unwrap_or(100).max(BEFORE + 20) - BEFORE;
    let mut text = String::new();
    for check in checks {
        let (tone, mark) = match check.level {
            Level::Ok => (Tone::Good, "ok"),
            Level::Warn => (Tone::Warn, "warn"),
            Level::Fail => (Tone::Bad, "FAIL"),
        };
        let mark = paint.put(tone, &format!("{mark:<5}"));
        for (place, line) in wrap(&clean(&check.found), room).iter().enumerate() {
            match place {
                0 => text.push_str(&format!("{mark} {:<17} {line}\n", check.name)),
                _ => text.push_str(&format!("{:BEFORE$}{line}\n", "")),
            }
        }
        for line in check.fix.lines() {
            for (place, line) in wrap(&clean(line), room.saturating_sub(2)).iter().enumerate() {
                let arrow = if place == 0 { "→" } else { " " };
                let line = paint.put(Tone::Bold, line);
                text.push_str(&format!("{:BEFORE$}{arrow} {line}\n", ""));
            }
        }
    }
    let of = |level: Level| checks.iter().filter(|check| check.level == level).count();
    let (warn, fail) = (of(Level::Warn), of(Level::Fail));
    text.push_str(&format!("\n{} ok, {warn} to be looked at, {fail} broken\n", of(Level::Ok)));
    text
}
