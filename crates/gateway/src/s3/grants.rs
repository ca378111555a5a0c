//! Lists of grants (ACLs): canned ones by name, headers, and documents.

use object::Owner;
use object::access::{Grant, Grantee, Permission, PublicAccessBlock};

use super::ask::Ask;
use super::error::{Code, Failure, Outcome, invalid};
use super::fields::Fields;
use super::xml::{Element, Xml};

const EVERYBODY: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
const LOG_DELIVERY: &str = "http://acs.amazonaws.com/groups/s3/LogDelivery";
/// The most grants of a list.
const MOST: usize = 100;

const PERMISSIONS: [(&str, &str, Permission); 5] = [
    ("READ", "x-amz-grant-read", Permission::Read),
    ("WRITE", "x-amz-grant-write", Permission::Write),
    ("READ_ACP", "x-amz-grant-read-acp", Permission::ReadGrants),
    ("WRITE_ACP", "x-amz-grant-write-acp", Permission::WriteGrants),
    ("FULL_CONTROL", "x-amz-grant-full-control", Permission::FullControl),
];

/// A grant.
fn grant(grantee: Grantee, permission: Permission) -> Grant {
    Grant { grantee, permission }
}

/// All for the owner, nothing for others.
pub fn private(owner: &Owner) -> Vec<Grant> {
    vec![grant(Grantee::Account(owner.clone()), Permission::FullControl)]
}

/// A list by its name. `bucket_owner`: for objects.
///
/// # Errors
/// When there is no list of this name.
pub fn canned(name: &str, owner: &Owner, bucket_owner: Option<&Owner>) -> Outcome<Vec<Grant>> {
    let mut grants = Vec::new();
    let of_bucket = |permission| {
        let other = bucket_owner.filter(|bucket| *bucket != owner);
        other.map(|bucket| grant(Grantee::Account(bucket.clone()), permission))
    };
    match name {
        "private" | "aws-exec-read" => {}
        "public-read" => grants.push(grant(Grantee::Everybody, Permission::Read)),
        "public-read-write" => {
            grants.push(grant(Grantee::Everybody, Permission::Read));
            grants.push(grant(Grantee::Everybody, Permission::Write));
        }
        "authenticated-read" => grants.push(grant(Grantee::Authenticated, Permission::Read)),
        "bucket-owner-read" => grants.extend(of_bucket(Permission::Read)),
        "bucket-owner-full-control" => grants.extend(of_bucket(Permission::FullControl)),
        "log-delivery-write" if bucket_owner.is_none() => {
            grants.push(grant(Grantee::LogDelivery, Permission::Write));
            grants.push(grant(Grantee::LogDelivery, Permission::ReadGrants));
        }
        other => return Err(invalid("x-amz-acl", other, "Invalid canned ACL")),
    }
    // The owner last: clients of old take the first grants for what others have.
    grants.extend(private(owner));
    Ok(grants)
}

/// What the headers of a request say; none when they say nothing.
///
/// # Errors
/// When they say both a name and grants, or something that is not there.
pub fn of_headers(
    ask: &Ask,
    headers: &Fields,
    owner: &Owner,
    bucket_owner: Option<&Owner>,
) -> Outcome<Option<Vec<Grant>>> {
    let mut grants = Vec::new();
    for (_, header, permission) in PERMISSIONS {
        for one in headers.filled(header).into_iter().flat_map(|value| value.split(',')) {
            grants.push(grant(of_header(ask, one.trim())?, permission));
        }
    }
    match (headers.filled("x-amz-acl"), grants.is_empty()) {
        (None, true) => Ok(None),
        (Some(name), true) => canned(name, owner, bucket_owner).map(Some),
        (None, false) => Ok(Some(grants)),
        (Some(_), false) => Err(Code::InvalidRequest
            .saying("Specifying both Canned ACLs and Header Grants is not allowed")),
    }
}

/// `id="…"`, `emailAddress="…"` or `uri="…"`.
fn of_header(ask: &Ask, text: &str) -> Outcome<Grantee> {
    let (kind, value) = text
        .split_once('=')
        .ok_or_else(|| invalid("x-amz-grant", text, "Argument format not recognized"))?;
    let value = value.trim().trim_matches('"');
    match kind.trim().to_ascii_lowercase().as_str() {
        "id" => by_id(ask, value),
        "emailaddress" => by_email(ask, value),
        "uri" => by_uri(value),
        _ => Err(invalid("x-amz-grant", text, "Argument format not recognized")),
    }
}

fn by_id(ask: &Ask, id: &str) -> Outcome<Grantee> {
    let owner = Owner(id.into());
    let known = ask.gate.accounts.snapshot().owner(&owner).is_some();
    if known {
        Ok(Grantee::Account(owner))
    } else {
        Err(invalid("CanonicalUser/ID", id, "Invalid id"))
    }
}

