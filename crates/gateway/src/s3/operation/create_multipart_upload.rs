//! CreateMultipartUpload: an upload in parts begins.

use object::entry::{Algorithm, Coverage};
use object::mutation::{Mutation, Reply};

use crate::checksum as sums;
use crate::s3::ask::{Ask, Shared, commit};
use crate::s3::draft::{Draft, told_sealing};
use crate::s3::error::{Code, Outcome, invalid};
use crate::s3::header::upload_id;
use crate::s3::xml::Xml;
use crate::s3::{body, checksums, permit};
use crate::step::Step;

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::write(ask, &ask.gate.store.snapshot())?;
    let key = ask.key()?;
    Ok(body::document(ask, move |ask, _| {
        let draft = Draft::of(ask, &ask.headers, &bucket)?;
        let checksum = checksum(ask)?;
        let sealing = draft.attributes.sealing.clone();
        let mutation = Mutation::CreateUpload {
            bucket: bucket.name.clone(),
            key,
            attributes: Box::new(draft.attributes),
            class: draft.class,
            checksum,
        };
        Ok(commit(ask, mutation, move |ask, reply| {
            let Reply::Upload(id) = reply else { return Err(Code::InternalError.into()) };
            let document = Xml::document("InitiateMultipartUploadResult", |xml| {
                xml.leaf("Bucket", &ask.bucket);
                xml.leaf("Key", &ask.key);
                xml.plain("UploadId", upload_id(id));
            });
            let mut say = ask.say(200);
            for (name, value) in told_sealing(sealing.as_ref()) {
                say = say.header(name, value);
            }
            if let Some((algorithm, coverage)) = checksum {
                say = say
                    .header("x-amz-checksum-algorithm", sums::name(algorithm))
                    .header("x-amz-checksum-type", checksums::coverage_name(coverage));
            }
            say.xml(document)
        }))
    }))
}

/// Which checksums the parts and the whole will have.
fn checksum(ask: &Ask) -> Outcome<Option<(Algorithm, Coverage)>> {
    let kind = ask.header("x-amz-checksum-type");
    let Some(algorithm) = ask.header("x-amz-checksum-algorithm") else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(Code::InvalidRequest.saying(
                "The x-amz-checksum-type header can only be used with the \
                 x-amz-checksum-algorithm header.",
            )),
        };
    };
    let algorithm = checksums::parse(algorithm)?;
    let sum = matches!(algorithm, Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Crc64Nvme);
    let coverage = match kind {
        None if algorithm == Algorithm::Crc64Nvme => Coverage::Whole,
        None | Some("COMPOSITE") if algorithm != Algorithm::Crc64Nvme => Coverage::Composite,
        Some("FULL_OBJECT") if sum => Coverage::Whole,
        Some(kind @ ("FULL_OBJECT" | "COMPOSITE")) => {
            return Err(Code::InvalidRequest.saying(format!(
                "The {kind} checksum type cannot be used with the {} checksum algorithm.",
                sums::name(algorithm).to_ascii_lowercase()
            )));
        }
        other => {
            let message = "Value for x-amz-checksum-type header is invalid.";
            return Err(invalid("x-amz-checksum-type", other.unwrap_or(""), message));
        }
    };
    Ok(Some((algorithm, coverage)))
}
