//! Whole verbs against a control plane that runs in this process, on SQLite, with
//! its TLS and its token; and machines whose BMC nobody answers for.

use std::path::Path;

use control::server::{AgentNetwork, Server, ServerSettings};
use model::Duration;
use serde_json::Value;

use crate::samples::{Ran, Scratch, run};

/// A control plane that does not wait long for BMCs.
pub async fn control(directory: &Path) -> Server {
    let machine = machine::Settings {
        pause: Duration::from_millis(1),
        bmc_reset_pause: Duration::from_millis(1),
        ..machine::Settings::default()
    };
    let settings = ServerSettings {
        directory: directory.to_owned(),
        database: None,
        listen: ([127, 0, 0, 1], 0).into(),
        names: Vec::new(),
        agents: AgentNetwork::loopback(0),
        machine,
        retention: Default::default(),
    };
    Server::start(settings).await.expect("a control plane on loopback")
}

/// A whole list as the API gives it.
fn items(ran: Ran) -> Vec<Value> {
    let page = ran.done().json();
    assert!(page["revision"].is_u64() && page.get("next_page").is_none(), "{page}");
    page["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_house_answers() {
    let scratch = Scratch::new("house");
    let server = control(&scratch.0).await;
    let at = |line: &'static str| run(&scratch.0, line);
    assert!(at("health").await.done().out.contains("leads         yes"));
    assert_eq!(at("health -o json").await.done().json()["status"], "ok");
    assert!(at("whoami").await.done().out.contains("role          admin"));
    assert!(at("ca").await.done().out.starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(
        at("openapi").await.done().json()["openapi"].as_str().unwrap().get(..3),
        Some("3.1")
    );
    assert!(at("metrics").await.done().out.contains("# TYPE "));
    assert!(at("events").await.done().out.contains("project"));
    let doctor = at("doctor --output json").await.done().json();
    let level = |name: &str| {
        let all = doctor.as_array().unwrap();
        let check = all.iter().find(|check| check["name"] == name);
        check.map_or(Value::Null, |check| check["level"].clone())
    };
    for name in ["control plane", "certificate", "CA", "token", "clock", "leader", "machines"] {
        assert_eq!(level(name), "ok", "{name}: {doctor}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_tokens_and_policies_come_and_go() {
    let scratch = Scratch::new("people");
    let server = control(&scratch.0).await;
    let at = |line: &'static str| run(&scratch.0, line);
    at("project create web --description shop").await.done();
    assert_eq!(items(at("project list -o json").await).len(), 2);
    assert!(at("project list").await.done().out.contains("web      shop"));
    let made = at("token create ci --role member --project web --ttl 30d").await.done();
    assert!(made.err.contains("only time"), "{}", made.err);
    assert!(!made.out.trim().contains(char::is_whitespace), "{}", made.out);
    let listed = at("token list").await.done().out;
    assert!(listed.contains("ci") && listed.contains("in 30 days"), "{listed}");
    assert!(!listed.contains(made.out.trim()));
    let taken = at("project create web").await;
    assert!(taken.err.starts_with("error[name-taken]: "), "{}", taken.err);
    assert_eq!(taken.exit.code(), 1);
    at("token remove ci --yes").await.done();
    at("project remove web --dry-run").await.done();
    assert_eq!(items(at("project list -o json").await).len(), 2);
    at("project remove web --yes").await.done();
    assert_eq!(items(at("project list -o json").await).len(), 1);
    at("policy set strict --mode enforce").await.done();
    at("policy set strict --mode learn").await.done();
    assert_eq!(at("policy show strict -o json").await.done().json()["spec"]["mode"], "learn");
    assert!(at("policy list").await.done().out.contains("strict"));
    let unknown = at("policy learn strict --machine nobody").await;
    assert!(unknown.err.starts_with("error[not-found]: "), "{}", unknown.err);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_imported_once() {
    let scratch = Scratch::new("images");
    let server = control(&scratch.0).await;
    let file = scratch.0.join("tiny.raw.zst");
    let content = vec![7_u8; 3 << 20];
    std::fs::write(&file, zstd::encode_all(&content[..], 1).unwrap()).unwrap();
    let import = format!("image import {}", file.display());
    let wrong = format!("{import} --checksum {}", "0".repeat(64));
    let refused = run(&scratch.0, &wrong).await;
    assert!(refused.err.contains("error[checksum-mismatch]: "), "{}", refused.err);
    let imported = run(&scratch.0, &import).await.done();
    assert_eq!(imported.out, "image tiny is ready: raw, 3.0 MiB on disk\n");
    let again = run(&scratch.0, &import).await.done();
    assert!(again.err.contains("there already"), "{}", again.err);
    let image = run(&scratch.0, "image show tiny -o json").await.done().json();
    assert_eq!(image["spec"]["compression"], "zstd");
    assert_eq!(image["status"]["size"], 3 << 20);
    std::fs::write(&file, zstd::encode_all(&content[1..], 1).unwrap()).unwrap();
    let other = run(&scratch.0, &import).await;
    assert!(other.err.contains("error[name-taken]: "), "{}", other.err);
    assert!(other.err.contains("bedplate image remove tiny"), "{}", other.err);
    assert!(run(&scratch.0, "image list").await.done().out.contains("tiny"));
    run(&scratch.0, "image remove tiny --yes").await.done();
    assert!(run(&scratch.0, "image list").await.done().err.contains("no images yet"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_bmc_is_silent_ends_in_quarantine_with_the_way_on() {
    let scratch = Scratch::new("machine");
    let server = control(&scratch.0).await;
    let password = scratch.0.join("password");
    std::fs::write(&password, "secret\n").unwrap();
    let enroll = format!(
        "machine enroll m1 --bmc https://127.0.0.1:1 --password-file {} --label zone=a --rack r1",
        password.display()
    );
    let ran = run(&scratch.0, &enroll).await;
    assert_eq!(ran.exit.code(), 3, "{}", ran.err);
    assert!(ran.err.contains("attention[bmc-unreachable]: The enroll of m1"), "{}", ran.err);
    let at = |line: &'static str| run(&scratch.0, line);
    let listed = at("machine list").await.done();
    assert!(listed.out.lines().nth(1).unwrap().starts_with("!  m1"), "{}", listed.out);
    assert!(listed.err.contains("1 machine: 1 quarantined"), "{}", listed.err);
    let shown = at("machine show m1").await.done().out;
    assert!(shown.contains("reason        bmc-unreachable") && shown.contains("rack          r1"));
    assert!(at("doctor").await.out.contains("m1 is quarantined, bmc-unreachable"));
    assert!(at("machine timeline m1").await.done().out.contains("read-parts"));
    assert!(at("machine events m1").await.done().out.contains("quarantined"));
    assert!(at("operation show m1").await.done().out.contains("enroll of m1"));
    assert_eq!(at("operation wait m1").await.exit.code(), 3);
    at("machine update m1 --label zone=b --label x=y --rack r2").await.done();
    at("machine update m1 --remove-label zone").await.done();
    let machine = at("machine show m1 -o json").await.done().json();
    assert_eq!(machine["labels"], serde_json::json!({"x": "y"}));
    assert_eq!(machine["spec"]["rack"], "r2");
    assert_eq!(at("operation retry m1").await.exit.code(), 3);
    at("operation abandon m1").await.done();
    assert_eq!(items(at("operation list --state abandoned -o json").await).len(), 1);
    let none = at("machine certificate m1").await;
    assert!(none.err.starts_with("error[not-found]: "), "{}", none.err);
    at("machine set-aside m1 --to retired").await.done();
    at("machine remove m1 --yes").await.done();
    assert!(at("machine list").await.done().err.contains("no machines yet"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_a_wrong_token_are_told_in_clear_words() {
    let scratch = Scratch::new("silence");
    let server = control(&scratch.0).await;
    std::fs::write(scratch.0.join("wrong"), "bp_wrong").unwrap();
    let wrong = format!("whoami --token-file {}", scratch.0.join("wrong").display());
    let ran = run(&scratch.0, &wrong).await;
    assert!(ran.err.starts_with("error[unauthenticated]: "), "{}", ran.err);
    let stranger = scratch.0.join("stranger.pem");
    let other = Scratch::new("other");
    let another = control(&other.0).await;
    std::fs::copy(other.0.join("ca/ca.pem"), &stranger).unwrap();
    let ran = run(&scratch.0, &format!("health --ca {}", stranger.display())).await;
    assert!(ran.err.starts_with("error[untrusted]: "), "{}", ran.err);
    assert!(ran.err.contains("is not of a CA that is trusted here"), "{}", ran.err);
    another.stop().await;
    server.stop().await;
    let ran = run(&scratch.0, "health").await;
    assert!(ran.err.contains("Is it running? Start it with: bedplate up"), "{}", ran.err);
    let ran = run(&scratch.0, "doctor").await;
    assert_eq!(ran.exit.code(), 1);
    assert!(ran.out.contains("FAIL  control plane"), "{}", ran.out);
}
