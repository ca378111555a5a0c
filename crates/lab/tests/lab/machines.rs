//! Real machines: QEMU, OVMF and swtpm, switched by Redfish.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bedplate_lab::{Accel, Accelerator, LabError, Rack, RackSpec};
use reqwest::Method;
use serde_json::json;
use world::{Clock, SystemClock};

use crate::client::{Client, Scratch};

/// Firmware under emulation takes ten seconds, on a busy machine minutes.
pub const BOOT_LIMIT: Duration = Duration::from_secs(300);

/// Says why a rack cannot be tested here, if it cannot.
pub fn skipped() -> bool {
    let possible = bedplate_lab::needs::check().and_then(|_| bedplate_lab::needs::check_root());
    if let Err(error) = &possible {
        println!("skipped: {error}");
    }
    possible.is_err()
}

/// A directory for a rack. When a test fails half-way it takes the wire with it.
pub struct Site(pub Scratch);

impl Site {
    pub fn new(name: &str) -> Self {
        Self(Scratch::new(name))
    }

    pub fn dir(&self) -> &Path {
        &self.0.0
    }

    pub fn spec(&self, name: &str, machines: usize) -> RackSpec {
        spec(name, self.dir(), machines, std::process::id())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Ok(Some(remains)) = Rack::attach(self.dir()) {
            let namespace = &remains.network().namespace;
            let _ = std::process::Command::new("ip").args(["netns", "delete", namespace]).status();
            let _ = std::fs::remove_dir_all(remains.sockets());
        }
    }
}

/// Names of namespaces are the host's: no two test runs may share one.
pub fn spec(name: &str, dir: &Path, machines: usize, run: u32) -> RackSpec {
    let mut spec = RackSpec::new(name, dir, machines);
    spec.network.namespace = format!("bp-{name}-{run}");
    spec.accel = Accel::Tcg;
    spec
}

/// Waits until the console has said something.
pub async fn await_text(rack: &Rack, machine: &str, text: &str) {
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
pub fn processes(name: &str) -> Vec<String> {
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
    let site = Site::new("lab-boot");
    let spec = site.spec("boot", 1);
    let namespace = PathBuf::from("/run/netns").join(&spec.network.namespace);
    let rack = Rack::up(spec, |doing| println!("{doing}")).await.unwrap();
    assert_eq!(rack.accelerator(), Accelerator::Tcg);
    assert!(rack.tpm_authority().iter().all(|certificate| certificate.exists()));
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
    let clock = SystemClock::default();
    let began = clock.now();
    await_text(&rack, &machine.name, "Start HTTP Boot").await;
    println!("firmware took {}", clock.now().since(began));
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
    let left = processes(site.dir().to_str().unwrap());
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_namespace_of_somebody_else_is_left_alone() {
    if skipped() {
        return;
    }
    let site = Site::new("lab-taken");
    let spec = site.spec("taken", 1);
    let namespace = spec.network.namespace.clone();
    let ip = |verb| {
        world::process::run("ip", ["netns", verb, &namespace], model::Duration::from_secs(20))
    };
    ip("add").await.unwrap();
    let refused = Rack::up(spec, |_| ()).await.map(drop);
    ip("delete").await.unwrap();
    assert!(matches!(refused, Err(LabError::NamespaceTaken { .. })), "{refused:?}");
    assert!(Rack::attach(site.dir()).unwrap().is_none());
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
    let site = Site::new("lab-kvm");
    let mut spec = site.spec("kvm", 1);
    spec.accel = Accel::Auto;
    let rack = Rack::up(spec, |_| ()).await.unwrap();
    println!("probed: {:?}", rack.accelerator());
    let kept = site.dir().join("kvm.json");
    if std::path::Path::new("/dev/kvm").exists() {
        let answer: serde_json::Value =
            serde_json::from_slice(&std::fs::read(kept).unwrap()).unwrap();
        assert_eq!(answer["works"], rack.accelerator() == Accelerator::Kvm);
    } else {
        assert_eq!(rack.accelerator(), Accelerator::Tcg);
    }
    rack.down().await.unwrap();
}
