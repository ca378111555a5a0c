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
use crate::power::power_state;
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
        Ok(BmcFact::Inventory { inventory: Box::new(inventory), power, abilities })
    }
}

/// Who made it, and which one it is.
async fn identity(
    walk: &mut Walk,
    system: &Document,
    layout: &crate::locate::Layout,
) -> SystemParts {
    let mut parts = SystemParts {
        manufacturer: system.text("/Manufacturer"),
        product: system.text("/Model"),
        serial: system.text("/SerialNumber"),
        uuid: system.text("/UUID").to_lowercase(),
    };
    if layout.quirks.serial_is_sku && !system.text("/SKU").is_empty() {
        parts.serial = system.text("/SKU");
    }
    // Some systems name nothing of themselves: their chassis do.
    let mut chassis = system.links("/Links/Chassis");
    let lacks = |parts: &SystemParts| parts.serial.is_empty() || parts.product.is_empty();
    if lacks(&parts)
        && let Some(collection) = &layout.chassis
    {
        let all = walk.document(collection).await;
        chassis.extend(all.iter().flat_map(Document::members));
    }
    for path in chassis.iter().take(64) {
        if !lacks(&parts) {
            break;
        }
        let Some(chassis) = walk.document(path).await else { continue };
        // Modules have serial numbers too, but they are not the machine's.
        let whole = ["RackMount", "StandAlone", "Blade", "Sled", "Zone", "Enclosure"];
        if !whole.contains(&chassis.text("/ChassisType").as_str()) {
            continue;
        }
        let fill = |part: &mut String, pointer| {
            if part.is_empty() {
                *part = chassis.text(pointer);
            }
        };
        fill(&mut parts.serial, "/SerialNumber");
        fill(&mut parts.product, "/Model");
        fill(&mut parts.manufacturer, "/Manufacturer");
    }
    parts
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
