//! DeleteObject: a delete marker comes, or a version goes for good.

use object::Reply;
use object::condition::Conditions;
use object::mutation::{Delete, Mutation};

use crate::s3::ask::{Ask, Shared, commit};
use crate::s3::error::{Code, Outcome, invalid};
use crate::s3::header::{parse_date, told_version, write_conditions};
use crate::s3::permit;
use crate::step::Step;

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::delete(ask, &ask.gate.store.snapshot())?;
    let delete = Delete {
        bucket: bucket.name.clone(),
        key: ask.key()?,
        which: ask.which()?,
        conditions: conditions(ask)?,
        bypass: permit::bypass(ask, &bucket)?,
        owner: ask.maker(),
    };
    Ok(commit(ask, Mutation::Delete(delete), |ask, reply| {
        let Reply::Deleted { sequence, null, marker, versioned } = reply else {
            return Err(Code::InternalError.into());
        };
        let mut say = ask.say(204);
        if let Some(sequence) = sequence.filter(|_| versioned) {
            say = say.header("x-amz-version-id", told_version(sequence, null));
        } else if let Some(asked) = ask.query.filled("versionId") {
            say = say.header("x-amz-version-id", asked.to_owned());
        }
        say.maybe("x-amz-delete-marker", (marker && versioned).then_some("true")).empty()
    }))
}

fn conditions(ask: &Ask) -> Outcome<Conditions> {
    let mut conditions = write_conditions(&ask.headers);
    if let Some(text) = ask.header("x-amz-if-match-last-modified-time") {
        let name = "x-amz-if-match-last-modified-time";
        let at = parse_date(text).ok_or_else(|| invalid(name, text, "Invalid date"))?;
        conditions.modified_at = Some(at);
    }
    if let Some(text) = ask.header("x-amz-if-match-size") {
        let size =
            text.parse().map_err(|_| invalid("x-amz-if-match-size", text, "Invalid size"))?;
        conditions.size = Some(size);
    }
    Ok(conditions)
}
