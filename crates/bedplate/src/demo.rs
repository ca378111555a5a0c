//! `bedplate lab demo`: the main job of Bedplate on real input, from a powered-off
//! virtual server to an attested, running system that a user logs into, and back.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use cli::progress::Screen;
use client::{Client, ClientSettings, Options};
use lab::LabMachine;
use model::api::{
    CreateImage, CreateImageRequest, Enroll, GetCertificate, LearnPolicy, LearnRequest,
};
use model::attestation::PolicyMode;
use model::id::OperationId;
use model::image::{Compression, ImageFormat};
use model::machine::{Deployment, Lifecycle, Machine, SanitiseCertificate};
use model::operation::OperationState;
use model::{Duration, Secret, Timestamp};
use world::{Clock as _, SystemClock, process};

use crate::objects;
use crate::up::{self, House};

/// How long anything may take under emulation on a busy machine, in percent.
const PATIENCE: u64 = 400;
/// The image that is deployed.
const IMAGE: &str = "debian-12";

/// What the demo takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How many machines are taken through their life, one after the other.
    #[arg(long, default_value_t = 1)]
    machines: usize,
    /// Keep everything running at the end, to look around.
    #[arg(long)]
    stay: bool,
}

/// The clock of the demo, and what it counted.
struct Stopwatch {
    clock: SystemClock,
    began: Timestamp,
}

impl Stopwatch {
    fn start() -> Self {
        let clock = SystemClock::default();
        let began = clock.now();
        Self { clock, began }
    }
    fn passed(&self) -> Duration {
        self.clock.now().since(self.began)
    }
}

/// Runs the demo below a directory; what can be used again (kernel, image) is kept there.
pub async fn run(arguments: Arguments, directory: &Path) -> Result<()> {
    ensure!(arguments.machines > 0, "a demo needs at least one machine");
    let total = Stopwatch::start();
    let cache = directory.join("cache");
    let state = directory.join("demo");
    clear(&state).await?;
    title("The system that will be installed");
    let image = system_image(&cache).await?;
    title("The control plane and a virtual rack");
    let wish = up::Arguments {
        listen: ([127, 0, 0, 1], 0).into(),
        names: Vec::new(),
        database: None,
        lab: Some(arguments.machines),
        boot_device: None,
        boot_address: None,
        keep_operations: 90,
        keep_events: 1_000_000,
        patience: PATIENCE,
        gateway: objects::Arguments { no_gateway: true, ..objects::Arguments::default() },
    };
    let house = House::start(&wish, &state, &cache, &say).await?;
    say(&format!("control plane at {}", house.server.url));
    let shown = show(&arguments, &state, &image, &house).await;
    if arguments.stay {
        stay(&state).await?;
    }
    house.stop().await?;
    let to_active = shown?;
    result(&arguments, to_active, total.passed());
    Ok(())
}

/// A demo begins from nothing; what an earlier one left is taken down.
async fn clear(state: &Path) -> Result<()> {
    if let Some(remains) = lab::Rack::attach(&state.join("lab"))? {
        remains.clear().await?;
    }
    match std::fs::remove_dir_all(state) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("clearing {}", state.display()))
        }
        _ => Ok(()),
    }
}

async fn system_image(cache: &Path) -> Result<lab::system::Built> {
    let order = lab::system::Order::new(cache.join("debian-12.raw.zst"), cache.join("work"));
    Ok(lab::system::build(order, say).await?)
}

