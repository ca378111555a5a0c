//! PID 1: makes a machine out of a kernel, then lets the agent work. It never
//! ends, since the kernel would panic: whatever fails is said on the console and
//! tried again.

pub mod alias;
pub mod modules;
pub mod mounts;

use std::path::Path;
use std::time::Duration;

use rustix::process::{WaitOptions, wait};
use tokio::sync::watch;

use crate::network::lldp::Heard;
use crate::settings::{Control, Patience, Roots, Settings};
use crate::tpm::TpmPlace;
use crate::{agent, boot, disks, network};
use modules::Loader;

/// What the image was made with.
pub const CONTROL: &str = "/etc/bedplate/control.json";
/// After something failed that should not.
const AGAIN: Duration = Duration::from_secs(10);
/// Slow hardware (disk controllers, USB) appears after the first look.
const LOOK_AGAIN: [u64; 5] = [1, 2, 4, 8, 16];
/// Children that the kernel gave us are looked after this often.
const REAP: Duration = Duration::from_secs(5);

/// Runs as PID 1.
#[expect(
    clippy::disallowed_methods,
    reason = "PID 1 has no runtime here, and these threads are its own"
)]
pub fn run() -> ! {
    mounts::early();
    crate::say!("bedplate-deploy {} starts", env!("CARGO_PKG_VERSION"));
    // So the kernel asks us for the modules that file systems and ciphers need.
    let _ = std::fs::write("/proc/sys/kernel/modprobe", "/init");
    let mut loader = Loader::open();
    let loaded = loader.load_listed() + loader.load_for_devices();
    crate::say!("loaded {loaded} drivers");
    mounts::late();
    std::thread::spawn(move || {
        for seconds in LOOK_AGAIN {
            std::thread::sleep(Duration::from_secs(seconds));
            let more = loader.load_for_devices();
            if more > 0 {
                crate::say!("loaded {more} more drivers");
            }
        }
    });
    loop {
        let life = std::panic::catch_unwind(live);
        match life {
            Ok(Ok(error)) => crate::say!("the kernel does not let us leave: {error}"),
            Ok(Err(error)) => crate::say!("cannot go on: {error:#}"),
            Err(_) => crate::say!("the agent died"),
        }
        crate::say!("again in {} s", AGAIN.as_secs());
        std::thread::sleep(AGAIN);
    }
}

/// One life of the agent; returns when the machine was to leave and is still here.
fn live() -> anyhow::Result<std::io::Error> {
    let control = Control::read(Path::new(CONTROL))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let departure = runtime.block_on(async {
        let roots = Roots::new("/");
        let heard = Heard::default();
        let (sender, mut ready) = watch::channel(false);
        tokio::spawn(network::keep_up(roots.clone(), heard.clone(), sender));
        tokio::spawn(reap());
        crate::say!("waiting for a network address");
        let _ = ready.wait_for(|ready| *ready).await;
        for found in disks::list(&roots) {
            crate::say!(
                "found disk {} ({}, {})",
                found.disk.name,
                found.disk.size,
                found.disk.model
            );
        }
        crate::say!("the control plane is {}", control.url);
        let settings = Settings {
            control,
            roots,
            patience: Patience::default(),
            tpm: TpmPlace::Device,
            owns_machine: true,
        };
        agent::run(settings, heard).await
    })?;
    crate::say!("leaving: {departure:?}");
    Ok(boot::leave(departure))
}

/// Buries the processes that nobody else waits for.
async fn reap() {
    loop {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        tokio::time::sleep(REAP).await;
    }
}

/// The kernel asks for a module (as it would `modprobe -q -- NAME`).
pub fn load_module(name: &str) {
    Loader::open().load(name);
}
