//! The decision: what a policy denies is denied; else what it allows, what is one's own,
//! or what is granted, is allowed; else it is denied.

use super::conditions::{self, Values};
use super::pattern::{self, Pattern};
use super::{
    Condition, Grant, Grantee, Patterns, Permission, Policy, Principal, Principals,
    PublicAccessBlock, Statement,
};
use crate::bucket::Ownership;
use crate::name::Owner;

/// A question of access.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What for, as policies call it.
    pub action: &'a str,
    /// On what: `BUCKET` or `BUCKET/KEY`.
    pub resource: &'a str,
    /// Whose bucket it is.
    pub bucket_owner: &'a Owner,
    /// The bucket's policy.
    pub policy: Option<&'a Policy>,
    /// What must not be public in this bucket.
    pub block: PublicAccessBlock,
    /// Whose objects are that others write. When all are the bucket owner's, grants
    /// have no effect.
    pub ownership: Ownership,
    /// The thing whose owner and grants count.
    pub thing: Thing<'a>,
    /// Values for conditions and variables.
    pub values: &'a dyn Values,
    /// Whether a condition makes a statement for everybody one for a known few.
    pub limits: fn(&Condition) -> bool,
}

/// A bucket or an object, as grants see it.
#[derive(Clone, Copy)]
pub struct Thing<'a> {
    /// Whose it is.
    pub owner: &'a Owner,
    /// Who else may do something with it.
    pub grants: &'a [Grant],
    /// What must have been granted; `None` when no grant is enough.
    pub permission: Option<Permission>,
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may be done.
    Allowed,
    /// It may not.
    Denied(Reason),
}

/// Why something is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The policy denies it.
    Policy,
    /// Nothing allows it.
    Nothing,
}

impl Decision {
    /// Whether it may be done.
    pub fn is_allowed(self) -> bool {
        self == Decision::Allowed
    }
}

/// Decides.
pub fn allowed(request: &Request<'_>) -> Decision {
    let mut by_policy = false;
    for statement in request.policy.into_iter().flat_map(|policy| &policy.statements) {
        // What is decided already needs no look: only a denial can change it.
        if (statement.allow && by_policy) || !applies(statement, request) {
            continue;
        }
        if !statement.allow {
            return Decision::Denied(Reason::Policy);
        }
        by_policy = true;
    }
    if by_policy && request.block.restrict_policy {
        let public = request.policy.is_some_and(|policy| policy_is_public(policy, request.limits));
        by_policy = !public || is(request.principal, request.bucket_owner);
    }
    if by_policy || owns(request) || granted(request) {
        Decision::Allowed
    } else {
        Decision::Denied(Reason::Nothing)
    }
}

fn is(principal: &Principal, wanted: &Owner) -> bool {
    matches!(principal, Principal::Account { owner, .. } if owner == wanted)
}

fn enforced(request: &Request<'_>) -> bool {
    request.ownership == Ownership::BucketOwnerEnforced
}

fn owns(request: &Request<'_>) -> bool {
    let owner = if enforced(request) { request.bucket_owner } else { request.thing.owner };
    is(request.principal, owner)
}

fn granted(request: &Request<'_>) -> bool {
    let Some(wanted) = request.thing.permission.filter(|_| !enforced(request)) else {
        return false;
    };
    request.thing.grants.iter().any(|grant| {
        let to = match (&grant.grantee, request.principal) {
            (Grantee::Account(known), principal) => is(principal, known),
            (Grantee::Everybody, _) => !request.block.ignore_grants,
            (Grantee::Authenticated, Principal::Account { .. }) => !request.block.ignore_grants,
            (Grantee::Authenticated, Principal::Anonymous) | (Grantee::LogDelivery, _) => false,
        };
        to && (grant.permission == wanted || grant.permission == Permission::FullControl)
    })
}

fn applies(statement: &Statement, request: &Request<'_>) -> bool {
    for_whom(&statement.principals, request.principal)
        && fits(&statement.actions, |wanted| pattern::matches_ignoring_case(wanted, request.action))
        && fits(&statement.resources, |wanted| {
            if wanted.contains("${") {
                let expanded = Pattern::expand(wanted, request.values);
                expanded.is_some_and(|wanted| wanted.matches(request.resource))
            } else {
                pattern::matches(wanted, request.resource)
            }
        })
        && statement.conditions.iter().all(|condition| conditions::holds(condition, request.values))
}

fn fits(patterns: &Patterns, fits: impl Fn(&str) -> bool) -> bool {
    match patterns {
        Patterns::Any(patterns) => patterns.iter().any(|pattern| fits(pattern)),
        Patterns::None(patterns) => !patterns.iter().any(|pattern| fits(pattern)),
    }
}

fn for_whom(principals: &Principals, principal: &Principal) -> bool {
    let named = |names: &[Box<str>]| {
        let Principal::Account { owner, name } = principal else { return false };
        let group = name.split_once('$').map(|(group, _)| group);
        names.iter().any(|known| {
            **known == *owner.0 || *known == *name || group.is_some_and(|group| **known == *group)
        })
    };
    match principals {
        Principals::Everybody => true,
        Principals::These(names) => named(names),
        Principals::AllBut(names) => !named(names),
    }
}

/// Whether a policy lets in people whom nobody knows: a statement allows something to
/// everybody (or to all but some), and none of its conditions limits that.
pub fn policy_is_public(policy: &Policy, limits: fn(&Condition) -> bool) -> bool {
    policy.statements.iter().any(|statement| {
        statement.allow
            && !matches!(statement.principals, Principals::These(_))
            && !statement.conditions.iter().any(limits)
    })
}

/// Whether grants let in people whom nobody knows.
pub fn grants_are_public(grants: &[Grant]) -> bool {
    grants.iter().any(|grant| matches!(grant.grantee, Grantee::Everybody | Grantee::Authenticated))
}

#[cfg(test)]
mod tests;
