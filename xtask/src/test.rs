//! The tests, by area, after installing what they need.

use anyhow::{Result, bail};

use crate::run::{command, run, top};
use crate::{packages, tidy};

/// Components in Python that the tests drive.
const PYTHON: &[&str] = &["sushy-tools", "redfish_service_validator", "virt-firmware"];

/// Clients in Python that drive the gateway. Debian 12 has older ones, which know neither
/// all checksums nor conditional writes.
const CLIENTS: &[&str] = &["boto3", "awscli", "awscrt"];

/// Runs the tests of an area.
pub fn test(arguments: &[String]) -> Result<()> {
    let area = arguments.first().map_or("all", String::as_str);
    let crates: &[&str] = match area {
        "all" => &[],
        "units" => &["model", "world", "machine", "record"],
        "record" => &["record"],
        "control" => &["control", "client", "cli"],
        "machines" => &["machine", "bmc", "netboot", "attest", "deploy", "lab"],
        "disk" => &["volume", "disk", "world", "lab", "program"],
        "gateway" => &["object", "gateway", "world", "program"],
        other => {
            bail!("no area {other}: all, units, record, control, machines, disk, gateway")
        }
    };
    let python = if area == "gateway" { setup_gateway()? } else { setup()? };
    if area == "all" {
        lint()?;
        if has_nextest() {
            // The examples in the documentation, which nextest leaves out.
            run(command("cargo", &["test", "--workspace", "--doc", "--locked", "--quiet"]))?;
        }
    }
    let mut test = nextest_or_test();
    if crates.is_empty() {
        test.arg("--workspace");
    }
    for name in crates {
        match *name {
            "program" => test.args(["-p", "bedplate"]),
            name => test.args(["-p", &format!("bedplate-{name}")]),
        };
    }
    if area == "disk" && has_nextest() {
        // Of the lab and of the program only what is about disks.
        test.args(["-E", "not (package(bedplate-lab) + package(bedplate)) + test(/disk/)"]);
    }
    if area == "gateway" && has_nextest() {
        // Of the program only what is about objects.
        test.args(["-E", "not package(bedplate) + (package(bedplate) & binary(gateway))"]);
    }
    test.env("BEDPLATE_PYTHON", python.join("bin/python"));
    test.env("BEDPLATE_SUSHY_EMULATOR", python.join("bin/sushy-emulator"));
    test.env("BEDPLATE_RF_VALIDATOR", python.join("bin/rf_service_validator"));
    test.env("BEDPLATE_VIRT_FW_VARS", python.join("bin/virt-fw-vars"));
    test.env("BEDPLATE_REDFISH_SCHEMA", schema()?);
    run(test)
}

/// Installs what the tests need; tells where the programs in Python are.
pub fn setup() -> Result<std::path::PathBuf> {
    packages::ensure(packages::BUILD)?;
    packages::ensure(packages::RACK)?;
    packages::ensure(packages::TEST)?;
    packages::ensure(packages::DISK)?;
    setup_gateway()?;
    packages::python(PYTHON)
}

/// The same for the gateway alone, which needs no virtual machines.
fn setup_gateway() -> Result<std::path::PathBuf> {
    packages::ensure(packages::BUILD)?;
    packages::ensure(packages::OBJECTS)?;
    packages::python(CLIENTS)
}

fn has_nextest() -> bool {
    let nextest = std::process::Command::new("cargo").args(["nextest", "--version"]).output();
    nextest.is_ok_and(|output| output.status.success())
}

/// cargo nextest where it is installed, cargo test otherwise.
fn nextest_or_test() -> std::process::Command {
    match has_nextest() {
        true => command("cargo", &["nextest", "run", "--locked", "--no-fail-fast"]),
        false => command("cargo", &["test", "--locked", "--no-fail-fast"]),
    }
}

/// The CSDL files of Redfish, which the crate `nv-redfish-schema` carries.
fn schema() -> Result<std::path::PathBuf> {
    let metadata = crate::run::output(command(
        "cargo",
        &["metadata", "--format-version", "1", "--locked", "--all-features"],
    ))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let schema = packages.iter().find(|package| package["name"] == "nv-redfish-schema");
    let manifest = schema.and_then(|package| package["manifest_path"].as_str()).unwrap_or_default();
    let folder = std::path::Path::new(manifest).parent().unwrap_or(std::path::Path::new(""));
    Ok(folder.join("redfish-csdl/csdl"))
}

/// Everything that is checked without running it.
pub fn lint() -> Result<()> {
    run(command("cargo", &["fmt", "--all", "--check"]))?;
    tidy::tidy()?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    run(command("cargo", &clippy))?;
    if !packages::has("cargo-deny") {
        eprintln!("==> cargo-deny is missing; building it takes some minutes, once");
        run(command("cargo", &["install", "--locked", "cargo-deny"]))?;
    }
    // What is doubled is named; by whom each is needed would fill screens.
    const DENY: [&str; 7] =
        ["deny", "--locked", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
    run(command("cargo", &DENY))
}

/// Writes the OpenAPI document anew.
pub fn openapi() -> Result<()> {
    let text = crate::run::output(command(
        "cargo",
        &["run", "--quiet", "-p", "bedplate-control", "--example", "openapi"],
    ))?;
    std::fs::write(top().join("docs/openapi.json"), text)?;
    eprintln!("docs/openapi.json is as the code says now");
    Ok(())
}
