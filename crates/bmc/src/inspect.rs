//! Reading what a machine is made of.
//!
//! Only the system's own document must be readable. Any other part that fails
//! (404, 503, nonsense, silence) is left out: real trees have such parts, and a
//! machine is not unfit because its BMC cannot name the third fan.

mod disks;
mod memory;
mod nics;
mod processors;
mod walk;

use model::bmc::{BmcAbilities, BmcFact};
use model::inventory::{Firmware, Inventory, SystemParts, Tpm};
use serde_json::Value;

use crate::document::Document;
use crate::events::stream_path;
use crate::failure::Outcome;
use crate::locate::Layout;
use crate::power::power_state;
use crate::quirks::{is_filler, is_whole_chassis};
use crate::redfish::Redfish;
use walk::Walk;

impl Redfish {
    pub(crate) async fn inspect(&mut self) -> Outcome<BmcFact> {
        let system = self.system().await?;
        let layout = self.layout().await?.clone();
        let mut walk = Walk::start(self.wire.clone()).await?;
        let manager = match &layout.manager {
            Some(manager) => walk.document(manager).await,
            None => None,
        };
        let inventory = Inventory {
            system: identity(&mut walk, &system, &layout).await,
            processors: processors::read(&mut walk, &system).await,
            memory: memory::read(&mut walk, &system).await,
            disks: disks::read(&mut walk, &system).await,
            nics: nics::read(&mut walk, &system, layout.chassis.as_deref()).await,
            pci: Vec::new(),
            tpm: tpm(&system),
            firmware: firmware(&system, manager.as_ref()),
        };
        let events = match &layout.event_service {
            Some(service) => walk.document(service).await,
            None => None,
        };
        let abilities = BmcAbilities {
            http_boot: boots_over_http(&system),
            virtual_media: !walk.is_over() && matches!(self.find_drive().await, Ok(Some(_))),
            events: events.as_ref().and_then(stream_path).is_some(),
        };
        let power = power_state(&system);
        let certificate = self.certificate();
        Ok(BmcFact::Inventory { inventory: Box::new(inventory), power, abilities, certificate })
    }
}

/// Who made it, and which one it is. Some systems name nothing of themselves:
/// then their chassis do.
async fn identity(walk: &mut Walk, system: &Document, layout: &Layout) -> SystemParts {
    let mut parts = SystemParts {
        manufacturer: told(system, "/Manufacturer"),
        product: told(system, "/Model"),
        serial: told(system, "/SerialNumber"),
        uuid: told(system, "/UUID").to_lowercase(),
    };
    let sku = told(system, "/SKU");
    if layout.quirks.serial_is_sku && !sku.is_empty() {
        parts.serial = sku;
    }
    let mut linked = Vec::new();
    for path in system.links("/Links/Chassis").iter().take(4) {
        if lacks(&parts) {
            linked.extend(walk.document(path).await);
        }
    }
    for chassis in linked.iter().filter(|chassis| is_whole(chassis)) {
        complete(&mut parts, chassis);
    }
    if let (true, Some(collection)) = (lacks(&parts), &layout.chassis) {
        let all = walk.document(collection).await;
        for path in all.iter().flat_map(Document::members).take(64) {
            if lacks(&parts)
                && let Some(chassis) = walk.document(&path).await.filter(is_whole)
            {
                complete(&mut parts, &chassis);
            }
        }
    }
    // A part of the machine, but one that the system itself points at.
    for chassis in &linked {
        complete(&mut parts, chassis);
    }
    parts
}

/// A text, unless it only fills a field.
fn told(document: &Document, pointer: &str) -> String {
    Some(document.text(pointer)).filter(|text| !is_filler(text)).unwrap_or_default()
}

fn lacks(parts: &SystemParts) -> bool {
    parts.serial.is_empty() || parts.product.is_empty()
}

fn is_whole(chassis: &Document) -> bool {
    is_whole_chassis(&chassis.text("/ChassisType"))
}

fn complete(parts: &mut SystemParts, chassis: &Document) {
    for (part, pointer) in [
        (&mut parts.serial, "/SerialNumber"),
        (&mut parts.product, "/Model"),
        (&mut parts.manufacturer, "/Manufacturer"),
    ] {
        if part.is_empty() {
            *part = told(chassis, pointer);
        }
    }
}

fn firmware(system: &Document, manager: Option<&Document>) -> Vec<Firmware> {
    let bmc = manager.map(|manager| manager.text("/FirmwareVersion")).unwrap_or_default();
    let parts = [("bios", system.text("/BiosVersion")), ("bmc", bmc)];
    let known = parts.into_iter().filter(|(_, version)| !version.is_empty());
    known.map(|(part, version)| Firmware { part: part.to_owned(), version }).collect()
}

/// A TPM that is switched on, as far as the BMC knows.
fn tpm(system: &Document) -> Option<Tpm> {
    let modules = system.body.get("TrustedModules").and_then(Value::as_array);
    let families = modules.into_iter().flatten().filter_map(|module| {
        let state = module.pointer("/Status/State").and_then(Value::as_str);
        let family = match module.get("InterfaceType").and_then(Value::as_str)? {
            "TPM2_0" => "2.0",
            "TPM1_2" => "1.2",
            _ => return None,
        };
        matches!(state, None | Some("Enabled")).then_some(family)
    });
    families.max().map(|family| Tpm { family: family.to_owned(), ..Tpm::default() })
}

fn boots_over_http(system: &Document) -> bool {
    let targets = system.texts("/Boot/BootSourceOverrideTarget@Redfish.AllowableValues");
    if targets.is_empty() {
        return system.body.pointer("/Boot/HttpBootUri").is_some();
    }
    targets.iter().any(|target| target == "UefiHttp")
}
