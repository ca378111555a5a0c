//! What goes wrong, in the words of S3: codes, statuses, messages, and the document
//! that tells them. Codes and messages are those of the real service, because clients
//! compare codes and people search for messages.

use std::borrow::Cow;

use bytes::Bytes;
use object::Refusal;
use object::store::StoreError;

use super::auth::AuthError;
use super::xml::Xml;
use crate::step::{Answer, Plan};

macro_rules! codes {
    ($($name:ident $status:literal $message:literal,)*) => {
        /// A code of an error. Its name is what clients see.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $message] $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// As clients see it.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$name => stringify!($name),)* }
            }
            /// The status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }
            /// What it says when there is nothing more exact to say.
            pub const fn message(self) -> &'static str {
                match self { $(Code::$name => $message,)* }
            }
        }
    };
}

codes! {
    AccessDenied 403 "Access Denied",
    AccessForbidden 403 "CORSResponse: This CORS request is not allowed.",
    AccessControlListNotSupported 400 "The bucket does not allow ACLs",
    AuthorizationHeaderMalformed 400 "The authorization header that you provided is not valid.",
    AuthorizationQueryParametersError 400 "The authorization query parameters that you provided are not valid.",
    BadDigest 400 "The Content-MD5 or checksum value that you specified did not match what the server received.",
    BadRequest 400 "Bad Request",
    BucketAlreadyExists 409 "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.",
    BucketAlreadyOwnedByYou 409 "Your previous request to create the named bucket succeeded and you already own it.",
    BucketNotEmpty 409 "The bucket you tried to delete is not empty",
    ConditionalRequestConflict 409 "The conditional request cannot succeed due to a conflicting operation against this resource.",
    CredentialsNotSupported 400 "This request does not support credentials.",
    EntityTooLarge 400 "Your proposed upload exceeds the maximum allowed size",
    EntityTooSmall 400 "Your proposed upload is smaller than the minimum allowed size",
    ExpiredToken 400 "The provided token has expired.",
    IllegalLocationConstraintException 400 "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to.",
    IllegalVersioningConfigurationException 400 "The versioning configuration specified in the request is invalid.",
    IncompleteBody 400 "You did not provide the number of bytes specified by the Content-Length HTTP header",
    InternalError 500 "We encountered an internal error. Please try again.",
    InvalidAccessKeyId 403 "The AWS Access Key Id you provided does not exist in our records.",
    InvalidArgument 400 "Invalid Argument",
    InvalidBucketAclWithObjectOwnership 400 "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    InvalidBucketName 400 "The specified bucket is not valid.",
    InvalidBucketState 409 "The request is not valid with the current state of the bucket.",
    InvalidDigest 400 "The Content-MD5 or checksum value that you specified is not valid.",
    InvalidEncryptionAlgorithmError 400 "The encryption request that you specified is not valid. The valid value is AES256.",
    InvalidLocationConstraint 400 "The specified location-constraint is not valid",
    InvalidObjectState 403 "The operation is not valid for the current state of the object.",
    InvalidPart 400 "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
    InvalidPartNumber 416 "The requested partnumber is not satisfiable",
    InvalidPartOrder 400 "The list of parts was not in ascending order. The parts list must be specified in order by part number.",
    InvalidPolicyDocument 400 "The content of the form does not meet the conditions specified in the policy document.",
    InvalidRange 416 "The requested range is not satisfiable",
    InvalidRequest 400 "Invalid Request",
    InvalidRetentionPeriod 400 "The retention period is not valid.",
    InvalidSecurity 403 "The provided security credentials are not valid.",
    InvalidStorageClass 400 "The storage class you specified is not valid",
    InvalidTag 400 "The tag provided was not a valid tag. This error can occur if the tag did not pass input validation.",
    InvalidTargetBucketForLogging 400 "The target bucket for logging does not exist or cannot be used.",
    InvalidToken 400 "The provided token is malformed or otherwise not valid.",
    InvalidURI 400 "Couldn't parse the specified URI.",
    KeyTooLongError 400 "Your key is too long",
    MalformedACLError 400 "The XML you provided was not well-formed or did not validate against our published schema",
    MalformedPOSTRequest 400 "The body of your POST request is not well-formed multipart/form-data.",
    MalformedPolicy 400 "This policy contains invalid Json",
    MalformedXML 400 "The XML you provided was not well-formed or did not validate against our published schema",
    MaxMessageLengthExceeded 400 "Your request was too big.",
    MaxPostPreDataLengthExceededError 400 "Your POST request fields preceding the upload file were too large.",
    MetadataTooLarge 400 "Your metadata headers exceed the maximum allowed metadata size",
    MethodNotAllowed 405 "The specified method is not allowed against this resource.",
    MissingContentLength 411 "You must provide the Content-Length HTTP header.",
    MissingRequestBodyError 400 "Request Body is empty",
    MissingSecurityHeader 400 "Your request is missing a required header.",
    NoSuchBucket 404 "The specified bucket does not exist",
    NoSuchBucketPolicy 404 "The bucket policy does not exist",
    NoSuchCORSConfiguration 404 "The CORS configuration does not exist",
    NoSuchConfiguration 404 "The specified configuration does not exist.",
    NoSuchKey 404 "The specified key does not exist.",
    NoSuchLifecycleConfiguration 404 "The lifecycle configuration does not exist",
    NoSuchObjectLockConfiguration 404 "The specified object does not have a ObjectLock configuration",
    NoSuchPublicAccessBlockConfiguration 404 "The public access block configuration was not found",
    NoSuchTagSet 404 "The TagSet does not exist",
    NoSuchTagSetError 404 "The TagSet does not exist",
    NoSuchUpload 404 "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
    NoSuchVersion 404 "The specified version does not exist.",
    NoSuchWebsiteConfiguration 404 "The specified bucket does not have a website configuration",
    NotImplemented 501 "A header you provided implies functionality that is not implemented.",
    ObjectLockConfigurationNotFoundError 404 "Object Lock configuration does not exist for this bucket",
    OperationAborted 409 "A conflicting conditional operation is currently in progress against this resource. Please try again.",
    OwnershipControlsNotFoundError 404 "The bucket ownership controls were not found",
    PreconditionFailed 412 "At least one of the preconditions you specified did not hold",
    QuotaExceeded 403 "The quota of the bucket is used up.",
    ReplicationConfigurationNotFoundError 404 "The replication configuration was not found",
    RequestHeaderSectionTooLarge 431 "Your request header section exceeds the maximum allowed size.",
    RequestTimeTooSkewed 403 "The difference between the request time and the server's time is too large.",
    RequestTimeout 408 "Your socket connection to the server was not read from or written to within the timeout period.",
    ServerSideEncryptionConfigurationNotFoundError 404 "The server side encryption configuration was not found",
    ServiceUnavailable 503 "Service is unable to handle request.",
    SignatureDoesNotMatch 403 "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    SlowDown 503 "Please reduce your request rate.",
    InsufficientStorage 507 "No space is left on the device.",
    TooManyBuckets 400 "You have attempted to create more buckets than allowed",
    UnexpectedContent 400 "This request does not support content",
    UnresolvableGrantByEmailAddress 400 "The email address you provided does not match any account on record.",
    UserKeyMustBeSpecified 400 "The bucket POST request must contain the specified field name. If it is specified, check the order of the fields.",
    XAmzContentChecksumMismatch 400 "The provided 'x-amz-checksum' header does not match what was computed.",
    XAmzContentSHA256Mismatch 400 "The provided 'x-amz-content-sha256' header does not match what was computed.",
    NotModified 304 "Not Modified",
}

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub code: Code,
    /// The status: the code's, as a rule.
    pub status: u16,
    /// What is said.
    pub message: Cow<'static, str>,
    /// More elements of the document: names and values.
    pub details: Vec<(&'static str, String)>,
    /// More headers of the answer.
    pub headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

/// What an operation comes to.
pub type Outcome<T> = Result<T, Box<Failure>>;

impl From<Code> for Box<Failure> {
    fn from(code: Code) -> Self {
        code.saying(code.message())
    }
}

impl Code {
    /// The error with a message of its own.
    pub fn saying(self, message: impl Into<Cow<'static, str>>) -> Box<Failure> {
        let message = message.into();
        let (details, headers) = (Vec::new(), Vec::new());
        Box::new(Failure { code: self, status: self.status(), message, details, headers })
    }
}

/// An argument is not what it may be: its name and value are told.
pub fn invalid(name: &str, value: &str, message: &'static str) -> Box<Failure> {
    let mut failure = Code::InvalidArgument.saying(message);
    failure.details.push(("ArgumentName", name.to_owned()));
    failure.details.push(("ArgumentValue", value.chars().take(1024).collect()));
    failure
}

impl Failure {
    /// With an element more.
    pub fn with(mut self: Box<Self>, name: &'static str, value: impl Into<String>) -> Box<Self> {
        self.details.push((name, value.into()));
        self
    }

    /// With a header more.
    pub fn header(
        mut self: Box<Self>,
        name: &'static str,
        value: impl Into<Cow<'static, str>>,
    ) -> Box<Self> {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The answer. Those to HEAD have no document, and 304 never has one.
    pub fn answer(self, resource: &str, request: &str, bare: bool) -> Answer {
        let status = self.status;
        let mut headers = self.headers;
        let body = if bare || status == 304 {
            Plan::Empty
        } else {
            let mut xml = Xml::bare();
            xml.element("Error", |xml| {
                xml.leaf("Code", self.code.name());
                xml.leaf("Message", &self.message);
                for (name, value) in &self.details {
                    xml.leaf(name, value);
                }
                xml.leaf("Resource", resource);
                xml.leaf("RequestId", request);
                xml.leaf("HostId", super::HOST_ID);
            });
            headers.push(("Content-Type".into(), "application/xml".into()));
            Plan::Bytes(Bytes::from(xml.finish()))
        };
        headers.insert(0, (super::REQUEST_ID.into(), request.to_owned().into()));
        headers.insert(1, ("x-amz-id-2".into(), super::HOST_ID.into()));
        Answer { status, headers, body, close: false }
    }
}

impl From<Refusal> for Box<Failure> {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoBucket => Code::NoSuchBucket.into(),
            Refusal::BucketExists(_) => Code::BucketAlreadyExists.into(),
            Refusal::NotEmpty => Code::BucketNotEmpty.into(),
            Refusal::NoKey => Code::NoSuchKey.into(),
            Refusal::NoVersion => Code::NoSuchVersion.into(),
            Refusal::Marker(sequence) => Failure::from_marker(super::header::version_id(sequence)),
            Refusal::NoUpload => Code::NoSuchUpload.into(),
            Refusal::InvalidPart(number) => {
                let failure: Box<Failure> = Code::InvalidPart.into();
                failure.with("PartNumber", number.to_string())
            }
            Refusal::PartOrder => Code::InvalidPartOrder.into(),
            Refusal::PartTooShort(number) => {
                let failure: Box<Failure> = Code::EntityTooSmall.into();
                failure.with("PartNumber", number.to_string())
            }
            Refusal::NoParts => Code::MalformedXML.into(),
            Refusal::Failed => Code::PreconditionFailed.into(),
            Refusal::Held => {
                Code::AccessDenied.saying("Access Denied because object protected by object lock.")
            }
            Refusal::NoLock => {
                Code::InvalidRequest.saying("Bucket is missing Object Lock Configuration")
            }
            Refusal::BucketState(why) => Code::InvalidBucketState.saying(why),
            Refusal::Checksum => Code::BadDigest.into(),
            Refusal::Length { said, counted } => Code::InvalidRequest.saying(format!(
                "The provided 'x-amz-mp-object-size' header value {said} does not match what \
                 was computed: {counted}"
            )),
            Refusal::Quota => Code::QuotaExceeded.into(),
            Refusal::Full => Code::InsufficientStorage.into(),
            Refusal::Medium(why) => {
                tracing::error!(%why, "the store refuses changes: its medium fails");
                Code::ServiceUnavailable.into()
            }
        }
    }
}

