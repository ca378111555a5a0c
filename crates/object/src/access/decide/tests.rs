//! Tests of decisions: who gets in by policy, by ownership, by grant, and who does not.

use std::borrow::Cow;

use super::*;

struct Nothing;
impl Values for Nothing {
    fn values(&self, _: &str) -> Vec<Cow<'_, str>> {
        Vec::new()
    }
}

fn account(owner: &str) -> Principal {
    Principal::Account { owner: Owner(owner.into()), name: owner.into() }
}

fn statement(allow: bool, principals: Principals, action: &str, resource: &str) -> Statement {
    Statement {
        id: None,
        allow,
        principals,
        actions: Patterns::Any(vec![action.into()]),
        resources: Patterns::Any(vec![resource.into()]),
        conditions: Vec::new(),
    }
}

/// What varies in these tests; the rest is alike.
struct Case<'a> {
    who: Principal,
    action: &'a str,
    statements: Vec<Statement>,
    grants: Vec<Grant>,
    object_owner: &'a str,
    block: PublicAccessBlock,
    ownership: Ownership,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self {
            who: Principal::Anonymous,
            action: "x:Read",
            statements: Vec::new(),
            grants: Vec::new(),
            object_owner: "owner",
            block: PublicAccessBlock::default(),
            ownership: Ownership::ObjectWriter,
        }
    }
}

impl Case<'_> {
    fn decide(self) -> Decision {
        let policy = Policy { text: "".into(), statements: self.statements };
        let (bucket, object) = (Owner("owner".into()), Owner(self.object_owner.into()));
        allowed(&Request {
            principal: &self.who,
            action: self.action,
            resource: "bucket/key",
            bucket_owner: &bucket,
            policy: Some(&policy),
            block: self.block,
            ownership: self.ownership,
            thing: Thing {
                owner: &object,
                grants: &self.grants,
                permission: Some(Permission::Read),
            },
            values: &Nothing,
            limits: |_| true,
        })
    }
}

const NOTHING: Decision = Decision::Denied(Reason::Nothing);

#[test]
fn the_owner_gets_in_and_nobody_else_does() {
    assert_eq!(Case { who: account("owner"), ..Case::default() }.decide(), Decision::Allowed);
    assert_eq!(Case { who: account("other"), ..Case::default() }.decide(), NOTHING);
    assert_eq!(Case::default().decide(), NOTHING);
    let of_another = |ownership| {
        Case { who: account("owner"), object_owner: "other", ownership, ..Case::default() }.decide()
    };
    assert_eq!(of_another(Ownership::ObjectWriter), NOTHING);
    assert_eq!(of_another(Ownership::BucketOwnerEnforced), Decision::Allowed);
}

#[test]
fn a_denial_beats_ownership_and_every_allowance() {
    let allow = statement(true, Principals::Everybody, "*", "*");
    let deny = statement(false, Principals::Everybody, "X:re*", "bucket/k?y");
    for statements in [vec![deny.clone(), allow.clone()], vec![allow.clone(), deny.clone()]] {
        let case = Case { who: account("owner"), statements, ..Case::default() };
        assert_eq!(case.decide(), Decision::Denied(Reason::Policy));
    }
    let other = Case { statements: vec![deny, allow], action: "x:Write", ..Case::default() };
    assert_eq!(other.decide(), Decision::Allowed);
}

#[test]
fn names_and_groups_are_found_and_not_principals_exclude() {
    let who = || Principal::Account { owner: Owner("id".into()), name: "team$ann".into() };
    let these = |name: &str| Principals::These(vec![name.into()]);
    let by = |principals, who| {
        let statements = vec![statement(true, principals, "x:*", "bucket/*")];
        Case { who, statements, ..Case::default() }.decide().is_allowed()
    };
    for (name, expected) in
        [("id", true), ("team$ann", true), ("team", true), ("ann", false), ("other", false)]
    {
        assert_eq!(by(these(name), who()), expected, "{name}");
    }
    assert!(!by(these(""), Principal::Anonymous));
    assert!(by(Principals::AllBut(vec!["other".into()]), who()));
    assert!(!by(Principals::AllBut(vec!["id".into()]), who()));
}

#[test]
fn grants_let_in_whom_they_name_unless_blocked_or_without_effect() {
    let grant = |grantee, permission| Grant { grantee, permission };
    let by = |grantee: Grantee, who| {
        let grants = vec![grant(grantee, Permission::Read)];
        Case { who, grants, ..Case::default() }.decide().is_allowed()
    };
    assert!(by(Grantee::Everybody, Principal::Anonymous));
    assert!(by(Grantee::Authenticated, account("other")));
    assert!(!by(Grantee::Authenticated, Principal::Anonymous));
    assert!(by(Grantee::Account(Owner("other".into())), account("other")));
    assert!(!by(Grantee::Account(Owner("other".into())), account("third")));
    assert!(!by(Grantee::LogDelivery, account("other")));
    let public = |block, ownership, permission| {
        let grants = vec![grant(Grantee::Everybody, permission)];
        Case { grants, block, ownership, ..Case::default() }.decide().is_allowed()
    };
    let open = PublicAccessBlock::default();
    let ignore = PublicAccessBlock { ignore_grants: true, ..open };
    assert!(public(open, Ownership::ObjectWriter, Permission::FullControl));
    assert!(!public(open, Ownership::ObjectWriter, Permission::Write));
    assert!(!public(ignore, Ownership::ObjectWriter, Permission::Read));
    assert!(!public(open, Ownership::BucketOwnerEnforced, Permission::Read));
}

#[test]
fn a_restricted_public_policy_holds_for_the_owner_only() {
    let block = PublicAccessBlock { restrict_policy: true, ..PublicAccessBlock::default() };
    let by = |principals, who| {
        let statements = vec![statement(true, principals, "*", "*")];
        Case { who, statements, block, object_owner: "third", ..Case::default() }.decide()
    };
    assert_eq!(by(Principals::Everybody, Principal::Anonymous), NOTHING);
    assert_eq!(by(Principals::Everybody, account("other")), NOTHING);
    assert_eq!(by(Principals::Everybody, account("owner")), Decision::Allowed);
    let these = Principals::These(vec!["other".into()]);
    assert_eq!(by(these, account("other")), Decision::Allowed);
}

#[test]
fn a_policy_is_public_when_nothing_limits_everybody() {
    let with = |principals, operator: Option<&str>| {
        let mut one = statement(true, principals, "*", "*");
        one.conditions = operator
            .map(|operator| Condition {
                operator: operator.into(),
                key: "k".into(),
                values: vec![],
            })
            .into_iter()
            .collect();
        let policy = Policy { text: "".into(), statements: vec![one] };
        policy_is_public(&policy, |condition| &*condition.operator == "IpAddress")
    };
    assert!(with(Principals::Everybody, None));
    assert!(with(Principals::Everybody, Some("StringEquals")));
    assert!(!with(Principals::Everybody, Some("IpAddress")));
    assert!(with(Principals::AllBut(vec![]), None));
    assert!(!with(Principals::These(vec!["a".into()]), None));
}
