//! sushy-tools' Redfish emulator: a BMC that others wrote.
//!
//! Its ways: changes of power take 1 to 11 seconds and read back as the old state
//! until then; boot overrides are continuous; there are no sessions, and without
//! an account file no passwords; HTTP boot is done by fetching the image into the
//! virtual drive, and without an address it becomes PXE.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bedplate_bmc::{Redfish, probe_with};
use model::bmc::{BmcCommand, BmcFact, BmcFailureKind, BootTarget, PowerAction, PowerState};

use crate::{enter, kind, limits, run};

/// The emulator, while this lives.
struct Emulator {
    process: Child,
    directory: PathBuf,
    url: String,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn program() -> Option<PathBuf> {
    if let Some(program) = std::env::var_os("BEDPLATE_SUSHY_EMULATOR") {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("sushy-emulator")).find(|file| file.is_file())
}

async fn start() -> Option<Emulator> {
    let Some(program) = program() else {
        println!("skipped: sushy-emulator is not installed (pip install sushy-tools)");
        return None;
    };
    // The emulator takes a port, not a socket: one that was free just now.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let directory =
        std::env::temp_dir().join(format!("bedplate-sushy-{}-{port}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let config = directory.join("config.py");
    std::fs::write(
        &config,
        format!("SUSHY_EMULATOR_STATE_DIR = {:?}\n", directory.display().to_string()),
    )
    .unwrap();
    let process = Command::new(program)
        .args(["--fake", "--interface", "127.0.0.1", "--port", &port.to_string(), "--config"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the emulator starts");
    let emulator = Emulator { process, directory, url: format!("http://127.0.0.1:{port}") };
    let give_up = Instant::now() + Duration::from_secs(60);
    while let Err(failure) = probe_with(&emulator.url, limits()).await {
        assert!(Instant::now() < give_up, "the emulator does not answer: {failure}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Some(emulator)
}

/// Waits for the evidence; the emulator takes up to 11 seconds.
async fn wait_for(bmc: &mut Redfish, wanted: PowerState) {
    let give_up = Instant::now() + Duration::from_secs(60);
    loop {
        let fact = run(bmc, BmcCommand::ReadPower).await.unwrap();
        if fact == (BmcFact::Power { state: wanted }) {
            return;
        }
        assert!(Instant::now() < give_up, "still {fact:?}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn the_emulator_is_inspected_powered_and_told_where_to_boot_from() {
    let Some(emulator) = start().await else { return };
    let mut bmc = enter(emulator.url.clone(), "any", limits());
    let fact = run(&mut bmc, BmcCommand::Inspect).await.unwrap();
    let BmcFact::Inventory { inventory, abilities, .. } = fact else { panic!("{fact:?}") };
    assert_eq!(inventory.system.manufacturer, "Sushy Emulator");
    assert!(inventory.has_mac("00:5c:52:31:3a:9c"), "{inventory:?}");
    assert!(abilities.virtual_media, "{abilities:?}");
    assert!(!abilities.events);

    run(&mut bmc, BmcCommand::Power { action: PowerAction::On }).await.unwrap();
    wait_for(&mut bmc, PowerState::On).await;
    run(&mut bmc, BmcCommand::Power { action: PowerAction::Cycle }).await.unwrap();
    wait_for(&mut bmc, PowerState::Off).await;
    wait_for(&mut bmc, PowerState::On).await;
    run(&mut bmc, BmcCommand::Power { action: PowerAction::Off }).await.unwrap();
    wait_for(&mut bmc, PowerState::Off).await;

    for target in [BootTarget::Pxe, BootTarget::Media, BootTarget::Disk] {
        run(&mut bmc, BmcCommand::SetBoot { target }).await.unwrap();
    }
    // It would have to fetch the image, and nobody is there: not done, and said so.
    let uri = "http://127.0.0.1:9/none.efi".to_owned();
    let target = BootTarget::Http { uri };
    assert_eq!(kind(run(&mut bmc, BmcCommand::SetBoot { target }).await), BmcFailureKind::Refused);
    run(&mut bmc, BmcCommand::Reconnect).await.unwrap();
    assert!(bedplate_bmc::Bmc::events(&mut bmc).await.unwrap().is_none());
}
