//! UploadPartCopy: a part of an upload, from the content of a version.

use std::ops::Range;

use object::mutation::Reply;

use super::copy_object::source;
use super::get_object::told;
use super::upload_part::Place;
use crate::checksum::Expected;
use crate::s3::ask::{Ask, Shared, commit, elsewhere};
use crate::s3::auth::{CustomerKeyOf, Trailers};
use crate::s3::body::{MOST_BYTES, Sink};
use crate::s3::error::{Code, Outcome, invalid};
use crate::s3::header::{self, hex, iso};
use crate::s3::xml::Xml;
use crate::s3::{checksums, permit, reading};
use crate::step::Step;

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let snapshot = ask.gate.store.snapshot();
    let bucket = permit::write(ask, &snapshot)?;
    let (key, upload) = super::upload(ask, &snapshot, bucket.id)?;
    let place = Place::of(ask, &bucket.name, &upload, key)?;
    Ok(elsewhere(ask, move |ask| {
        let _pin = ask.gate.store.pin();
        let source = source(ask, &ask.gate.store.snapshot())?;
        let range = range(ask, source.version.entry.size)?;
        let opened = reading::key(ask, &source.version, CustomerKeyOf::CopySource)?;
        let length = range.end - range.start;
        let expected =
            place.algorithm.map_or_else(Expected::default, |one| Expected::default().or(one));
        let wanted = expected.wanted(true);
        let mut sink = Sink::new(&ask.gate, place.seal.as_ref(), wanted, Some(length)).apart();
        reading::copy(&ask.gate, &source.version, opened, range, &mut |bytes| sink.take(bytes))?;
        let stored = sink.verified(&expected, &Trailers::default())?;
        let encryption = place.told();
        let checksum = stored.checksum.clone();
        let from = told(&source.bucket, &source.version);
        Ok(commit(ask, place.mutation(stored), move |ask, reply| {
            let Reply::Part { md5, .. } = reply else { return Err(Code::InternalError.into()) };
            let document = Xml::document("CopyPartResult", |xml| {
                xml.plain("LastModified", iso(ask.now));
                xml.leaf("ETag", &format!("\"{}\"", hex(&md5)));
                checksums::leaf(xml, checksum.as_ref());
            });
            let mut say = ask.say(200).maybe("x-amz-copy-source-version-id", from);
            for (name, value) in encryption {
                say = say.header(name, value);
            }
            say.xml(document)
        }))
    }))
}

/// Which bytes of the source: all, or exactly those that are asked for.
fn range(ask: &Ask, size: u64) -> Outcome<Range<u64>> {
    let name = "x-amz-copy-source-range";
    let range = match ask.header(name) {
        None => 0..size,
        Some(text) => match header::range(text) {
            Some(header::Range::From(first, Some(last))) if last < size => first..last + 1,
            Some(header::Range::From(_, Some(_))) => {
                let message =
                    format!("Range specified is not valid for source object of size: {size}");
                return Err(Code::InvalidRange.saying(message));
            }
            _ => {
                let message = "The x-amz-copy-source-range value must be of the form \
                               bytes=first-last where first and last are the zero-based offsets \
                               of the first and last bytes to copy";
                return Err(invalid(name, text, message));
            }
        },
    };
    if range.end - range.start > MOST_BYTES {
        return Err(Code::InvalidRequest.saying(
            "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120",
        ));
    }
    Ok(range)
}
