//! What is in the control plane of the tests: two projects, a token for each role
//! and case, machines in several states, an image of everybody's and one of a
//! project, a policy, and an operation of each project.

use std::collections::BTreeMap;

use control::identity::tokens::digest;
use control::nouns::Shelved;
use model::attestation::{Policy, PolicySpec, PolicyStatus};
use model::fleet::{
    Host, HostSpec, HostStatus, Instance, InstanceSpec, InstanceStatus, InstanceType,
    InstanceTypeSpec, InstanceTypeStatus, PlacementGroup, PlacementGroupSpec, PlacementGroupStatus,
};
use model::id::{HostId, ImageId, MachineId, OperationId, PolicyId, ProjectId, TokenId};
use model::image::{Compression, Image, ImageFormat, ImageSpec, ImageStatus};
use model::machine::{
    BmcSpec, BootPermit, BootRoad, Deployment, Lifecycle, Machine, MachineSpec, MachineStatus,
    Rung, StepKind, SystemPresence,
};
use model::operation::{Operation, OperationKind, OperationState, StepRecord, StepResult};
use model::project::{Project, ProjectSpec, ProjectStatus, Role, Token, TokenSpec, TokenStatus};
use model::secret::Sealed;
use model::{Duration, Encoded, Resource, Resources};
use record::{Change, ObjectRow, OperationRow, StepRow};
use serde::Serialize;
use uuid::Uuid;

use crate::house::NOW;

/// Words that stand for secrets: none of them may ever leave.
pub const SECRETS: &[&str] = &["c2VhbGVkLWJ5dGVz", "boot-token-secret", "home-digest-secret"];
/// User data of alpha's system, for those who may use it.
pub const USER_DATA: &str = "user-data-of-alpha";

/// Machines, in the order of their ids.
pub const MACHINES: [&str; 4] = ["m-free", "m-alpha", "m-beta", "m-seen"];

/// Ids that tests name.
pub fn id(number: u128) -> Uuid {
    // Version 7, so that it is the kind of id that is made otherwise.
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number)
}

/// The operation of a project: 1 of alpha, 2 of beta.
pub fn operation(number: u128) -> OperationId {
    OperationId::from_uuid(id(500 + number))
}

/// Everything, as it is recorded.
pub fn changes() -> Vec<Change> {
    let mut changes = Vec::new();
    for (number, name) in ["alpha", "beta"].iter().enumerate() {
        changes.push(object(&project(number as u128, name)));
    }
    changes.extend(tokens().iter().map(object));
    changes.extend(machines().iter().map(object));
    changes.push(object(&image(1, "everybody", None)));
    changes.push(object(&image(2, "image-alpha", Some("alpha"))));
    changes.push(object(&image(3, "image-beta", Some("beta"))));
    changes.push(object(&policy()));
    changes.extend(fleet());
    for (number, project) in [(1, "alpha"), (2, "beta")] {
        changes.extend(work(number, project));
    }
    changes
}

fn resource<N, S, T>(id: Uuid, name: &str, spec: S, status: T) -> Resource<model::Id<N>, S, T> {
    Resource {
        id: model::Id::from_uuid(id),
        name: name.to_owned(),
        generation: 3,
        labels: BTreeMap::new(),
        created: NOW - Duration::from_secs(1000),
        updated: NOW,
        spec,
        status,
    }
}

pub fn object<T: Shelved + Serialize>(thing: &T) -> Change {
    Change::Object(ObjectRow {
        kind: T::KIND.to_owned(),
        id: thing.uuid(),
        name: thing.name().to_owned(),
        generation: thing.generation(),
        body: serde_json::to_string(thing).unwrap(),
    })
}

fn project(number: u128, name: &str) -> Project {
    let _: Option<ProjectId> = None;
    resource(id(100 + number), name, ProjectSpec::default(), ProjectStatus {})
}

/// The tokens: each is its own name.
fn tokens() -> Vec<Token> {
    let of = |number: u128, name: &str, role, project: Option<&str>, expires| {
        let spec = TokenSpec { role, project: project.map(str::to_owned), expires };
        let _: Option<TokenId> = None;
        resource(id(200 + number), name, spec, TokenStatus { digest: digest(name) })
    };
    let past = Some(NOW - Duration::from_secs(1));
    let future = Some(NOW + Duration::from_secs(1000));
    vec![
        of(1, "viewer", Role::Viewer, None, None),
        of(2, "member", Role::Member, None, None),
        of(3, "operator", Role::Operator, None, future),
        of(4, "admin", Role::Admin, None, None),
        of(5, "alpha-member", Role::Member, Some("alpha"), None),
        of(6, "beta-member", Role::Member, Some("beta"), None),
        of(7, "expired", Role::Admin, None, past),
        of(8, "victim", Role::Viewer, None, None),
        of(9, "beta-admin", Role::Admin, Some("beta"), None),
        of(10, "alpha-viewer", Role::Viewer, Some("alpha"), None),
    ]
}

fn machines() -> Vec<Machine> {
    vec![
        machine(1, MACHINES[0], Lifecycle::Available, None),
        machine(2, MACHINES[1], Lifecycle::Active, Some("alpha")),
        machine(3, MACHINES[2], Lifecycle::Active, Some("beta")),
        machine(4, MACHINES[3], Lifecycle::Discovered, None),
    ]
}

