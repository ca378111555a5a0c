//! What a request says its content's digests are, in headers, in trailing headers, or
//! in the fields of a form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use object::entry::{Algorithm, Checksum, Coverage};

use super::{ALGORITHMS, Sums, Wanted, header, length, name, parse};
use crate::s3::auth::{AuthError, Fields, Trailers};
use crate::step::Head;

/// What is expected of a content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    md5: Option<[u8; 16]>,
    checksum: Option<(Algorithm, Value)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// Said beforehand.
    Said(Vec<u8>),
    /// Comes behind the content.
    Trailing,
    /// Not said; to be computed and kept.
    Wanted,
}

fn invalid_digest(said: &str) -> AuthError {
    AuthError::new(400, "InvalidDigest", "The Content-MD5 you specified was invalid.")
        .with("Content-MD5", said.chars().take(128).collect::<String>())
}

/// The real service calls some of these `InvalidRequest`; the conformance suite wants
/// one code for all values that do not fit.
fn bad_digest(algorithm: Algorithm) -> AuthError {
    let name = name(algorithm);
    let message = format!("The {name} you specified did not match the calculated checksum.");
    AuthError::new(400, "BadDigest", message)
}

fn decode(algorithm: Algorithm, said: &str) -> Result<Vec<u8>, AuthError> {
    let value = BASE64.decode(said.trim()).ok();
    value.filter(|value| value.len() == length(algorithm)).ok_or_else(|| bad_digest(algorithm))
}

impl Expected {
    /// Reads the headers of a request.
    ///
    /// # Errors
    /// When they make no sense.
    pub fn from_head(head: &Head<'_>) -> Result<Self, AuthError> {
        let mut expected = Self::by(|name| head.header(name))?;
        let names = head.header("x-amz-trailer").unwrap_or("").split(',').map(str::trim);
        for trailing in names.filter(|name| !name.is_empty()) {
            let mut all = ALGORITHMS.into_iter();
            let known = all.find(|algorithm| header(*algorithm).eq_ignore_ascii_case(trailing));
            match known {
                Some(algorithm) if expected.checksum.is_none() => {
                    expected.checksum = Some((algorithm, Value::Trailing));
                }
                Some(_) => return Err(several()),
                None => {
                    let message =
                        "The value specified in the x-amz-trailer header is not supported";
                    return Err(AuthError::request(message));
                }
            }
        }
        expected.agree(head.header("x-amz-sdk-checksum-algorithm"))?;
        Ok(expected)
    }

    /// Reads the fields of a form.
    ///
    /// # Errors
    /// When they make no sense.
    pub fn from_fields(fields: &Fields) -> Result<Self, AuthError> {
        Self::by(|name| fields.get(name))
    }

    fn by<'v>(value: impl Fn(&str) -> Option<&'v str>) -> Result<Self, AuthError> {
        let mut expected = Self::default();
        if let Some(said) = value("content-md5") {
            let md5 = BASE64.decode(said.trim()).ok().and_then(|md5| md5.try_into().ok());
            expected.md5 = Some(md5.ok_or_else(|| invalid_digest(said))?);
        }
        for algorithm in ALGORITHMS {
            let Some(said) = value(header(algorithm)) else { continue };
            let said = Value::Said(decode(algorithm, said)?);
            if expected.checksum.replace((algorithm, said)).is_some() {
                return Err(several());
            }
        }
        Ok(expected)
    }

    /// What `x-amz-sdk-checksum-algorithm` says must be what is there.
    fn agree(&self, said: Option<&str>) -> Result<(), AuthError> {
        let Some(said) = said else { return Ok(()) };
        let algorithm = parse(said).ok_or_else(|| {
            AuthError::request("Value for x-amz-sdk-checksum-algorithm header is invalid.")
        })?;
        match &self.checksum {
            Some((known, _)) if *known == algorithm => Ok(()),
            Some(_) => {
                Err(AuthError::request("Value for x-amz-sdk-checksum-algorithm header is invalid."))
            }
            // A digest of the older kind is enough for requests that must have one.
            None if self.md5.is_some() => Ok(()),
            None => Err(AuthError::request(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* \
                 or x-amz-trailer headers were found.",
            )),
        }
    }

    /// The algorithm whose value is said or will come, when there is one.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.checksum.as_ref().map(|(algorithm, _)| *algorithm)
    }

    /// Whether there is any digest that protects the content on its way.
    pub fn is_any(&self) -> bool {
        self.md5.is_some() || self.checksum.is_some()
    }

    /// Where nothing is said, this algorithm's value is to be computed and kept.
    #[must_use]
    pub fn or(mut self, algorithm: Algorithm) -> Self {
        self.checksum.get_or_insert((algorithm, Value::Wanted));
        self
    }

    /// Which digests to make. MD5 is always among them when `tag` is needed.
    pub fn wanted(&self, tag: bool) -> Wanted {
        let md5 = Wanted { md5: tag || self.md5.is_some(), ..Wanted::default() };
        self.checksum.as_ref().map_or(md5, |(algorithm, _)| md5.and(*algorithm))
    }

    /// Compares with what was found. The checksum to keep, when there is one.
    ///
    /// # Errors
    /// When something is not as it was said.
    ///
    /// # Panics
    /// When the digests are not those that were [`Self::wanted`].
    pub fn verify(&self, sums: &Sums, trailers: &Trailers) -> Result<Option<Checksum>, AuthError> {
        if let Some(said) = self.md5 {
            let found = sums.md5.expect("it was wanted");
            if said != found {
                let message = "The Content-MD5 you specified did not match what we received.";
                return Err(AuthError::new(400, "BadDigest", message)
                    .with("ExpectedDigest", BASE64.encode(said))
                    .with("CalculatedDigest", BASE64.encode(found)));
            }
        }
        let Some((algorithm, value)) = &self.checksum else { return Ok(None) };
        let found = sums.get(*algorithm).expect("it was wanted");
        let said = match value {
            Value::Said(said) => said.clone(),
            Value::Wanted => found.to_vec(),
            Value::Trailing => {
                let said = trailers.get(header(*algorithm)).ok_or_else(|| {
                    AuthError::new(
                        400,
                        "MalformedTrailerError",
                        "The request contained trailing \
                        data that was not well-formed or did not conform to our published schema.",
                    )
                })?;
                decode(*algorithm, said)?
            }
        };
        if said != found {
            return Err(bad_digest(*algorithm));
        }
        let coverage = Coverage::Whole;
        Ok(Some(Checksum { algorithm: *algorithm, coverage, value: said }))
    }
}

fn several() -> AuthError {
    AuthError::request(
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
    )
}