/// Takes every machine through its life. Gives the seconds from enrolment to active.
async fn show(
    arguments: &Arguments,
    state: &Path,
    image: &lab::system::Built,
    house: &House,
) -> Result<Duration> {
    let client = client_of(state)?;
    let rack = house.rack.as_ref().context("the demo has a rack")?;
    let key = ssh_key(state).await?;
    import(&client, image).await?;
    let mut slowest = Duration::ZERO;
    for (number, machine) in rack.machines().into_iter().enumerate() {
        let watch = Stopwatch::start();
        title(&format!("{}: from powered off to available", machine.name));
        let begun = client.enroll(&enrolment(&machine)).await?;
        finish(&client, begun.id).await?;
        if number == 0 {
            learn(&client, &machine.name).await?;
        }
        title(&format!("{}: deploying {IMAGE}", machine.name));
        let begun = client.deploy(&machine.name, &deployment(&machine, &key)?).await?;
        finish(&client, begun.id).await?;
        slowest = slowest.max(watch.passed());
        title(&format!("{}: what its user sees", machine.name));
        log_in(&client, &machine, &key, rack).await?;
        title(&format!("{}: released, wiped, proven", machine.name));
        let begun = client.release(&machine.name).await?;
        finish(&client, begun.id).await?;
        certificate(&client, house, &machine.name).await?;
    }
    assert!(arguments.machines == rack.machines().len(), "every machine was taken through");
    Ok(slowest)
}

/// A client with the administrator's token of a data directory.
pub fn client_of(directory: &Path) -> Result<Client> {
    let read = |name: &str| {
        let path = directory.join(name);
        std::fs::read_to_string(&path)
            .map(|text| text.trim().to_owned())
            .with_context(|| format!("{}: is `bedplate up` running there?", path.display()))
    };
    Ok(Client::new(ClientSettings {
        url: read("url")?,
        ca_pem: Some(read("ca/ca.pem")?),
        token: Some(Secret::new(read("admin.token")?)),
    })?)
}

/// How a machine of the rack is enrolled.
pub fn enrolment(machine: &LabMachine) -> Enroll {
    Enroll {
        name: machine.name.clone(),
        bmc: machine.bmc_address.clone(),
        username: machine.username.clone(),
        password: machine.password.clone(),
        certificate: Some(machine.bmc_certificate.clone()),
        rack: Some("lab".to_owned()),
        policy: None,
        labels: [("lab".to_owned(), "true".to_owned())].into(),
    }
}

async fn import(client: &Client, image: &lab::system::Built) -> Result<()> {
    let request = CreateImageRequest {
        name: IMAGE.to_owned(),
        format: ImageFormat::Raw,
        compression: Compression::Zstd,
        checksum: Some(image.checksum.clone()),
        url: None,
        project: None,
        labels: [].into(),
    };
    client.call::<CreateImage>(&[], &[], &request, Options::default()).await?;
    let made = client.upload_file(IMAGE, &image.path, |_, _| ()).await?;
    say(&format!("imported {IMAGE}: {} packed, {} on disk", made.status.stored, made.status.size));
    Ok(())
}

/// Follows an operation to its end; one that needs attention ends the demo.
async fn finish(client: &Client, operation: OperationId) -> Result<()> {
    let detail = cli::progress::follow(client, operation, &mut Screen::of_process()).await?;
    let state = detail.operation.state;
    if state != OperationState::Done {
        let reason = detail.operation.reason.map(|reason| reason.message).unwrap_or_default();
        bail!("operation {operation} is {state}: {reason}");
    }
    Ok(())
}

/// The first machine is the golden one: from now on every boot must be like its.
async fn learn(client: &Client, machine: &str) -> Result<()> {
    let request = LearnRequest { machine: machine.to_owned(), mode: PolicyMode::Enforce };
    let policy =
        client.call::<LearnPolicy>(&["default"], &[], &request, Options::default()).await?;
    let events: usize = policy.spec.pcrs.values().map(Vec::len).sum();
    let pcrs: Vec<String> = policy.spec.pcrs.keys().map(u8::to_string).collect();
    say(&format!(
        "learnt its boot: {events} events in PCRs {}; enforced from now on",
        pcrs.join(", ")
    ));
    Ok(())
}

/// A key for the user, made for this demo.
async fn ssh_key(state: &Path) -> Result<PathBuf> {
    let key = state.join("user.key");
    let path = key.to_string_lossy().into_owned();
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", "demo", "-f", &path];
    process::run("ssh-keygen", arguments, Duration::from_secs(30)).await?;
    Ok(key)
}

