//! Who may do what: grants, policies, and the block of public access. Decisions are
//! pure functions of these and a request.

mod conditions;
mod decide;
mod pattern;

use serde::{Deserialize, Serialize};

pub use self::conditions::{Values, operator_is_known};
pub use self::decide::{
    Decision, Reason, Request, Thing, allowed, grants_are_public, policy_is_public,
};
pub use self::pattern::{Pattern, matches};
use crate::name::Owner;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Nobody in particular.
    Anonymous,
    /// An account, known by its key.
    Account {
        /// Its stable id.
        owner: Owner,
        /// Its name, as policies may call it.
        name: Box<str>,
    },
}

/// To whom something is granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grantee {
    /// One account.
    Account(Owner),
    /// Everybody.
    Everybody,
    /// Everybody who has proved who they are.
    Authenticated,
    /// The service that writes access logs.
    LogDelivery,
}

/// What is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Permission {
    /// Everything below.
    FullControl,
    /// A bucket: write objects.
    Write,
    /// Change the grants.
    WriteGrants,
    /// A bucket: list. An object: read.
    Read,
    /// Read the grants.
    ReadGrants,
}

/// One line of a list of grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// To whom.
    pub grantee: Grantee,
    /// What.
    pub permission: Permission,
}

/// What must never be public, whatever grants and policies say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicAccessBlock {
    /// Refuse new public grants.
    pub block_grants: bool,
    /// Do as if public grants were not there.
    pub ignore_grants: bool,
    /// Refuse a public policy.
    pub block_policy: bool,
    /// A public policy holds for the owner's account only.
    pub restrict_policy: bool,
}

/// A bucket's policy: its text, as given, and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The document, told back byte for byte.
    pub text: Box<str>,
    /// What it says.
    pub statements: Vec<Statement>,
}

/// One statement of a policy. Names of actions, resources and condition keys are a
/// dialect's; here they are patterns (`*`, `?`) over text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Its name.
    pub id: Option<Box<str>>,
    /// It allows; else it denies.
    pub allow: bool,
    /// For whom.
    pub principals: Principals,
    /// Which actions.
    pub actions: Patterns,
    /// On which resources: `BUCKET` or `BUCKET/KEY`.
    pub resources: Patterns,
    /// When: all must hold.
    pub conditions: Vec<Condition>,
}

/// For whom a statement is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Principals {
    /// Everybody.
    Everybody,
    /// These accounts, by id or name. `GROUP$NAME` is a name; `GROUP` stands for all of
    /// its accounts.
    These(Vec<Box<str>>),
    /// All but these.
    AllBut(Vec<Box<str>>),
}

/// Patterns, any of which fits, or none of which may fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Patterns {
    /// One of these fits.
    Any(Vec<Box<str>>),
    /// None of these fits.
    None(Vec<Box<str>>),
}

/// A condition of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// How values are compared: `StringEquals`, `IpAddress`, …, with `IfExists`,
    /// `ForAllValues:`, `ForAnyValue:`.
    pub operator: Box<str>,
    /// The key of the request's value.
    pub key: Box<str>,
    /// What it is compared with: one must fit.
    pub values: Vec<Box<str>>,
}
