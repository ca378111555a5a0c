//! Real machines: QEMU, OVMF and swtpm, switched by Redfish.

use std::path::PathBuf;
use std::time::Duration;

use bedplate_lab::{Accel, Accelerator, LabError, LabMachine, Rack, RackSpec};
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
    let began = std::time::Instant::now();
    await_text(&rack, &machine.name, "Start HTTP Boot").await;
    println!("firmware took {:?}", began.elapsed());
    let system = client.get("/redfish/v1/Systems/1").await;
    assert_eq!(system["Boot"]["BootSourceOverrideEnabled"], "Disabled");
    assert_eq!(system["UUID"], machine.uuid.as_str());
    let secure = client.get("/redfish/v1/Systems/1/SecureBoot").await;
    assert_eq!(secure["SecureBootEnable"], true);
    // Without a wish it boots its empty disk, fails, and ends in its own menu.
    client.reset("ForceRestart").await;
    await_text(&rack, &machine.name, "No bootable option").await;
    let console = client.request(Method::GET, "/console/1").send().await.unwrap();
    assert!(console.text().await.unwrap().contains("Start HTTP Boot"));
    let progress = &client.get("/redfish/v1/Systems/1").await["BootProgress"];
    assert_eq!(progress["LastState"], "SetupEntered");
    client.reset("ForceOff").await;
    client.await_power("Off").await;
    rack.down().await.unwrap();
    rack.down().await.unwrap();
    assert!(!namespace.exists());
    let left = processes(dir.0.to_str().unwrap());
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_lab_left_is_cleared() {
    if skipped() {
        return;
    }
    let dir = Scratch::new("lab-crash");
    let spec = spec("crash", &dir, 2);
    let rack = Rack::up(spec.clone(), |_| ()).await.unwrap();
    let before = rack.machines();
    let client = Client::of(&before[0]);
    client.reset("On").await;
    client.await_power("On").await;
    assert!(!processes(dir.0.to_str().unwrap()).is_empty());
    // As far as the rack can tell, this is a crash: nothing is taken down in order.
    drop(rack);
    let gone = async {
        while !processes(dir.0.to_str().unwrap()).is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone)
        .await
        .expect("machines die with their rack");
    let remains = Rack::attach(&dir.0).unwrap().expect("the record is still there");
    assert_eq!((remains.name(), remains.owner()), ("crash", None));
    // Coming up again clears it, and the machines are the same.
    let rack = Rack::up(spec, |doing| println!("{doing}")).await.unwrap();
    let after = rack.machines();
    let known = |machine: &LabMachine| (machine.uuid.clone(), machine.mac.clone());
    assert_eq!(
        before.iter().map(known).collect::<Vec<_>>(),
        after.iter().map(known).collect::<Vec<_>>()
    );
    assert_eq!(before[0].bmc_certificate, after[0].bmc_certificate);
    assert_eq!(before[0].password.expose(), after[0].password.expose());
    rack.down().await.unwrap();
    assert!(Rack::attach(&dir.0).unwrap().is_none());
}

#[tokio::test]
async fn a_namespace_of_somebody_else_is_left_alone() {
    if skipped() {
        return;
    }
    let dir = Scratch::new("lab-taken");
    let spec = spec("taken", &dir, 1);
    let namespace = spec.network.namespace.clone();
    let ip = |verb| {
        world::process::run("ip", ["netns", verb, &namespace], model::Duration::from_secs(20))
    };
    ip("add").await.unwrap();
    let refused = Rack::up(spec, |_| ()).await.map(drop);
    ip("delete").await.unwrap();
    assert!(matches!(refused, Err(LabError::NamespaceTaken { .. })), "{refused:?}");
    assert!(Rack::attach(&dir.0).unwrap().is_none());
}

#[test]
fn what_to_do_without_root_is_said() {
    let text = LabError::NotRoot.to_string();
    assert!(text.contains("needs root") && text.contains("sudo"), "{text}");
    if rustix::process::geteuid().is_root() {
        bedplate_lab::needs::check_root().unwrap();
    } else {
        assert!(matches!(bedplate_lab::needs::check_root(), Err(LabError::NotRoot)));
    }
}

/// KVM may be there and not boot firmware; the probe finds out, and remembers.
#[tokio::test(flavor = "multi_thread")]
async fn kvm_is_chosen_only_where_it_boots_firmware() {
    if skipped() {
        return;
    }
    let dir = Scratch::new("lab-kvm");
    let mut spec = spec("kvm", &dir, 1);
    spec.accel = Accel::Auto;
    let rack = Rack::up(spec, |_| ()).await.unwrap();
    println!("probed: {:?}", rack.accelerator());
    let kept = dir.0.join("kvm.json");
    if std::path::Path::new("/dev/kvm").exists() {
        let answer: serde_json::Value =
            serde_json::from_slice(&std::fs::read(kept).unwrap()).unwrap();
        assert_eq!(answer["works"], rack.accelerator() == Accelerator::Kvm);
    } else {
        assert_eq!(rack.accelerator(), Accelerator::Tcg);
    }
    rack.down().await.unwrap();
}
