//! What of everything there is a caller has to do with.
//!
//! A token without a project has to do with all of it. A token of a project has to
//! do with the machines that run or get its systems, and sees the machines that are
//! available, since it may deploy on them; with its own images, and sees those that
//! are everybody's; with its own operations; and with its project. What lies
//! outside is not found, so that nobody learns what others have.

use model::api::Endpoint;
use model::id::{MachineId, OperationId};
use model::image::Image;
use model::machine::{Lifecycle, Machine};
use model::operation::Operation;
use model::project::{Permission, Project};
use model::{ErrorCode, Problem};
use std::sync::Arc;
use uuid::Uuid;

use super::incoming::Incoming;
use super::principal::Principal;
use crate::nouns::Nouns;

/// What a caller has to do with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    project: Option<String>,
    uses: bool,
    administers: bool,
}

impl Scope {
    /// Of somebody whom the authorisation let through.
    pub fn of(principal: &Principal) -> Self {
        match principal {
            Principal::Person(person) => Self {
                project: person.project.clone(),
                uses: person.role.may(Permission::Use),
                administers: person.role.may(Permission::Administer) && person.project.is_none(),
            },
            // None of these reaches an endpoint of people. If one ever does, it has
            // to do with a project that cannot exist.
            Principal::Nobody | Principal::Agent(_) | Principal::Control => {
                Self { project: Some(String::new()), uses: false, administers: false }
            }
        }
    }

    /// The project that the caller is bound to.
    pub fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }
    /// Whether the caller may use what the project has, and so sees what was given to use it.
    pub fn uses(&self) -> bool {
        self.uses
    }
    /// Whether the caller decides who may do what, and so sees tokens.
    pub fn administers(&self) -> bool {
        self.administers
    }
    /// Whether something of a project (of everybody when absent) is the caller's own.
    pub fn owns(&self, project: Option<&str>) -> bool {
        self.project().is_none_or(|bound| project == Some(bound))
    }

    /// Whether the caller sees a machine.
    pub fn sees_machine(&self, machine: &Machine) -> bool {
        self.owns_machine(machine)
            || (machine.status.lifecycle == Lifecycle::Available && !self.is_nobody())
    }
    /// Whether a machine runs or gets a system of the caller's.
    pub fn owns_machine(&self, machine: &Machine) -> bool {
        self.owns(machine.spec.deployment.as_ref().map(|it| it.project.as_str()))
    }
    /// Whether the caller sees an image.
    pub fn sees_image(&self, image: &Image) -> bool {
        self.owns(image.spec.project.as_deref()) || image.spec.project.is_none()
    }
    /// Whether the caller sees an operation.
    pub fn sees_operation(&self, operation: &Operation) -> bool {
        self.owns(operation.project.as_deref())
    }
    /// Whether the caller sees a project.
    pub fn sees_project(&self, project: &Project) -> bool {
        self.owns(Some(&project.name))
    }

    fn is_nobody(&self) -> bool {
        self.project.as_deref() == Some("")
    }
}

/// There is none of that name, or none that the caller has to do with.
pub fn not_found(kind: &str, name: &str) -> Problem {
    let name: String = name.chars().take(100).collect();
    Problem::new(ErrorCode::NotFound, format!("there is no {kind} `{name}`"))
}

impl<E: Endpoint> Incoming<E> {
    /// What the caller has to do with.
    pub fn scope(&self) -> Scope {
        Scope::of(&self.principal)
    }

    /// Refuses whoever is bound to a project: this is about all of them.
    pub fn of_no_project(&self) -> Result<(), Problem> {
        match self.scope().project() {
            None => Ok(()),
            Some(_) => {
                let detail =
                    format!("{} is of all projects, and the token is bound to one", E::INFO.name);
                Err(Problem::new(ErrorCode::Forbidden, detail))
            }
        }
    }

    /// Refuses whoever is bound to another project than this one.
    pub fn in_project(&self, project: &str) -> Result<(), Problem> {
        match self.scope().owns(Some(project)) {
            true => Ok(()),
            false => Err(Problem::new(
                ErrorCode::Forbidden,
                format!("the token is bound to another project than {project}"),
            )),
        }
    }

    /// The machine of the path, if the caller sees it.
    pub fn machine(&self) -> Result<Arc<Machine>, Problem> {
        let name = self.parameter("machine");
        let scope = self.scope();
        let nouns = self.plane.leader.read();
        let found = nouns.machines.find(name).filter(|machine| scope.sees_machine(machine));
        found.cloned().ok_or_else(|| not_found("machine", name))
    }

    /// The machine of the path, if the caller may do something to it.
    pub fn own_machine(&self) -> Result<Arc<Machine>, Problem> {
        let machine = self.machine()?;
        let scope = self.scope();
        match (scope.owns_machine(&machine), scope.project()) {
            (false, Some(project)) => Err(Problem::new(
                ErrorCode::Forbidden,
                format!("{} runs no system of the project {project}", machine.name),
            )
            .next("Deploy on it first; then it is the project's until it is released.")),
            _ => Ok(machine),
        }
    }

    /// The id of the machine of the path for a change, if the caller sees it.
    pub fn machine_to_change(&self) -> Result<MachineId, Problem> {
        let found = self.machine().map(|machine| machine.id);
        self.target(found, MachineId::from_uuid(Uuid::nil()))
    }

    /// The id of the machine of the path for a change that only its project may ask for.
    pub fn own_machine_to_change(&self) -> Result<MachineId, Problem> {
        let found = self.own_machine().map(|machine| machine.id);
        self.target(found, MachineId::from_uuid(Uuid::nil()))
    }

    /// The image of the path, if the caller sees it.
    pub fn image(&self) -> Result<Arc<Image>, Problem> {
        let name = self.parameter("image");
        let scope = self.scope();
        let nouns = self.plane.leader.read();
        let found = nouns.images.find(name).filter(|image| scope.sees_image(image));
        found.cloned().ok_or_else(|| not_found("image", name))
    }

    /// The image of the path, if it is the caller's to change.
    pub fn own_image(&self) -> Result<Arc<Image>, Problem> {
        let image = self.image()?;
        match self.scope().owns(image.spec.project.as_deref()) {
            true => Ok(image),
            false => Err(Problem::new(
                ErrorCode::Forbidden,
                format!(
                    "the image {} is everybody's, and the token is bound to a project",
                    image.name
                ),
            )),
        }
    }

    /// The operation of the path, if the caller sees it.
    pub fn operation(&self) -> Result<Arc<Operation>, Problem> {
        let text = self.parameter("operation");
        let scope = self.scope();
        let id: Option<OperationId> = text.parse().ok();
        let nouns = self.plane.leader.read();
        let found = id.and_then(|id| nouns.operations.get(&id));
        let found = found.filter(|operation| scope.sees_operation(operation));
        found.cloned().ok_or_else(|| not_found("operation", text))
    }
}

/// The name of the machine of an operation, for events.
pub fn operation_of(nouns: &Nouns, id: &str) -> Option<Arc<Operation>> {
    nouns.operations.get(&id.parse().ok()?).cloned()
}