fn by_email(ask: &Ask, email: &str) -> Outcome<Grantee> {
    let accounts = ask.gate.accounts.snapshot();
    let found = accounts.email(email).map(|account| Grantee::Account(account.owner.clone()));
    found.ok_or_else(|| Code::UnresolvableGrantByEmailAddress.into())
}

fn by_uri(uri: &str) -> Outcome<Grantee> {
    match uri {
        EVERYBODY => Ok(Grantee::Everybody),
        AUTHENTICATED => Ok(Grantee::Authenticated),
        LOG_DELIVERY => Ok(Grantee::LogDelivery),
        other => Err(invalid("Group/URI", other, "Invalid group uri")),
    }
}

/// What a document says.
///
/// # Errors
/// When it is no list of grants, or names somebody that is not there, or another
/// owner.
pub fn of_document(ask: &Ask, root: &Element, owner: &Owner) -> Outcome<Vec<Grant>> {
    let malformed = || Box::<Failure>::from(Code::MalformedACLError);
    if root.name != "AccessControlPolicy" {
        return Err(malformed());
    }
    let said = root.child("Owner").and_then(|said| said.text_of("ID"));
    if said.is_some_and(|said| *said != *owner.0) {
        return Err(Code::AccessDenied.into());
    }
    let list = root.child("AccessControlList").ok_or_else(malformed)?;
    if list.children.len() > MOST {
        return Err(Code::InvalidRequest.saying("The list of grants has more than 100 grants"));
    }
    let mut grants = Vec::new();
    for one in list.all("Grant") {
        let grantee = one.child("Grantee").ok_or_else(malformed)?;
        let said = one.text_of("Permission").map(str::trim);
        let permission = PERMISSIONS.iter().find(|(name, ..)| Some(*name) == said);
        let (.., permission) = permission.ok_or_else(malformed)?;
        let grantee = match grantee.kind.as_deref().map(|kind| kind.rsplit(':').next()) {
            Some(Some("CanonicalUser")) => {
                by_id(ask, grantee.text_of("ID").ok_or_else(malformed)?)?
            }
            Some(Some("AmazonCustomerByEmail")) => {
                by_email(ask, grantee.text_of("EmailAddress").ok_or_else(malformed)?)?
            }
            Some(Some("Group")) => by_uri(grantee.text_of("URI").ok_or_else(malformed)?)?,
            _ => return Err(malformed()),
        };
        grants.push(grant(grantee, *permission));
    }
    Ok(grants)
}

/// The document.
pub fn document(ask: &Ask, owner: &Owner, grants: &[Grant]) -> String {
    Xml::document("AccessControlPolicy", |xml| {
        self::owner(ask, xml, "Owner", owner);
        xml.element("AccessControlList", |xml| {
            // Groups first: clients of old take what comes before the owner for others'.
            let account = |grant: &&Grant| matches!(grant.grantee, Grantee::Account(_));
            let (accounts, groups): (Vec<_>, Vec<_>) = grants.iter().partition(account);
            for grant in groups.into_iter().chain(accounts) {
                xml.element("Grant", |xml| {
                    self::grantee(ask, xml, &grant.grantee);
                    let name = PERMISSIONS.iter().find(|(.., one)| *one == grant.permission);
                    xml.plain("Permission", name.map_or("READ", |(name, ..)| name));
                });
            }
        });
    })
}

/// An owner: id and name.
pub fn owner(ask: &Ask, xml: &mut Xml, name: &str, owner: &Owner) {
    xml.element(name, |xml| {
        xml.leaf("ID", &owner.0);
        xml.leaf("DisplayName", &ask.display(owner));
    });
}

fn grantee(ask: &Ask, xml: &mut Xml, grantee: &Grantee) {
    let group = |xml: &mut Xml, uri: &str| {
        xml.typed("Grantee", "Group", |xml| xml.leaf("URI", uri));
    };
    match grantee {
        Grantee::Account(owner) => xml.typed("Grantee", "CanonicalUser", |xml| {
            xml.leaf("ID", &owner.0);
            xml.leaf("DisplayName", &ask.display(owner));
        }),
        Grantee::Everybody => group(xml, EVERYBODY),
        Grantee::Authenticated => group(xml, AUTHENTICATED),
        Grantee::LogDelivery => group(xml, LOG_DELIVERY),
    }
}

/// Somebody gets something that is not the owner.
pub fn open_to_others(grants: &[Grant], owner: &Owner) -> bool {
    grants.iter().any(|grant| grant.grantee != Grantee::Account(owner.clone()))
}

/// Everybody, or everybody with an account, gets something.
pub fn public(grants: &[Grant]) -> bool {
    grants.iter().any(|one| matches!(one.grantee, Grantee::Everybody | Grantee::Authenticated))
}

/// Refuses public grants where they are blocked.
///
/// # Errors
/// When they are.
pub fn check_block(block: Option<&PublicAccessBlock>, grants: &[Grant]) -> Outcome<()> {
    let blocked = block.is_some_and(|block| block.block_grants) && public(grants);
    if blocked { Err(Code::AccessDenied.into()) } else { Ok(()) }
}
