//! Whether KVM really boots firmware here.
//!
//! That `/dev/kvm` opens says little: under some hypervisors it opens and firmware
//! dies in its first milliseconds. So OVMF is started under KVM and watched until it
//! looks for something to boot; the answer is kept for this kernel and this QEMU.

use std::fs;
use std::path::Path;
use std::time::Duration;

use model::inventory::Inventory;
use serde::{Deserialize, Serialize};

use crate::error::{LabError, file};
use crate::hardware::{BootStage, Hardware};
use crate::keeper::Keeper;
use crate::needs::Firmware;
use crate::spec::Accel;

use super::command::{Accelerator, Plan};
use super::flash;
use super::machine::QemuMachine;

/// Under KVM firmware takes one or two seconds; a busy host gets more.
const PROBE_LIMIT: Duration = Duration::from_secs(15);

/// The kept answer.
#[derive(Serialize, Deserialize)]
struct Answer {
    /// Kernel and QEMU that it holds for.
    host: String,
    works: bool,
}

/// Decides how processors are emulated.
pub(crate) async fn choose(
    wish: Accel,
    dir: &Path,
    sockets: &Path,
    firmware: &Firmware,
) -> Result<Accelerator, LabError> {
    match wish {
        Accel::Kvm => return Ok(Accelerator::Kvm),
        Accel::Tcg => return Ok(Accelerator::Tcg),
        Accel::Auto if !Path::new("/dev/kvm").exists() => return Ok(Accelerator::Tcg),
        Accel::Auto => {}
    }
    let kept = dir.join("kvm.json");
    let host = host().await?;
    let known = fs::read(&kept).ok().and_then(|text| serde_json::from_slice::<Answer>(&text).ok());
    let works = match known {
        Some(answer) if answer.host == host => answer.works,
        _ => {
            let works = boots(dir, sockets, firmware).await?;
            let text = serde_json::to_vec(&Answer { host, works }).unwrap_or_default();
            fs::write(&kept, text).map_err(file(&kept))?;
            works
        }
    };
    Ok(if works { Accelerator::Kvm } else { Accelerator::Tcg })
}

async fn host() -> Result<String, LabError> {
    let limit = model::Duration::from_secs(20);
    let version = world::process::run("qemu-system-x86_64", ["--version"], limit).await?;
    let version = String::from_utf8_lossy(&version);
    let kernel = rustix::system::uname();
    Ok(format!("{}, {}", kernel.release().to_string_lossy(), version.lines().next().unwrap_or("")))
}

/// Boots firmware under KVM and sees how far it gets. It gets a machine without
/// network; a QEMU that cannot start is a no like any other.
async fn boots(dir: &Path, sockets: &Path, firmware: &Firmware) -> Result<bool, LabError> {
    let dir = dir.join("kvm-probe");
    fs::create_dir_all(&dir).map_err(file(&dir))?;
    let plan = Plan {
        name: "kvm-probe".into(),
        sockets: sockets.to_owned(),
        uuid: "00000000-0000-4000-8000-000000000001".into(),
        serial: "PROBE".into(),
        mac: [0x52, 0x54, 0, 0, 0, 1],
        tap: None,
        cpus: 1,
        memory_mib: 256,
        disks: Vec::new(),
        code: firmware.code.clone(),
        accelerator: Accelerator::Kvm,
        dir: dir.clone(),
    };
    let store = flash::first_store(firmware, false, None)?;
    fs::write(plan.variables(), store).map_err(file(&dir))?;
    let tpm = dir.join("tpm");
    fs::create_dir_all(&tpm).map_err(file(&tpm))?;
    let machine = QemuMachine::new(plan, Inventory::default(), Keeper::start(None)?);
    let mut seen = machine.watch();
    let booted = match machine.power_on(None).await {
        Err(_) => false,
        Ok(()) => {
            let far = seen.wait_for(|view| {
                use BootStage::{
                    OSBootStarted, SetupEntered, SystemHardwareInitializationComplete,
                };
                let on = view.power == model::bmc::PowerState::On;
                let stages = [SystemHardwareInitializationComplete, SetupEntered, OSBootStarted];
                !on || stages.contains(&view.stage)
            });
            let far = tokio::time::timeout(PROBE_LIMIT, far).await;
            matches!(far, Ok(Ok(view)) if view.stage != BootStage::None)
        }
    };
    machine.power_off().await?;
    let _ = fs::remove_dir_all(&dir);
    Ok(booted)
}
