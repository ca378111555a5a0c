//! Which of the BMC's resources are the machine and its manager.
//!
//! A tree can have several systems: a GPU baseboard beside the host, a DPU. The
//! one that can be reset and told where to boot from is the machine.

use crate::document::{Document, ROOT};
use crate::failure::{Failure, Outcome};
use crate::quirks::Quirks;
use crate::wire::Wire;

/// The most systems that are compared.
const MOST_SYSTEMS: usize = 16;

/// The way through one BMC's tree, found once and kept until it leads nowhere.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Path of the machine.
    pub(crate) system: String,
    /// Path of its manager, where there is one.
    pub(crate) manager: Option<String>,
    /// Path of the event service, where there is one.
    pub(crate) event_service: Option<String>,
    /// Path of the chassis collection.
    pub(crate) chassis: Option<String>,
    /// How this maker differs.
    pub(crate) quirks: &'static Quirks,
}

/// Finds the way.
pub(crate) async fn locate(wire: &Wire) -> Outcome<Layout> {
    let root = wire.get(ROOT).await?;
    let system = the_machine(wire, &root).await?;
    let manager = match system.links("/Links/ManagedBy").into_iter().next() {
        Some(manager) => Some(manager),
        None => first_manager(wire, &root).await?,
    };
    let maker = format!("{} {}", root.text("/Vendor"), system.text("/Manufacturer"));
    Ok(Layout {
        quirks: Quirks::of(&maker, &system.text("/Model")),
        system: system.path,
        manager,
        event_service: root.link("/EventService"),
        chassis: root.link("/Chassis"),
    })
}

async fn the_machine(wire: &Wire, root: &Document) -> Outcome<Document> {
    let collection = root.link("/Systems").unwrap_or_else(|| "/redfish/v1/Systems".to_owned());
    let members = wire.get(&collection).await?.members();
    let mut best: Option<(i32, Document)> = None;
    let mut last = Failure::unsupported(format!("{collection} has no members"));
    for path in members.iter().take(MOST_SYSTEMS) {
        match wire.get(path).await {
            Ok(system) => {
                let fitness = fitness(&system);
                if best.as_ref().is_none_or(|(most, _)| fitness > *most) {
                    best = Some((fitness, system));
                }
            }
            Err(failure) => last = failure,
        }
    }
    best.map(|(_, system)| system).ok_or(last)
}

/// How much this looks like the machine that boots.
fn fitness(system: &Document) -> i32 {
    let mut points = 0;
    if system.action("#ComputerSystem.Reset", "ResetType").is_some() {
        points += 4;
    }
    if !system.text("/Boot/BootSourceOverrideTarget").is_empty() {
        points += 2;
    }
    if system.link("/EthernetInterfaces").is_some() || system.link("/Storage").is_some() {
        points += 1;
    }
    if system.text("/SystemType") == "DPU" {
        points -= 8;
    }
    points
}

/// For trees that do not link a system to its manager.
async fn first_manager(wire: &Wire, root: &Document) -> Outcome<Option<String>> {
    let Some(collection) = root.link("/Managers") else { return Ok(None) };
    match wire.get(&collection).await {
        Ok(managers) => Ok(managers.members().into_iter().next()),
        Err(failure) if failure.status.is_some() => Ok(None),
        Err(failure) => Err(failure),
    }
}
