//! `bedplate machine show`: one machine as a page: where it is, why, what it does,
//! what it is made of, whether it was proven, what it runs.

use clap::Args;
use model::Timestamp;
use model::attestation::{Finding, Verdict};
use model::inventory::Inventory;
use model::machine::{Lifecycle, Machine, Reason};

use super::words;
use crate::Failure;
use crate::human::{ago, count, moment};
use crate::page::Page;
use crate::session::Session;
use crate::terminal::{Paint, Tone};

/// Which machine.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate machine show m1\n  bedplate machine show m1 --output json"
)]
pub struct Arguments {
    /// Which machine, by name or id
    machine: String,
}

/// Asks and shows.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let machine = session.client()?.machine(&arguments.machine).await?;
    let (width, paint, now) = (session.terminal.width, session.terminal.paint, session.now());
    session.show(&machine, |machine| page(machine, now, width, paint))
}

/// The page of a machine.
pub fn page(machine: &Machine, now: Timestamp, width: Option<usize>, paint: Paint) -> String {
    let mut page = Page::new(width, paint);
    place(&mut page, machine, now);
    if let Some(reason) = &machine.status.reason {
        why(&mut page, machine, reason);
    }
    progress(&mut page, machine, now);
    system(&mut page, machine, now);
    proof(&mut page, machine.status.attestation.as_ref(), machine, now);
    match (&machine.status.parts, &machine.status.parts_by_bmc) {
        (Some(inside), _) => parts(&mut page, "Parts, as the machine sees them", inside),
        (None, Some(bmc)) => parts(&mut page, "Parts, as its BMC tells them", bmc),
        (None, None) => {}
    }
    disks(&mut page, machine, now);
    bmc(&mut page, machine);
    page.finish()
}

fn place(page: &mut Page, machine: &Machine, now: Timestamp) {
    let status = &machine.status;
    page.heading(&format!("Machine {}", machine.name));
    page.toned(words::tone(status.lifecycle), "state", status.lifecycle.name());
    page.line("since", moment(now, status.since));
    page.line("power", status.power.to_string());
    page.line("rack", machine.spec.rack.as_deref().unwrap_or_default());
    page.line("policy", machine.spec.policy.as_deref().unwrap_or("default"));
    for (label, hold) in [("drained", &machine.spec.drain), ("locked", &machine.spec.lock)] {
        let Some(hold) = hold else { continue };
        let text = format!("by {} {}: {}", hold.by, ago(now, hold.since), hold.reason);
        page.toned(Tone::Warn, label, text);
    }
    let labels: Vec<String> =
        machine.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    page.line("labels", labels.join(" "));
    page.line("id", machine.id.to_string());
    page.line("generation", machine.generation.to_string());
}

fn why(page: &mut Page, machine: &Machine, reason: &Reason) {
    page.heading("Why it cannot go on");
    page.toned(Tone::Bad, "reason", reason.code.name());
    page.line("what happened", &reason.message);
    let step = reason.step.map(|step| format!(", step {step}")).unwrap_or_default();
    page.line("where", format!("{}{step}", reason.lifecycle));
    for (place, seen) in words::evidence(reason).iter().enumerate() {
        page.line(if place == 0 { "evidence" } else { "" }, seen);
    }
    let operation = machine.status.operation.map(|id| id.short());
    let bmc = machine.spec.bmc.as_ref().map(|bmc| bmc.address.as_str());
    let next = words::next(reason, &machine.name, bmc, operation.as_deref());
    page.toned(Tone::Bold, "next", next);
    if let Some(id) = operation {
        page.line("settle", format!("bedplate operation retry|skip|abandon {id}"));
    }
}

fn progress(page: &mut Page, machine: &Machine, now: Timestamp) {
    let Some(step) = &machine.status.step else { return };
    page.heading("What it is doing");
    page.toned(Tone::Moving, "step", words::step(step));
    page.line("", words::doing(step.kind));
    if let Some(progress) = &step.progress {
        page.line("it says", &progress.doing);
    }
    page.line("begun", ago(now, step.started));
    page.line("otherwise", words::patience(step, now));
    for (place, fault) in step.faults.iter().enumerate() {
        page.toned(Tone::Warn, if place == 0 { "faults so far" } else { "" }, fault);
    }
    if let Some(operation) = machine.status.operation {
        page.line("watch it", format!("bedplate operation wait {}", operation.short()));
    }
}

