//! What must hold when a simulated site has come to rest, whatever happened: a
//! judge that looks at what people were told, at the machines as hardware, and at
//! the record, and believes none of them alone.

use std::collections::BTreeMap;

use model::machine::{Lifecycle, Machine, ReasonCode};
use model::operation::OperationState;
use record::store::simulated::Simulated;
use record::{State, Store};

use control::nouns::Nouns;

use super::server::Content;
use super::site::Site;

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The seed.
    pub seed: u64,
    /// Machines.
    pub machines: u64,
    /// Machines with faults.
    pub faulty: u64,
    /// Kills of the control plane.
    pub kills: u64,
    /// Machines by state at the end.
    pub ended: BTreeMap<Lifecycle, u64>,
    /// Operations that were acknowledged.
    pub acknowledged: u64,
    /// Machines that are neither available, active, nor quarantined with a reason.
    pub stuck: u64,
    /// Acknowledged operations that the record does not have.
    pub lost: u64,
    /// Requests that became two operations.
    pub doubled: u64,
    /// What nothing explains: well machines in quarantine, dirty disks given out, ….
    pub unexplained: u64,
    /// The record does not replay to itself.
    pub replay_mismatches: u64,
    /// Of all that happened.
    pub trace: u64,
    /// In words, for people: what was found wrong.
    pub faults: Vec<String>,
}

impl Findings {
    /// Whether all is as it must be.
    pub const fn clean(&self) -> bool {
        self.stuck + self.lost + self.doubled + self.unexplained + self.replay_mismatches == 0
    }

    fn blame(&mut self, fault: String) {
        const FAULTS_KEPT: usize = 20;
        if self.faults.len() < FAULTS_KEPT {
            self.faults.push(fault);
        }
    }
}

/// Judges a site at rest.
pub fn judge(site: &mut Site) -> Findings {
    let mut findings = Findings {
        seed: site.options.seed,
        machines: u64::from(site.options.machines),
        kills: u64::from(site.kills),
        ..Findings::default()
    };
    let mut store = Simulated::open(&site.disk);
    let state = store.load().expect("an opened disk loads");
    judge_record(&mut findings, &mut store, &state);
    let nouns = match Nouns::load(&state) {
        Ok(nouns) => nouns,
        Err(error) => {
            findings.replay_mismatches += 1;
            findings.blame(error.to_string());
            return findings;
        }
    };
    for number in 0..site.options.machines {
        judge_machine(&mut findings, site, &nouns, number);
    }
    judge_operations(&mut findings, site, &nouns);
    site.note(state.revision(), (state.hash() >> 64) as u64);
    findings.trace = site.trace;
    findings
}

fn judge_record(findings: &mut Findings, store: &mut Simulated, state: &State) {
    let replayed = store.replay().expect("an opened disk replays");
    if replayed.hash() != state.hash() || replayed.revision() != state.revision() {
        findings.replay_mismatches += 1;
        findings.blame("the record does not replay to itself".to_owned());
    }
}

fn judge_machine(findings: &mut Findings, site: &Site, nouns: &Nouns, number: u32) {
    let server = &site.servers[number as usize];
    let well = server.faults.well();
    findings.faulty += u64::from(!well);
    let Some(machine) = nouns.machines.by_name(&format!("sim-{number}")) else {
        findings.stuck += 1;
        return findings.blame(format!("sim-{number} was never enrolled"));
    };
    let lifecycle = machine.status.lifecycle;
    *findings.ended.entry(lifecycle).or_default() += 1;
    match lifecycle {
        Lifecycle::Available | Lifecycle::Active => {}
        Lifecycle::Quarantined if machine.status.reason.is_some() => {}
        _ => {
            findings.stuck += 1;
            let step = machine.status.step.as_ref().map(|step| step.kind.name());
            findings.blame(format!("sim-{number} is {lifecycle} at {step:?}"));
        }
    }
    for fault in contradictions(machine, server, well) {
        findings.unexplained += 1;
        findings.blame(format!("sim-{number}: {fault}"));
    }
}

/// What cannot be, of one machine.
fn contradictions(machine: &Machine, server: &super::server::Server, well: bool) -> Vec<String> {
    let mut found = Vec::new();
    let status = &machine.status;
    let reason = status.reason.as_ref();
    if well && reason.is_some_and(|reason| reason.code != ReasonCode::Requested) {
        found.push(format!("well, and quarantined: {:?}", reason.map(|it| &it.message)));
    }
    if status.lifecycle == Lifecycle::Available && server.tenant.is_some() {
        found.push("available, with a tenant's data on its disk".to_owned());
    }
    if status.lifecycle == Lifecycle::Active && !matches!(server.disk, Content::System { .. }) {
        found.push("active, without a system on its disk".to_owned());
    }
    if server.overwritten > 0 {
        found.push("an image was written over what was not sanitised".to_owned());
    }
    if status.step.is_some() && status.lifecycle.rests() {
        found.push("a step goes on in a machine that rests".to_owned());
    }
    found
}

fn judge_operations(findings: &mut Findings, site: &Site, nouns: &Nouns) {
    let mut by_actor: BTreeMap<&str, u64> = BTreeMap::new();
    for operation in nouns.operations.values() {
        *by_actor.entry(operation.actor.as_str()).or_default() += 1;
        let machine = nouns.machines.get(operation.machine.uuid());
        let lifecycle = machine.map(|machine| machine.status.lifecycle);
        let fits = match operation.state {
            OperationState::Running => lifecycle.is_some_and(|state| !state.rests()),
            OperationState::NeedsAttention => lifecycle == Some(Lifecycle::Quarantined),
            OperationState::Done | OperationState::Abandoned => operation.ended.is_some(),
        };
        if !fits {
            findings.unexplained += 1;
            let state = operation.state;
            findings.blame(format!("operation {} is {state} on {lifecycle:?}", operation.id));
        }
    }
    for (actor, count) in by_actor.iter().filter(|(_, count)| **count > 1) {
        findings.doubled += count - 1;
        findings.blame(format!("request {actor} became {count} operations"));
    }
    for (key, id) in site.people.iter().flat_map(|person| &person.acknowledged) {
        findings.acknowledged += 1;
        let known = nouns.operations.get(id);
        if known.is_none_or(|operation| operation.actor != *key) {
            findings.lost += 1;
            findings.blame(format!("request {key} was acknowledged and is not in the record"));
        }
    }
}