pub fn machine_id(number: u128) -> MachineId {
    MachineId::from_uuid(id(300 + number))
}

/// A machine, full of what must not be shown.
pub fn machine(number: u128, name: &str, lifecycle: Lifecycle, project: Option<&str>) -> Machine {
    let deployment = project.map(|project| Deployment {
        project: project.to_owned(),
        image: "everybody".to_owned(),
        hostname: name.to_owned(),
        ssh_keys: Vec::new(),
        user_data: Some(format!("user-data-of-{project}")),
        disk: None,
        kexec: false,
    });
    let bmc = BmcSpec {
        address: format!("https://10.0.0.{number}"),
        username: "root".to_owned(),
        password: Sealed { key: "k1".to_owned(), ciphertext: Encoded(b"sealed-bytes".to_vec()) },
        certificate: None,
    };
    let spec = MachineSpec { bmc: Some(bmc), deployment, ..MachineSpec::default() };
    let status = MachineStatus {
        lifecycle,
        since: NOW - Duration::from_secs(100),
        boot: Some(BootPermit {
            token: format!("boot-token-secret-{number}"),
            road: BootRoad::Http,
            issued: NOW,
            seen: None,
            fetched: None,
        }),
        system: Some(SystemPresence {
            token_digest: format!("home-digest-secret-{number}"),
            ..SystemPresence::default()
        }),
        ..MachineStatus::default()
    };
    let mut machine: Machine = resource(machine_id(number).uuid(), name, spec, status);
    machine.labels.insert("rack".to_owned(), format!("r{}", number % 2));
    machine
}

pub fn image_id(number: u128) -> ImageId {
    ImageId::from_uuid(id(400 + number))
}

fn image(number: u128, name: &str, project: Option<&str>) -> Image {
    let spec = ImageSpec {
        format: ImageFormat::Raw,
        compression: Compression::None,
        project: project.map(str::to_owned),
    };
    let status = ImageStatus { ready: true, ..ImageStatus::default() };
    resource(image_id(number).uuid(), name, spec, status)
}

fn policy() -> Policy {
    let _: Option<PolicyId> = None;
    resource(id(600), "default", PolicySpec::default(), PolicyStatus::default())
}

/// A type, a host that takes instances, and a group and an instance of each project.
fn fleet() -> Vec<Change> {
    let gib = |gib: u32| gib * 1024;
    let of = |cores: u32, memory| Resources {
        millicores: cores * 1000,
        memory_mib: gib(memory),
        ..Resources::default()
    };
    let kind: InstanceType = resource(
        id(700),
        "small",
        InstanceTypeSpec { resources: of(2, 8), ..InstanceTypeSpec::default() },
        InstanceTypeStatus {},
    );
    let status = HostStatus { room: vec![of(16, 64)], rack: None };
    let host: Host = resource(machine_id(3).uuid(), MACHINES[2], HostSpec::default(), status);
    let mut changes = vec![object(&kind), object(&host)];
    for (number, project) in [(1, "alpha"), (2, "beta")] {
        let name = format!("group-{project}");
        let spec =
            PlacementGroupSpec { project: project.to_owned(), ..PlacementGroupSpec::default() };
        let group: PlacementGroup =
            resource(id(710 + number), &name, spec, PlacementGroupStatus {});
        let spec =
            InstanceSpec { project: project.to_owned(), kind: "small".to_owned(), group: None };
        let status = InstanceStatus {
            host: Some(HostId::from_uuid(machine_id(3).uuid())),
            since: NOW,
            ..InstanceStatus::default()
        };
        let instance: Instance = resource(id(720 + number), &format!("i-{project}"), spec, status);
        changes.extend([object(&group), object(&instance)]);
    }
    changes
}

/// A deployment that has ended, with two steps.
fn work(number: u128, project: &str) -> Vec<Change> {
    let (begin, end) = (NOW - Duration::from_secs(300), NOW - Duration::from_secs(100));
    let operation = Operation {
        id: operation(number),
        kind: OperationKind::Deploy,
        machine: machine_id(number + 1),
        project: Some(project.to_owned()),
        state: OperationState::Done,
        actor: format!("{project}-member"),
        created: begin,
        updated: end,
        ended: Some(end),
        reason: None,
        steps: 2,
    };
    let middle = begin + Duration::from_secs(50);
    let step = |index, kind, started, ended| StepRecord {
        operation: operation.id,
        index,
        kind,
        lifecycle: Lifecycle::Deploying,
        attempt: 1,
        rung: Rung::First,
        started,
        ended: Some(ended),
        result: Some(StepResult::Done),
        detail: "as it must be".to_owned(),
    };
    let steps =
        [step(0, StepKind::WriteImage, begin, middle), step(1, StepKind::AwaitSystem, middle, end)];
    let mut changes = vec![operation_change(&operation)];
    changes.extend(steps.iter().map(|step| {
        Change::Step(StepRow {
            operation: step.operation.uuid(),
            index: step.index,
            body: serde_json::to_string(step).unwrap(),
        })
    }));
    changes
}

pub fn operation_change(operation: &Operation) -> Change {
    Change::Operation(OperationRow {
        id: operation.id.uuid(),
        kind: operation.kind.name().to_owned(),
        target: operation.machine.uuid(),
        state: operation.state.name().to_owned(),
        body: serde_json::to_string(operation).unwrap(),
    })
}
