//! What a request that writes says about the new version: headers to keep, metadata,
//! tags, grants, class, encryption, holding. The same for a put, a copy, an upload in
//! parts and a form.

use model::Timestamp;
use object::Owner;
use object::bucket::{Bucket, Ownership};
use object::entry::{Attributes, CLASSES, Retention, Sealing};

use super::ask::Ask;
use super::auth::{CustomerKeyOf, customer_key_by};
use super::error::{Code, Outcome, invalid};
use super::fields::Fields;
use super::header::parse_iso;
use super::operation::object_lock_configuration::mode;
use super::{grants, tags};
use crate::sealing::{BodyKey, seal_ours, seal_theirs};

/// Headers that are kept and told back.
pub const KEPT: [&str; 7] = [
    "content-type",
    "content-encoding",
    "cache-control",
    "content-disposition",
    "content-language",
    "expires",
    "x-amz-website-redirect-location",
];
const META: &str = "x-amz-meta-";
/// The most bytes of names and values of metadata.
const META_BYTES: usize = 2048;

/// What is known of a version before its content comes.
pub struct Draft {
    /// What is kept beside the content.
    pub attributes: Attributes,
    /// Its class of storage.
    pub class: u8,
    /// What its content is sealed with.
    pub key: Option<BodyKey>,
}

impl Draft {
    /// What these headers say.
    ///
    /// # Errors
    /// When they contradict themselves or the bucket.
    pub fn of(ask: &Ask, headers: &Fields, bucket: &Bucket) -> Outcome<Self> {
        let (owner, grants) = ownership(ask, headers, bucket)?;
        let (sealing, key) = sealing(ask, headers, bucket)?;
        let tags = headers.filled("x-amz-tagging").map(tags::of_header).transpose()?;
        let attributes = Attributes {
            owner: Some(owner),
            headers: kept(headers),
            metadata: metadata(headers)?,
            tags: tags.unwrap_or_default(),
            grants,
            sealing,
            retention: retention(headers, bucket, ask.now)?,
            legal_hold: legal_hold(headers, bucket)?,
            ..Attributes::default()
        };
        Ok(Self { attributes, class: class(headers)?.unwrap_or(0), key })
    }
}

/// The headers to keep.
pub fn kept(headers: &Fields) -> Vec<(Box<str>, Box<str>)> {
    let mut kept = Vec::new();
    for name in KEPT {
        let Some(value) = headers.get(name) else { continue };
        if name == "content-encoding" {
            // How the body travelled is no property of the content.
            let codings: Vec<&str> =
                value.split(',').map(str::trim).filter(|one| *one != "aws-chunked").collect();
            let value = codings.join(", ");
            if !value.is_empty() {
                kept.push((name.into(), value.into()));
            }
        } else if !value.is_empty() {
            kept.push((name.into(), value.into()));
        }
    }
    kept
}

/// The client's own names and values.
///
/// # Errors
/// When they are too long together.
pub fn metadata(headers: &Fields) -> Outcome<Vec<(Box<str>, Box<str>)>> {
    let mut found: Vec<(Box<str>, Box<str>)> = Vec::new();
    let mut bytes = 0;
    for (name, value) in headers.iter() {
        let Some(name) = name.strip_prefix(META) else { continue };
        bytes += name.len() + value.len();
        match found.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, before)) => *before = format!("{before},{value}").into(),
            None => found.push((name.into(), value.into())),
        }
    }
    if bytes > META_BYTES {
        let failure: Box<super::error::Failure> = Code::MetadataTooLarge.into();
        return Err(failure
            .with("Size", bytes.to_string())
            .with("MaxSizeAllowed", META_BYTES.to_string()));
    }
    Ok(found)
}

/// The class of storage.
///
/// # Errors
/// When there is none of this name.
pub fn class(headers: &Fields) -> Outcome<Option<u8>> {
    let Some(name) = headers.filled("x-amz-storage-class") else { return Ok(None) };
    let found = CLASSES.iter().position(|known| *known == name);
    found.map(|found| Some(found as u8)).ok_or_else(|| Code::InvalidStorageClass.into())
}

/// Whose the version is, and who may do what with it.
fn ownership(
    ask: &Ask,
    headers: &Fields,
    bucket: &Bucket,
) -> Outcome<(Owner, Vec<object::access::Grant>)> {
    // What nobody in particular writes is the bucket's owner's.
    let maker = ask.owner().unwrap_or_else(|_| bucket.owner.clone());
    let said = grants::of_headers(ask, headers, &maker, Some(&bucket.owner))?;
    let grants = match bucket.config.ownership {
        Some(Ownership::BucketOwnerEnforced) => {
            let alike = headers.filled("x-amz-acl") == Some("bucket-owner-full-control");
            if said.is_some() && !alike {
                return Err(Code::AccessControlListNotSupported.into());
            }
            return Ok((bucket.owner.clone(), grants::private(&bucket.owner)));
        }
        Some(Ownership::BucketOwnerPreferred)
            if headers.filled("x-amz-acl") == Some("bucket-owner-full-control") =>
        {
            return Ok((bucket.owner.clone(), grants::private(&bucket.owner)));
        }
        _ => said.unwrap_or_else(|| grants::private(&maker)),
    };
    grants::check_block(bucket.config.public_access_block.as_ref(), &grants)?;
    Ok((maker, grants))
}

