//! How the body of a request is checked on its way in: against a hash that was signed,
//! or chunk by chunk, or not at all.

use ring::{digest, hmac};

use super::chunked::{Decoder, Signatures, Trailers};
use super::refusal::AuthError;
use super::signing::{self, Claim, Credential};
use crate::step::{Framing, Head};

/// The word for a body whose hash is not signed.
pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const CHUNKS_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// How a body must be checked.
#[derive(Debug)]
pub enum Payload {
    /// Not at all: content as it comes.
    Unsigned,
    /// Its SHA-256 must be this.
    Whole([u8; 32]),
    /// In chunks, with trailing headers or without, signed or not.
    Chunked(Box<Chunked>),
}

/// What is known beforehand of a body in chunks.
#[derive(Debug)]
pub struct Chunked {
    pub(super) signatures: Option<Signatures>,
    pub(super) trailer: bool,
}

/// What `x-amz-content-sha256` means in a request whose signature is good.
pub(super) fn payload(
    said: &str,
    claim: &Claim<'_>,
    credential: &Credential<'_>,
    key: &hmac::Key,
) -> Result<Payload, AuthError> {
    let signed = |trailer| {
        let signatures = Signatures::new(key, claim.stamp, credential.scope, claim.signature);
        Payload::Chunked(Box::new(Chunked { signatures: Some(signatures), trailer }))
    };
    match said {
        CHUNKS => Ok(signed(false)),
        CHUNKS_TRAILER => Ok(signed(true)),
        other => unsigned_payload(other),
    }
}

/// What `x-amz-content-sha256` means where chunks cannot be signed.
pub(super) fn unsigned_payload(said: &str) -> Result<Payload, AuthError> {
    match said {
        UNSIGNED => Ok(Payload::Unsigned),
        UNSIGNED_TRAILER => {
            Ok(Payload::Chunked(Box::new(Chunked { signatures: None, trailer: true })))
        }
        CHUNKS | CHUNKS_TRAILER => Err(AuthError::request(
            "Signed chunks need a request that is signed by version 4 with an access key.",
        )),
        other if other.starts_with("STREAMING-AWS4-ECDSA") => Err(AuthError::new(
            501,
            "NotImplemented",
            "Signature Version 4A is not implemented. Please use AWS4-HMAC-SHA256.",
        )),
        other => signing::hash(&other.to_ascii_lowercase()).map(Payload::Whole).ok_or_else(|| {
            AuthError::argument(
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, \
                 STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, \
                 STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
            )
            .with("ArgumentName", "x-amz-content-sha256")
            .with("ArgumentValue", other.chars().take(128).collect::<String>())
        }),
    }
}

/// How a body is to be read when `x-amz-content-sha256` is not there. Clients that do
/// not sign by version 4 send chunks with a trailer all the same.
pub(super) fn unsaid(head: &Head<'_>) -> Payload {
    let codings = head.header("content-encoding").unwrap_or("").split(',');
    let coded = codings.map(str::trim).any(|coding| coding.eq_ignore_ascii_case("aws-chunked"));
    if coded && head.header("x-amz-decoded-content-length").is_some() {
        Payload::Chunked(Box::new(Chunked { signatures: None, trailer: true }))
    } else {
        Payload::Unsigned
    }
}

/// A body on its way in.
pub struct Content {
    kind: Kind,
    length: Option<u64>,
    taken: u64,
}

enum Kind {
    Plain,
    Whole(Box<digest::Context>, [u8; 32]),
    Chunked(Box<Decoder>),
}

impl Content {
    /// Begins a body. Its length is known unless it is framed by the transfer coding
    /// only.
    ///
    /// # Errors
    /// When a body in chunks does not say how long its content is.
    pub fn new(payload: Payload, head: &Head<'_>) -> Result<Self, AuthError> {
        let framed = match head.framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        };
        let (kind, length) = match payload {
            Payload::Unsigned => (Kind::Plain, framed),
            Payload::Whole(hash) => {
                (Kind::Whole(Box::new(digest::Context::new(&digest::SHA256)), hash), framed)
            }
            Payload::Chunked(chunked) => {
                let length = decoded_length(head)?;
                let decoder = Decoder::new(chunked.signatures, chunked.trailer, length);
                (Kind::Chunked(Box::new(decoder)), Some(length))
            }
        };
        Ok(Self { kind, length, taken: 0 })
    }

    /// How long the content will be, when that is known.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Takes what came and hands the content in it to `sink`.
    ///
    /// # Errors
    /// When the chunks are not what they should be, or when `sink` says so.
    pub fn take<E: From<AuthError>>(
        &mut self,
        bytes: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match &mut self.kind {
            Kind::Plain => {
                self.taken += bytes.len() as u64;
                sink(bytes)
            }
            Kind::Whole(context, _) => {
                self.taken += bytes.len() as u64;
                context.update(bytes);
                sink(bytes)
            }
            Kind::Chunked(decoder) => decoder.take(bytes, sink),
        }
    }

    /// All of it came: the trailing headers.
    ///
    /// # Errors
    /// When it is not all, or the hash is another one.
    pub fn end(self) -> Result<Trailers, AuthError> {
        let short = self.length.is_some_and(|length| self.taken < length);
        match self.kind {
            Kind::Chunked(decoder) => return decoder.end(),
            _ if short => {
                return Err(AuthError::incomplete(
                    "You did not provide the number of bytes specified by the Content-Length \
                     HTTP header",
                ));
            }
            Kind::Plain => {}
            Kind::Whole(context, expected) => {
                let found = context.finish();
                if found.as_ref() != expected {
                    let mut shown = [Vec::new(), Vec::new()];
                    signing::hexadecimal(&expected, &mut shown[0]);
                    signing::hexadecimal(found.as_ref(), &mut shown[1]);
                    let [said, found] = shown.map(|hex| String::from_utf8_lossy(&hex).into_owned());
                    let message = "The provided 'x-amz-content-sha256' header does not match \
                                   what was computed.";
                    return Err(AuthError::new(400, "XAmzContentSHA256Mismatch", message)
                        .with("ClientComputedContentSHA256", said)
                        .with("S3ComputedContentSHA256", found));
                }
            }
        }
        Ok(Trailers::default())
    }
}

fn decoded_length(head: &Head<'_>) -> Result<u64, AuthError> {
    let Some(said) = head.header("x-amz-decoded-content-length") else {
        let message = "You must provide the Content-Length HTTP header.";
        return Err(AuthError::new(411, "MissingContentLength", message));
    };
    let digits = !said.is_empty() && said.bytes().all(|byte| byte.is_ascii_digit());
    said.parse().ok().filter(|_| digits).ok_or_else(|| {
        AuthError::argument("x-amz-decoded-content-length must be a number of bytes.")
    })
}