fn deployment(machine: &LabMachine, key: &Path) -> Result<Deployment> {
    let public = std::fs::read_to_string(key.with_extension("key.pub"))?;
    Ok(Deployment {
        project: "default".to_owned(),
        image: IMAGE.to_owned(),
        hostname: machine.name.clone(),
        ssh_keys: vec![public.trim().to_owned()],
        user_data: None,
        disk: None,
        kexec: false,
    })
}

/// Runs a command on the machine as its user would, with the host keys that the
/// system told when it called home.
async fn log_in(client: &Client, machine: &LabMachine, key: &Path, rack: &lab::Rack) -> Result<()> {
    const SCRIPT: &str = "echo \"$(hostname): $(. /etc/os-release; echo $PRETTY_NAME), \
        Linux $(uname -r), up $(cut -d. -f1 /proc/uptime) s\"; \
        echo \"lockdown: $(sudo cat /sys/kernel/security/lockdown)\"; \
        df -h --output=source,size,used / | tail -1";
    let known: Machine = client.machine(&machine.name).await?;
    ensure!(known.status.lifecycle == Lifecycle::Active, "the machine is active");
    let system = known.status.system.context("an active machine has a system")?;
    let address = system.address.context("the system called home from somewhere")?;
    let hosts = key.with_file_name("known_hosts");
    let mut file = std::fs::File::create(&hosts)?;
    for host_key in &system.host_keys {
        writeln!(file, "{address} {host_key}")?;
    }
    let known_hosts = format!("UserKnownHostsFile={}", hosts.display());
    let key = key.to_string_lossy().into_owned();
    let user = format!("debian@{address}");
    let namespace = &rack.network().namespace;
    let options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", &known_hosts];
    let mut arguments = vec!["netns", "exec", namespace, "ssh", "-i", &key];
    arguments.extend(options);
    arguments.extend([user.as_str(), SCRIPT]);
    say(&format!("ssh {user}"));
    let said = process::run("ip", arguments, Duration::from_secs(120)).await?;
    for line in String::from_utf8_lossy(&said).lines() {
        println!("    {line}");
    }
    Ok(())
}

/// Shows the certificate of the wipe, and checks its signature.
async fn certificate(client: &Client, house: &House, machine: &str) -> Result<()> {
    let certificate: SanitiseCertificate =
        client.call::<GetCertificate>(&[machine], &[], &(), Options::default()).await?;
    let key = house.server.plane.authority.public_key();
    let good = control::identity::sanitised::verify_certificate(key, &certificate);
    println!("  certificate of {} ({})", machine, certificate.serial);
    for disk in &certificate.disks {
        println!(
            "    {} {} {}: {}, {} read back, {} remained",
            disk.disk, disk.serial, disk.size, disk.method, disk.sampled, disk.residue
        );
    }
    println!(
        "    signed {}: {}",
        certificate.at,
        if good { "signature good" } else { "SIGNATURE BAD" }
    );
    ensure!(good, "the certificate's signature is not good");
    Ok(())
}

async fn stay(state: &Path) -> Result<()> {
    println!("\nEverything stays up. In another terminal:");
    println!("  export BEDPLATE_DIR={}", state.display());
    println!("  bedplate machine list");
    println!("Ctrl-C ends it.");
    Ok(tokio::signal::ctrl_c().await?)
}

fn title(text: &str) {
    println!("\n== {text}");
}

fn say(text: &str) {
    println!("  {text}");
}

/// The line of JSON with which every chore ends.
fn result(arguments: &Arguments, to_active: Duration, total: Duration) {
    let line = serde_json::json!({
        "name": "demo",
        "figures": {
            "machines": arguments.machines,
            "seconds_to_active": round(to_active),
            "seconds_total": round(total),
        },
        "aims": {},
        "met": true,
    });
    println!("\n{line}");
}

fn round(span: Duration) -> f64 {
    (span.secs_f64() * 10.0).round() / 10.0
}
