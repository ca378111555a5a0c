//! The demo: from nothing to a wiped server. The program does it; this installs
//! and builds what it needs.

use std::process::Command;

use anyhow::Result;

use crate::packages;
use crate::run::{command, run, top};

/// Installs, builds, and runs `bedplate lab demo`.
pub fn demo(arguments: &[String]) -> Result<()> {
    packages::ensure(packages::BUILD)?;
    packages::ensure(packages::RACK)?;
    run(command("cargo", &["build", "--release", "--locked", "-p", "bedplate"]))?;
    agent()?;
    let mut demo = Command::new(top().join("target/release/bedplate"));
    // Kernel and system image are kept below, for the next time.
    demo.arg("--dir").arg(top().join("target/demo")).args(["lab", "demo"]).args(arguments);
    run(demo)
}

/// The agent of the boot image: one static file.
pub fn agent() -> Result<()> {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let build = ["build", "--release", "--locked", "-p", "bedplate-deploy", "--target", TARGET];
    let mut build = command("cargo", &build);
    build.env("RUSTFLAGS", "-C target-feature=+crt-static -C strip=symbols");
    run(build)?;
    let built = top().join("target").join(TARGET).join("release/bedplate-deploy");
    std::fs::copy(built, top().join("target/release/bedplate-deploy"))?;
    Ok(())
}
