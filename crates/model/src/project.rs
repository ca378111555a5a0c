//! Projects, and what people and roles may do in them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::Quota;
use crate::id::{ProjectId, TokenId};
use crate::resource::Resource;
use crate::time::Timestamp;

/// A project: the boundary of names, permissions and quotas.
pub type Project = Resource<ProjectId, ProjectSpec, ProjectStatus>;

/// What a project is for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectSpec {
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// What its instances may take together.
    #[serde(default, skip_serializing_if = "Quota::is_none")]
    pub quota: Quota,
}

/// What a project holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectStatus {}

/// A token: how a person or a script proves who they are.
pub type Token = Resource<TokenId, TokenSpec, TokenStatus>;

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenSpec {
    /// What the holder may do.
    pub role: Role,
    /// Where: a project's name, or every project when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// After this it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// What is known of a token. The token itself is shown once and never kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenStatus {
    /// SHA-256 of the token, hexadecimal; empty in replies.
    #[serde(default)]
    pub digest: String,
}

/// A role, with what it may do.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads, and uses what the project has: deploys, releases, powers its own machines.
    Member,
    /// Runs the hardware: enrols, quarantines, retires, settles operations.
    Operator,
    /// Everything, tokens and projects too.
    Admin,
}

/// A right that an endpoint asks for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// No proof of who asks: health, the CA's certificate, a machine's first hello.
    Open,
    /// Look.
    Read,
    /// Use what the project has.
    Use,
    /// Run the hardware.
    Operate,
    /// Decide who may do what.
    Administer,
    /// A machine's own agent, known by its certificate, about itself only.
    Agent,
}

impl Role {
    /// All roles, least first.
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Member, Role::Operator, Role::Admin];

    /// Whether this role includes a permission.
    pub fn may(self, permission: Permission) -> bool {
        match permission {
            Permission::Open => true,
            Permission::Read => true,
            Permission::Use => self >= Role::Member,
            Permission::Operate => self >= Role::Operator,
            Permission::Administer => self == Role::Admin,
            Permission::Agent => false,
        }
    }
}
