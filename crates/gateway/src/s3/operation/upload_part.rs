//! UploadPart: a part of an upload, from the content of the request.

use object::entry::{Algorithm, PartInfo, Sealing};
use object::mutation::{Mutation, Reply, UploadId};
use object::query::Upload;
use object::{BucketName, Key};

use crate::checksum;
use crate::s3::ask::{Ask, Shared, commit};
use crate::s3::auth::{CustomerKeyOf, customer_key_by};
use crate::s3::body::{self, Stored};
use crate::s3::draft::told_sealing;
use crate::s3::error::{Code, Outcome, invalid};
use crate::s3::header::hex;
use crate::s3::{checksums, permit, reading};
use crate::sealing::{BodyKey, unseal};
use crate::step::Step;

/// Where a part goes.
pub struct Place {
    bucket: BucketName,
    key: Key,
    upload: UploadId,
    number: u16,
    sealing: Option<Sealing>,
    /// What the part is sealed with.
    pub seal: Option<BodyKey>,
    /// The checksum that parts of this upload have.
    pub algorithm: Option<Algorithm>,
}

impl Place {
    /// Where the request says.
    ///
    /// # Errors
    /// When the number is none, or the upload is not there, or needs another key.
    pub fn of(ask: &Ask, bucket: &BucketName, upload: &Upload, key: Key) -> Outcome<Self> {
        let text = ask.query.get("partNumber").unwrap_or("");
        let number = text.parse().ok().filter(|number| (1..=10_000).contains(number));
        let message = "Part number must be an integer between 1 and 10000, inclusive";
        let number = number.ok_or_else(|| invalid("partNumber", text, message))?;
        let sealing = upload.attributes.sealing.clone();
        Ok(Self {
            bucket: bucket.clone(),
            key,
            upload: upload.id,
            number,
            seal: seal(ask, sealing.as_ref())?,
            sealing,
            algorithm: upload.checksum.map(|(algorithm, _)| algorithm),
        })
    }

    /// The change for a part that is stored.
    pub fn mutation(self, stored: Stored) -> Mutation {
        let Stored { body, size, md5, checksum, .. } = stored;
        // Checksums that the upload did not ask for were verified, and are let go.
        let checksum = checksum.filter(|one| self.algorithm == Some(one.algorithm));
        let part = Box::new(PartInfo { number: self.number, size, md5, checksum });
        Mutation::PutPart { bucket: self.bucket, key: self.key, upload: self.upload, part, body }
    }

    /// Headers that tell how the part is encrypted.
    pub fn told(&self) -> Vec<(&'static str, String)> {
        told_sealing(self.sealing.as_ref())
    }
}

/// The upload's key: a client's key must come with each part.
///
/// # Errors
/// When it does not, or is another one.
pub fn seal(ask: &Ask, sealing: Option<&Sealing>) -> Outcome<Option<BodyKey>> {
    let client = customer_key_by(|name| ask.headers.get(name), CustomerKeyOf::Object)?;
    match sealing {
        None if client.is_some() => Err(Code::InvalidRequest.saying(
            "The multipart upload initiate did not request encryption. Please resend the \
             request without sending encryption parameters.",
        )),
        None => Ok(None),
        Some(Sealing::Theirs { key_md5, .. }) => match client {
            None => Err(Code::InvalidRequest.saying(
                "The multipart upload initiate requested encryption. Subsequent part requests \
                 must include the appropriate encryption parameters.",
            )),
            Some(client) if client.md5() != key_md5 => Err(Code::InvalidRequest.saying(
                "The provided encryption parameters did not match the ones used originally.",
            )),
            Some(client) => {
                let sealing = sealing.ok_or(Code::InternalError)?;
                unseal(&ask.gate.keys, sealing, Some(&client))
                    .map(Some)
                    .map_err(reading::from_sealing)
            }
        },
        Some(ours) => unseal(&ask.gate.keys, ours, None).map(Some).map_err(reading::from_sealing),
    }
}

/// Carries it out.
pub fn run(ask: &Shared) -> Outcome<Step> {
    let snapshot = ask.gate.store.snapshot();
    let bucket = permit::write(ask, &snapshot)?;
    let (key, upload) = super::upload(ask, &snapshot, bucket.id)?;
    let place = Place::of(ask, &bucket.name, &upload, key)?;
    let said = body::algorithm(ask);
    if let (Some(said), Some(expected)) = (said, place.algorithm)
        && said != expected
    {
        return Err(Code::InvalidRequest.saying(format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            checksum::name(expected).to_ascii_lowercase(),
            checksum::name(said).to_ascii_lowercase()
        )));
    }
    let seal = place.seal.clone();
    body::part(ask, seal.as_ref(), place.algorithm, move |ask, stored| {
        let told = place.told();
        let found = stored.checksum.clone();
        Ok(commit(ask, place.mutation(stored), move |ask, reply| {
            let Reply::Part { md5, .. } = reply else { return Err(Code::InternalError.into()) };
            let mut say = ask.say(200).header("ETag", format!("\"{}\"", hex(&md5)));
            if let Some(found) = &found {
                let (name, value) = checksums::header(found, 0);
                say = say.header(name, value);
            }
            for (name, value) in told {
                say = say.header(name, value);
            }
            say.empty()
        }))
    })
}
