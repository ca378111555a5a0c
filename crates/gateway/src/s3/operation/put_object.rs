//! PutObject: a new version, from the content of the request.

use object::Reply;
use object::entry::Tag;
use object::mutation::{Mutation, Put};

use crate::s3::ask::{Ask, Say, Shared, commit};
use crate::s3::body::{self, Stored};
use crate::s3::draft::{Draft, told_sealing};
use crate::s3::error::{Code, Outcome};
use crate::s3::header::{etag, told_version, write_conditions};
use crate::s3::{checksums, permit};
use crate::step::Step;

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::write(ask, &ask.gate.store.snapshot())?;
    let key = ask.key()?;
    if ask.headers.has("x-amz-write-offset-bytes") {
        return Err(Code::NotImplemented.into());
    }
    let draft = Draft::of(ask, &ask.headers, &bucket)?;
    let conditions = write_conditions(&ask.headers);
    let Draft { mut attributes, class, key: seal } = draft;
    body::upload(ask, seal.as_ref(), move |ask, stored| {
        let Stored { body, size, md5, checksum, .. } = stored;
        attributes.checksum = checksum;
        let put = Put {
            bucket: bucket.name.clone(),
            key,
            size,
            tag: Tag { md5, parts: 0 },
            class,
            attributes,
            body,
            conditions,
        };
        Ok(commit(ask, Mutation::Put(Box::new(put)), |ask, reply| {
            told(ask, ask.say(200), &reply)?.empty()
        }))
    })
}

/// What is told of a version that was written: the same for puts, copies, forms and
/// uploads in parts.
///
/// # Errors
/// When the store answered something else.
pub fn told(ask: &Ask, mut say: Say, reply: &Reply) -> Outcome<Say> {
    let Reply::Put { sequence, null, versioned, tag, checksum, sealing, .. } = reply else {
        return Err(Code::InternalError.into());
    };
    say = say.header("ETag", etag(tag));
    if *versioned && !*null {
        say = say.header("x-amz-version-id", told_version(*sequence, *null));
    }
    if let Some(checksum) = checksum {
        let (name, value) = checksums::header(checksum, usize::from(tag.parts));
        say = say
            .header(name, value)
            .header("x-amz-checksum-type", checksums::coverage_name(checksum.coverage));
    }
    for (name, value) in told_sealing(sealing.as_ref()) {
        say = say.header(name, value);
    }
    let expires = crate::s3::lifecycle::expires_of_reply(ask, reply);
    Ok(say.maybe("x-amz-expiration", expires))
}
