//! DMTF's Redfish service validator finds no error in our BMC.

use std::path::PathBuf;
use std::process::Command;

use bedplate_lab::BootStage;
use serde_json::json;

use crate::client::{Scratch, bench};

/// The validator, and the schemas that come with the crate `nv-redfish-schema`.
fn judge() -> Option<(PathBuf, PathBuf)> {
    let program = match std::env::var_os("BEDPLATE_RF_VALIDATOR") {
        Some(path) => Some(PathBuf::from(path)),
        None => world::process::find("rf_service_validator"),
    };
    let Some(program) = program else {
        println!(
            "skipped: rf_service_validator is not installed \
             (pip install redfish_service_validator, or set BEDPLATE_RF_VALIDATOR)"
        );
        return None;
    };
    let schemas = schemas();
    if schemas.is_none() {
        println!(
            "skipped: the crate nv-redfish-schema with the schemas is not in cargo's registry"
        );
    }
    Some((program, schemas?))
}

fn schemas() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let registries = std::fs::read_dir(home.join("registry/src")).ok()?.flatten();
    let mut found: Vec<PathBuf> = registries
        .filter_map(|registry| std::fs::read_dir(registry.path()).ok())
        .flat_map(|crates| crates.flatten())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("nv-redfish-schema-"))
        .map(|entry| entry.path().join("redfish-csdl/csdl"))
        .filter(|schemas| schemas.is_dir())
        .collect();
    found.sort();
    found.pop()
}

#[tokio::test(flavor = "multi_thread")]
async fn dmtf_finds_no_error() {
    let Some((program, schemas)) = judge() else { return };
    let bench = bench("lab-validator").await;
    // Something to be seen in the log.
    bench.client.reset("On").await;
    bench.client.await_power("On").await;
    bench.hardware.reach(BootStage::OSRunning);
    let session =
        json!({"UserName": bench.client.username, "Password": bench.client.password.expose()});
    let opened = bench.client.post("/redfish/v1/SessionService/Sessions", session).await;
    assert_eq!(opened.status(), 201);
    let reports = Scratch::new("lab-validator-reports");
    // The validator writes beside its schemas, so it gets a copy.
    let copy = reports.0.join("schemas");
    std::fs::create_dir_all(&copy).unwrap();
    for schema in std::fs::read_dir(schemas).unwrap().flatten() {
        std::fs::copy(schema.path(), copy.join(schema.file_name())).unwrap();
    }
    let mut command = Command::new(program);
    command.args(["--ip", &bench.client.base, "-u", &bench.client.username]);
    command.args(["-p", bench.client.password.expose(), "--authtype", "Basic", "--skipschema"]);
    command.arg("--schema_directory").arg(&copy).arg("--logdir").arg(&reports.0);
    command.current_dir(&reports.0);
    let said = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text =
        String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{text}");
    let numbers = |label: &str| -> Vec<u32> {
        let after = text.split(label).skip(1);
        after
            .map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap())
            .collect()
    };
    let (passed, failed) = (numbers("Pass: "), numbers("Fail: "));
    assert!(passed.len() >= 50, "{} resources were looked at", passed.len());
    assert_eq!(failed.iter().sum::<u32>(), 0, "{text}");
}
