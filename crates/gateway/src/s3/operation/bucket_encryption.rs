//! GetBucketEncryption, PutBucketEncryption, DeleteBucketEncryption.

use object::bucket::Encryption;
use object::mutation::ConfigChange;

use crate::s3::ask::Shared;
use crate::s3::error::{Code, Outcome};
use crate::s3::xml::Xml;
use crate::s3::{body, permit};
use crate::step::Step;

/// Tells it.
pub fn get(ask: &Shared) -> Outcome<Step> {
    let bucket = permit::bucket(ask, &ask.gate.store.snapshot())?;
    let encryption = bucket.config.encryption.as_ref();
    let encryption = encryption.ok_or(Code::ServerSideEncryptionConfigurationNotFoundError)?;
    let document = Xml::document("ServerSideEncryptionConfiguration", |xml| {
        xml.element("Rule", |xml| {
            xml.element("ApplyServerSideEncryptionByDefault", |xml| {
                xml.leaf("SSEAlgorithm", &encryption.scheme);
                xml.maybe("KMSMasterKeyID", encryption.key_name.as_deref());
            });
            xml.plain("BucketKeyEnabled", encryption.bucket_key);
        });
    });
    ask.say(200).xml(document)
}

/// Says it.
pub fn put(ask: &Shared) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    Ok(body::xml(ask, |ask, root| {
        if root.name != "ServerSideEncryptionConfiguration" {
            return Err(Code::MalformedXML.into());
        }
        let rule = root.child("Rule").ok_or(Code::MalformedXML)?;
        let default = rule.child("ApplyServerSideEncryptionByDefault").ok_or(Code::MalformedXML)?;
        let key_name = default.text_of("KMSMasterKeyID").filter(|name| !name.is_empty());
        let scheme = match (default.text_of("SSEAlgorithm"), key_name) {
            (Some("AES256"), None) => "AES256",
            (Some(scheme @ ("aws:kms" | "aws:kms:dsse")), _) => scheme,
            (Some("AES256"), Some(_)) => {
                return Err(Code::InvalidArgument.saying(
                    "a KMSMasterKeyID is not applicable if the default sse algorithm is not \
                     aws:kms or aws:kms:dsse",
                ));
            }
            _ => return Err(Code::MalformedXML.into()),
        };
        let bucket_key = rule.text_of("BucketKeyEnabled") == Some("true");
        let (scheme, key_name) = (scheme.into(), key_name.map(Into::into));
        let encryption = Encryption { scheme, key_name, bucket_key };
        super::configure(ask, ConfigChange::Encryption(Some(encryption)), 200)
    }))
}

/// Takes it away.
pub fn delete(ask: &Shared) -> Outcome<Step> {
    permit::bucket(ask, &ask.gate.store.snapshot())?;
    super::configure(ask, ConfigChange::Encryption(None), 204)
}
