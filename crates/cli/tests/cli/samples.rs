//! Things to show: machines, operations and steps as the control plane sends them.

use std::io::Write;
use std::sync::{Arc, Mutex};

use clap::{CommandFactory as _, Parser as _};
use cli::terminal::Sink;
use cli::{Exit, Program, Terminal};
use model::agent::SanitisedDisk;
use model::id::{MachineId, OperationId};
use model::machine::{
    Lifecycle, Machine, MachineSpec, MachineStatus, Reason, ReasonCode, Rung, SanitiseCertificate,
    SanitiseMethod, StepKind, StepState,
};
use model::operation::{Operation, OperationKind, OperationState, StepRecord, StepResult};
use model::{Bytes, Encoded, Timestamp};
use uuid::Uuid;

/// A moment, some seconds after the beginning of these samples.
pub fn at(secs: i64) -> Timestamp {
    Timestamp::from_micros((1_760_000_000 + secs) * 1_000_000)
}

pub fn machine(name: &str, lifecycle: Lifecycle) -> Machine {
    Machine {
        id: MachineId::from_uuid(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001)),
        name: name.to_owned(),
        generation: 3,
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        created: at(0),
        updated: at(0),
        spec: MachineSpec::default(),
        status: MachineStatus { lifecycle, since: at(0), ..MachineStatus::default() },
    }
}

pub fn quarantined(name: &str) -> Machine {
    let mut machine = machine(name, Lifecycle::Quarantined);
    machine.status.operation = Some(operation_id());
    machine.status.reason = Some(reason());
    machine
}

pub fn reason() -> Reason {
    Reason {
        code: ReasonCode::BmcUnreachable,
        message: "read-parts: the BMC gave no answer within 2 min 0 s".to_owned(),
        next: "Check the BMC's cable, address and power, then: bedplate operation retry ID."
            .to_owned(),
        lifecycle: Lifecycle::Inspecting,
        step: Some(StepKind::ReadParts),
        evidence: vec!["try 1 (first): refused".to_owned(), "try 2 (again): refused".to_owned()],
    }
}

pub fn operation_id() -> OperationId {
    OperationId::from_uuid(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_3f9c_1a2b))
}

pub fn operation(kind: OperationKind, state: OperationState) -> Operation {
    Operation {
        id: operation_id(),
        kind,
        machine: machine("m1", Lifecycle::Deploying).id,
        project: None,
        state,
        actor: "ada".to_owned(),
        created: at(0),
        updated: at(90),
        ended: (state == OperationState::Done).then(|| at(90)),
        reason: (state == OperationState::NeedsAttention).then(reason),
        steps: 3,
    }
}

/// A step that ran from `started` to `ended`.
pub fn step(index: u32, kind: StepKind, started: i64, ended: Option<i64>) -> StepRecord {
    StepRecord {
        operation: operation_id(),
        index,
        kind,
        lifecycle: Lifecycle::Deploying,
        attempt: 1,
        rung: Rung::First,
        started: at(started),
        ended: ended.map(at),
        result: ended.map(|_| StepResult::Done),
        detail: if ended.is_some() { "its evidence".to_owned() } else { String::new() },
    }
}

pub fn step_state(index: u32, kind: StepKind, started: i64, deadline: i64) -> StepState {
    StepState {
        kind,
        index,
        rung: Rung::First,
        attempt: 1,
        started: at(started),
        tried: at(started),
        deadline: at(deadline),
        effect: None,
        recovery: None,
        pause_until: None,
        faults: Vec::new(),
        code: None,
        progress: None,
    }
}

/// A certificate that nobody has signed yet.
pub fn certificate() -> SanitiseCertificate {
    SanitiseCertificate {
        machine: machine("m1", Lifecycle::Available).id,
        serial: "S-ä-1".to_owned(),
        at: at(90),
        operation: Some(operation_id()),
        disks: vec![SanitisedDisk {
            disk: "nvme0n1".to_owned(),
            model: "Model".to_owned(),
            serial: "D1".to_owned(),
            size: Bytes(3_840_755_982_336),
            method: SanitiseMethod::CryptoErase,
            sampled: Bytes(4 << 20),
            residue: Bytes(0),
        }],
        endorsement: Some("ab".repeat(32)),
        signature: Encoded::default(),
    }
}

/// Memory that can be written to and looked at.
#[derive(Clone, Default)]
pub struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What came of a command line.
pub struct Ran {
    pub exit: Exit,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The JSON on standard output.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
    /// It was done.
    pub fn done(self) -> Self {
        assert_eq!(self.exit, Exit::Done, "{}{}", self.out, self.err);
        self
    }
}

/// Runs a command line in this process; words are separated by blanks.
pub async fn run(directory: &std::path::Path, line: &str) -> Ran {
    let words = ["bedplate", "--dir", directory.to_str().unwrap()].into_iter();
    let program = Program::try_parse_from(words.chain(line.split(' ')))
        .unwrap_or_else(|error| panic!("{line}: {error}"));
    let (out, err) = (Paper::default(), Paper::default());
    let terminal = Terminal::plain(Sink::new(out.clone()), Sink::new(err.clone()), None);
    let exit = cli::run(Program::command(), program.global, program.verb, terminal).await;
    Ran { exit, out: out.text(), err: err.text() }
}

/// A directory that is removed at the end.
pub struct Scratch(pub std::path::PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("bedplate-cli-{name}-{}", std::process::id()));
        std::fs::remove_dir_all(&path).ok();
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
