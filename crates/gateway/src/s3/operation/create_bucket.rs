//! CreateBucket: with place, grants, ownership and lock.

use object::access::Grant;
use object::bucket::{Config, Lock, Ownership, Versioning};
use object::{Mutation, Refusal};

use crate::s3::ask::{Ask, Shared};
use crate::s3::error::{Code, Failure, Outcome, invalid};
use crate::s3::{body, grants, permit, xml};
use crate::step::Step;

/// Names that the real service keeps for itself (its user guide, "General purpose bucket
/// naming rules"): what they begin with…
const BEGINNINGS: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
/// …and what they end with.
const ENDS: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// Whether no new bucket may be called so.
fn kept_back(name: &str) -> bool {
    BEGINNINGS.iter().any(|begins| name.starts_with(begins))
        || ENDS.iter().any(|ends| name.ends_with(ends))
}

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    permit::account(ask)?;
    if kept_back(ask.bucket_name()?.as_str()) {
        return Err(Code::InvalidBucketName.into());
    }
    Ok(body::document(ask, |ask, bytes| {
        check_place(ask, &bytes)?;
        let config = config(ask)?;
        let grants = config.grants.clone();
        let (name, owner) = (ask.bucket_name()?, ask.owner()?);
        let mutation = Mutation::CreateBucket { name, owner, config: Box::new(config) };
        let ask = std::sync::Arc::clone(ask);
        let after = move |result| ask.settle(answer(&ask, result, grants));
        Ok(Step::Commit(Box::new(mutation), Box::new(after)))
    }))
}

fn answer(ask: &Ask, result: Result<object::Reply, Refusal>, grants: Vec<Grant>) -> Outcome<Step> {
    match result {
        Ok(_) => {}
        // Making one's own bucket again is no error, unless it were another one then.
        Err(Refusal::BucketExists(owner)) if owner == ask.owner()? && same(ask, &grants) => {}
        Err(other) => return Err(other.into()),
    }
    ask.say(200).header("Location", format!("/{}", ask.bucket)).empty()
}

/// The bucket that is there gives the same rights.
fn same(ask: &Ask, grants: &[Grant]) -> bool {
    let there = ask.bucket(&ask.gate.store.snapshot());
    there.is_ok_and(|there| there.config.grants == grants)
}

fn check_place(ask: &Ask, bytes: &[u8]) -> Outcome<()> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let root = xml::parse(bytes).map_err(|_| Code::MalformedXML)?;
    if root.name != "CreateBucketConfiguration" {
        return Err(Code::MalformedXML.into());
    }
    let place = root.text_of("LocationConstraint").unwrap_or("");
    let region = ask.gate.settings.region();
    if place.is_empty() || place == region || place == "default" {
        return Ok(());
    }
    let failure: Box<Failure> = Code::InvalidLocationConstraint.into();
    Err(failure.with("LocationConstraint", place))
}

fn config(ask: &Ask) -> Outcome<Config> {
    let owner = ask.owner()?;
    let ownership = match ask.header("x-amz-object-ownership") {
        None => None,
        Some(text) => Some(super::bucket_ownership::parse(text).ok_or_else(|| {
            invalid("x-amz-object-ownership", text, "Invalid x-amz-object-ownership header")
        })?),
    };
    let said = grants::of_headers(ask, &ask.headers, &owner, None)?;
    if let (Some(Ownership::BucketOwnerEnforced), Some(said)) = (ownership, &said)
        && grants::open_to_others(said, &owner)
    {
        return Err(Code::InvalidBucketAclWithObjectOwnership.into());
    }
    let lock = ask.header("x-amz-bucket-object-lock-enabled");
    let lock = lock.is_some_and(|text| text.eq_ignore_ascii_case("true"));
    Ok(Config {
        versioning: if lock { Versioning::On } else { Versioning::Off },
        grants: said.unwrap_or_else(|| grants::private(&owner)),
        ownership,
        lock: lock.then(Lock::default),
        ..Config::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_real_service_keeps_for_itself_are_refused() {
        for name in
            ["xn--bcher-kva", "sthree-a", "amzn-s3-demo-b", "a-s3alias", "a--x-s3", "a.mrap"]
        {
            assert!(kept_back(name), "{name}");
        }
        for name in ["xn-", "my-xn--name", "sthree", "s3alias", "x-s3", "mrap.a"] {
            assert!(!kept_back(name), "{name}");
        }
    }
}
