//! The row of instructions: what each layer adds to a request, counted by callgrind.
//!
//! The same on every machine and every day, so a change that costs more is seen when no
//! clock would show it. Valgrind knows neither VAES nor AVX-512: what is encrypted is
//! counted with the kernel that it can run, which is said.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Bench;
use crate::bench::report::Report;
use crate::packages;

/// Figures, with what is counted for each.
const LAYERS: [(&str, &[&str]); 9] = [
    ("instructions_null", &["--layer", "null"]),
    ("instructions_limits", &["--layer", "limits"]),
    ("instructions_limits_packed", &["--layer", "limits", "--packed"]),
    ("instructions_raw_read", &["--layer", "raw"]),
    ("instructions_raw_write", &["--layer", "raw", "--write"]),
    ("instructions_thin_read", &["--layer", "thin"]),
    ("instructions_thin_write", &["--layer", "thin", "--write"]),
    ("instructions_encrypted_read", &["--layer", "encrypted"]),
    ("instructions_encrypted_write", &["--layer", "encrypted", "--write"]),
];

/// All of them.
pub fn instructions(bench: &Bench, report: &mut Report) -> Result<()> {
    packages::ensure(&["valgrind"])?;
    let mut kernel = String::new();
    for (key, arguments) in LAYERS {
        let (each, used) = count(&bench.program, arguments)?;
        report.figure(key, each);
        kernel = used;
    }
    report.say(&format!("instructions for a request of 4 KiB, depth 32; kernel {kernel}"));
    Ok(())
}

/// Instructions for each request, and the kernel for encryption and checksums.
fn count(program: &Path, arguments: &[&str]) -> Result<(f64, String)> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.args(["--toggle-collect=*serve_batch*"]).arg(program);
    command.args(["lab", "disk-instructions"]).args(arguments);
    let output = command.output().context("valgrind could not be started")?;
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{} under valgrind failed: {}", arguments.join(" "), told.trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line: Value = serde_json::from_str(text.lines().last().unwrap_or_default())
        .with_context(|| format!("the program said: {text}"))?;
    let requests = line["requests"].as_f64().context("no requests are told")?;
    let kernel = line["kernel"].as_str().unwrap_or("unknown").to_owned();
    let collected = told.lines().find_map(|line| line.split("Collected :").nth(1));
    let collected: f64 = collected
        .and_then(|number| number.trim().parse().ok())
        .with_context(|| format!("callgrind told no count: {}", told.trim()))?;
    if collected < requests {
        bail!("callgrind did not find the function that is counted");
    }
    Ok((collected / requests, kernel))
}