fn system(page: &mut Page, machine: &Machine, now: Timestamp) {
    let Some(wanted) = &machine.spec.deployment else { return };
    page.heading("System");
    page.line("project", &wanted.project);
    page.line("image", &wanted.image);
    page.line("hostname", &wanted.hostname);
    let Some(system) = &machine.status.system else { return };
    if let Some(home) = system.called_home {
        page.line("called home", moment(now, home));
    }
    let keys = system.host_keys.len();
    page.line("host keys", if keys == 0 { String::new() } else { format!("{keys}, in its JSON") });
    if let Some(address) = &system.address {
        page.line("address", address);
        if machine.status.lifecycle == Lifecycle::Active {
            page.toned(Tone::Bold, "log in", ssh(address));
        }
    }
}

/// How to log in to a system. Who its first user is only its image knows.
pub fn ssh(address: &str) -> String {
    format!("ssh USER@{address}   (USER is the image's; debian on Debian)")
}

fn proof(page: &mut Page, verdict: Option<&Verdict>, machine: &Machine, now: Timestamp) {
    let endorsement = machine.status.endorsement.as_deref();
    if verdict.is_none() && endorsement.is_none() {
        return;
    }
    page.heading("Proof");
    if let Some(verdict) = verdict {
        let (tone, finding) = match &verdict.finding {
            Finding::Trusted => (Tone::Good, format!("trusted by policy {}", verdict.policy)),
            Finding::Learning => (
                Tone::Warn,
                "genuine; no policy is enforced yet (bedplate policy learn)".to_owned(),
            ),
            Finding::Refused { code, message } => {
                (Tone::Bad, format!("refused, {code}: {message}"))
            }
        };
        page.toned(tone, "verdict", finding);
        page.line("judged", moment(now, verdict.at));
    }
    page.line("TPM", endorsement.unwrap_or_default());
}

fn parts(page: &mut Page, heading: &str, parts: &Inventory) {
    page.heading(heading);
    let system = &parts.system;
    page.line("product", format!("{} {}", system.manufacturer, system.product).trim());
    page.line("serial", &system.serial);
    if let Some(first) = parts.processors.first() {
        let sockets = count(parts.processors.len(), "socket");
        page.line("processors", format!("{} cores in {sockets}, {}", parts.cores(), first.model));
    }
    let modules = count(parts.memory.len(), "module");
    page.line("memory", format!("{} in {modules}", parts.memory_total()));
    for (place, disk) in parts.disks.iter().enumerate() {
        let text = format!(
            "{} {} {} {} {}",
            disk.name, disk.size, disk.transport, disk.model, disk.serial
        );
        page.line(if place == 0 { "disks" } else { "" }, text);
    }
    for (place, nic) in parts.nics.iter().enumerate() {
        let neighbour = nic.neighbour.as_ref().map(|it| format!("to {} {}", it.system, it.port));
        let link = if nic.link { "up" } else { "down" };
        let text = format!("{} {} {link} {}", nic.name, nic.mac, neighbour.unwrap_or_default());
        page.line(if place == 0 { "network" } else { "" }, text);
    }
    let firmware: Vec<String> =
        parts.firmware.iter().map(|it| format!("{} {}", it.part, it.version)).collect();
    page.line("firmware", firmware.join(", "));
    if let Some(tpm) = &parts.tpm {
        page.line("TPM made by", format!("{} ({})", tpm.manufacturer, tpm.family));
    }
}

fn disks(page: &mut Page, machine: &Machine, now: Timestamp) {
    let Some(certificate) = &machine.status.certificate else { return };
    page.heading("Last sanitising");
    page.line("ended", moment(now, certificate.at));
    for disk in &certificate.disks {
        page.line("disk", super::certificate::disk(disk));
    }
    page.line("proof", format!("bedplate machine certificate {}", machine.name));
}

fn bmc(page: &mut Page, machine: &Machine) {
    let status = &machine.status;
    let address = machine.spec.bmc.as_ref().map(|bmc| bmc.address.as_str());
    let Some(address) = address.or(status.seen_at.as_deref()) else { return };
    page.heading("BMC");
    page.line("address", address);
    if let Some(bmc) = &machine.spec.bmc {
        page.line("account", &bmc.username);
        page.line("certificate", bmc.certificate.as_deref().unwrap_or_default());
    }
    let abilities = [
        (status.abilities.http_boot, "HTTP boot"),
        (status.abilities.virtual_media, "virtual media"),
        (status.abilities.events, "events"),
    ];
    let can: Vec<&str> = abilities.iter().filter(|(can, _)| *can).map(|(_, what)| *what).collect();
    page.line("can do", can.join(", "));
}
