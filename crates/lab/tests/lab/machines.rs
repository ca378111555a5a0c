//! Real machines: QEMU, OVMF and swtpm, switched by Redfish.

use std::path::PathBuf;
use std::time::Duration;

use bedplate_lab::{Accel, Accelerator, LabError, Rack, RackSpec};
use reqwest::Method;
use serde_json::json;

use crate::client::{Client, Scratch};

/// Firmware under emulation takes ten seconds, on a busy machine minutes.
const BOOT_LIMIT: Duration = Duration::from_secs(300);

/// Says why a rack cannot be tested here, if it cannot.
fn skipped() -> bool {
    let possible = bedplate_lab::needs::check().and_then(|_| bedplate_lab::needs::check_root());
    if let Err(error) = &possible {
        println!("skipped: {error}");
    }
    possible.is_err()
}

fn spec(name: &str, dir: &Scratch, machines: usize) -> RackSpec {
    let mut spec = RackSpec::new(name, &dir.0, machines);
    // Names of namespaces are the host's: no two test runs may share one.
    spec.network.namespace = format!("bp-{name}-{}", std::process::id());
    spec.accel = Accel::Tcg;
    spec
}

/// Waits until the console has said something.
async fn await_text(rack: &Rack, machine: &str, text: &str) {
    let console = rack.console(machine).unwrap().clone();
    let heard = async {
        let mut end = 0;
        while !console.text().contains(text) {
            end = console.follow(end).await.1.max(console.end());
        }
    };
    if tokio::time::timeout(BOOT_LIMIT, heard).await.is_err() {
        panic!("{machine} never said {text:?}; it said:\n{}", console.text());
    }
}

/// Processes whose command line names something.
fn processes(name: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(name) && !line.contains("nextest")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_boots_where_its_bmc_points_and_leaves_nothing() {
    if skipped() {
        return;
    }
    let dir = Scratch::new("lab-boot");
    let spec = spec("boot", &dir, 1);
    let namespace = PathBuf::from("/run/netns").join(&spec.network.namespace);
    let rack = Rack::up(spec, |doing| println!("{doing}")).await.unwrap();
    assert_eq!(rack.accelerator(), Accelerator::Tcg);
    let machine = rack.machines().remove(0);
    let client = Client::of(&machine);
    let boot = json!({"Boot": {
        "BootSourceOverrideEnabled": "Once",
        "BootSourceOverrideTarget": "UefiHttp",
        "HttpBootUri": "http://10.77.0.1:8080/image.efi",
    }});
    assert_eq!(client.patch("/redfish/v1/Systems/1", boot).await.status(), 200);
    client.reset("On").await;
    client.await_power("On").await;
    await_text(&rack, &machine.name, "Start HTTP Boot").await;
    let log = std::fs::read_to_string(&machine.console_log).unwrap();
    assert!(log.contains("Bedplate: HTTP boot"), "{log}");
    let system = client.get("/redfish/v1/Systems/1").await;
    assert_eq!(system["Boot"]["BootSourceOverrideEnabled"], "Disabled");
    assert_eq!(system["UUID"], machine.uuid.as_str());
    let secure = client.get("/redfish/v1/Systems/1/SecureBoot").await;
    assert_eq!(secure["SecureBootEnable"], true);
    // Without a wish it boots its empty disk, fails, and ends in its own menu.
    client.reset("ForceRestart").await;
    await_text(&rack, &machine.name, "Standard English").await;
    let console = client.request(Method::GET, "/console/1").send().await.unwrap();
    assert!(console.text().await.unwrap().contains("Start HTTP Boot"));
    client.reset("ForceOff").await;
    client.await_power("Off").await;
    rack.down().await.unwrap();
    rack.down().await.unwrap();
    assert!(!namespace.exists());
    let left = processes(dir.0.to_str().unwrap());
    assert!(left.is_empty(), "{left:?}");
}