const SSE: &str = "x-amz-server-side-encryption";
const SSE_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";

/// How the content is encrypted.
fn sealing(
    ask: &Ask,
    headers: &Fields,
    bucket: &Bucket,
) -> Outcome<(Option<Sealing>, Option<BodyKey>)> {
    let client = customer_key_by(|name| headers.get(name), CustomerKeyOf::Object)?;
    let (scheme, key_name) = (headers.filled(SSE), headers.filled(SSE_KEY));
    if let Some(client) = client {
        if scheme.is_some() {
            let message = "Server Side Encryption with Customer provided key is incompatible \
                           with the encryption method specified";
            return Err(invalid(SSE, scheme.unwrap_or(""), message));
        }
        let key = BodyKey::new();
        return Ok((Some(seal_theirs(&client, &key)), Some(key)));
    }
    let (scheme, key_name) = match (scheme, key_name) {
        (None, None) => match &bucket.config.encryption {
            None => return Ok((None, None)),
            Some(default) => (&*default.scheme, default.key_name.as_deref()),
        },
        (scheme, key_name) => ours(scheme, key_name, bucket)?,
    };
    let key = BodyKey::new();
    Ok((Some(seal_ours(&ask.gate.keys, &key, scheme, key_name)), Some(key)))
}

/// The scheme and the name of the key that a request asks for.
fn ours<'a>(
    scheme: Option<&'a str>,
    key_name: Option<&'a str>,
    bucket: &'a Bucket,
) -> Outcome<(&'a str, Option<&'a str>)> {
    match (scheme, key_name) {
        (None | Some("AES256"), Some(name)) => {
            let message = "Server Side Encryption with AWS KMS managed key requires HTTP header \
                           x-amz-server-side-encryption : aws:kms";
            Err(invalid(SSE_KEY, name, message))
        }
        (Some(scheme @ ("aws:kms" | "aws:kms:dsse")), None) => {
            let default = bucket.config.encryption.as_ref();
            let named = default.and_then(|default| default.key_name.as_deref());
            let message = "There is no default key: name one by \
                           x-amz-server-side-encryption-aws-kms-key-id";
            Ok((scheme, Some(named.ok_or_else(|| invalid(SSE_KEY, "", message))?)))
        }
        (Some(scheme @ ("AES256" | "aws:kms" | "aws:kms:dsse")), name) => Ok((scheme, name)),
        (other, _) => {
            let message = "The encryption method specified is not supported";
            Err(invalid(SSE, other.unwrap_or(""), message))
        }
    }
}

/// Until when the version is held.
fn retention(headers: &Fields, bucket: &Bucket, now: Timestamp) -> Outcome<Option<Retention>> {
    let said = headers.filled("x-amz-object-lock-mode");
    let until = headers.filled("x-amz-object-lock-retain-until-date");
    let (said, until) = match (said, until) {
        (None, None) => return Ok(None),
        (Some(said), Some(until)) => (said, until),
        _ => {
            return Err(Code::InvalidArgument.saying(
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
            ));
        }
    };
    lockable(bucket)?;
    let mode = mode(said)
        .ok_or_else(|| invalid("x-amz-object-lock-mode", said, "Unknown wormMode directive."))?;
    let name = "x-amz-object-lock-retain-until-date";
    let parsed = parse_iso(until).ok_or_else(|| {
        invalid(name, until, "The retain until date must be provided in ISO 8601 format")
    })?;
    if parsed <= now {
        return Err(invalid(name, until, "The retain until date must be in the future!"));
    }
    Ok(Some(Retention { mode, until: parsed }))
}

fn legal_hold(headers: &Fields, bucket: &Bucket) -> Outcome<Option<bool>> {
    let name = "x-amz-object-lock-legal-hold";
    let hold = match headers.filled(name) {
        None => return Ok(None),
        Some("ON") => true,
        Some("OFF") => false,
        Some(other) => {
            return Err(invalid(name, other, "Legal Hold must be either of 'ON' or 'OFF'"));
        }
    };
    lockable(bucket)?;
    Ok(Some(hold))
}

/// Refuses what holds objects where nothing can be held.
///
/// # Errors
/// When the bucket has no lock.
pub fn lockable(bucket: &Bucket) -> Outcome<()> {
    match bucket.config.lock {
        Some(_) => Ok(()),
        None => Err(Code::InvalidRequest.saying("Bucket is missing Object Lock Configuration")),
    }
}

/// Headers that tell how content is encrypted.
pub fn told_sealing(sealing: Option<&Sealing>) -> Vec<(&'static str, String)> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    match sealing {
        None => Vec::new(),
        Some(Sealing::Ours { scheme, key_name, .. }) => {
            let mut told = vec![(SSE, scheme.to_string())];
            told.extend(key_name.iter().map(|name| (SSE_KEY, name.to_string())));
            told
        }
        Some(Sealing::Theirs { key_md5, .. }) => vec![
            ("x-amz-server-side-encryption-customer-algorithm", "AES256".to_owned()),
            ("x-amz-server-side-encryption-customer-key-MD5", BASE64.encode(key_md5)),
        ],
    }
}