impl Failure {
    fn from_marker(id: String) -> Box<Self> {
        let failure: Box<Failure> = Code::MethodNotAllowed.into();
        failure
            .header("x-amz-delete-marker", "true")
            .header("x-amz-version-id", id)
            .header("Allow", "DELETE")
    }
}

impl From<AuthError> for Box<Failure> {
    fn from(error: AuthError) -> Self {
        let code = Code::ALL.iter().find(|code| code.name() == error.code);
        let mut failure = code.copied().unwrap_or(Code::InvalidRequest).saying(error.message);
        failure.details = error.details;
        failure.status = error.status;
        failure
    }
}

impl From<StoreError> for Box<Failure> {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store cannot read");
        Code::InternalError.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: &Answer) -> String {
        let Plan::Bytes(bytes) = &answer.body else { panic!("a document") };
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn an_error_is_told_with_code_message_and_request() {
        let failure = invalid("max-keys", "<x>", "Provided max-keys not an integer");
        let answer = failure.answer("/bucket/a&b", "0F", false);
        assert_eq!(answer.status, 400);
        assert_eq!(answer.headers[0], ("x-amz-request-id".into(), "0F".into()));
        let text = text(&answer);
        assert!(text.contains("<Code>InvalidArgument</Code>"), "{text}");
        assert!(text.contains("<ArgumentValue>&lt;x&gt;</ArgumentValue>"), "{text}");
        assert!(text.contains("<Resource>/bucket/a&amp;b</Resource>"), "{text}");
        assert!(text.contains("<RequestId>0F</RequestId>"), "{text}");
    }

    #[test]
    fn the_answer_to_head_and_304_have_no_document() {
        let failure: Box<Failure> = Code::NoSuchKey.into();
        assert!(matches!(failure.answer("/", "1", true).body, Plan::Empty));
        let failure: Box<Failure> = Code::NotModified.into();
        assert!(matches!(failure.answer("/", "1", false).body, Plan::Empty));
    }

    #[test]
    fn every_code_has_a_status_of_an_error_and_says_something() {
        for code in Code::ALL {
            assert!((304..=599).contains(&code.status()), "{}", code.name());
            assert!(!code.message().is_empty() && !code.name().is_empty());
        }
    }

    #[test]
    fn refusals_have_the_codes_of_the_real_service() {
        let code = |refusal| Box::<Failure>::from(refusal).code;
        assert_eq!(code(Refusal::NoBucket), Code::NoSuchBucket);
        assert_eq!(code(Refusal::Held), Code::AccessDenied);
        assert_eq!(code(Refusal::PartTooShort(2)), Code::EntityTooSmall);
        assert_eq!(code(Refusal::Full), Code::InsufficientStorage);
        assert_eq!(code(Refusal::Failed).status(), 412);
    }
}
