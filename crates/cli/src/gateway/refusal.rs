//! What a gateway's refusals mean for people. Codes are those of S3 in the house's
//! writing: `NoSuchKey` is `no-such-key`.

use client::objects::ObjectError;

use crate::Failure;

impl From<ObjectError> for Failure {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Refused { code, message, request, status } => {
                let mut why = message;
                if status >= 500 && !request.is_empty() {
                    why.push_str(&format!("\nrequest {request}"));
                }
                Failure::new(&kebab(&code), what(&code)).why(why).next(next(&code))
            }
            ObjectError::Transport(error) => of_transport(error),
            ObjectError::Damaged(what) => Failure::new("content-damaged", "The content is not whole")
                .why(what)
                .next("Try again. If it stays, look at the gateway's metrics and log: bedplate gateway status"),
            ObjectError::Local(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                error.into()
            }
            ObjectError::Local(error) => {
                Failure::new("file", "A file cannot be read or written").why(error.to_string())
            }
            ObjectError::Usage(what) => Failure::usage(what),
        }
    }
}

/// The same as elsewhere, with the gateway in the place of the control plane.
fn of_transport(error: client::ClientError) -> Failure {
    use client::ClientError::{Interrupted, Unexpected, Unreachable};
    match error {
        Unreachable { url, reason } => {
            Failure::new("gateway-unreachable", format!("No gateway answers at {url}"))
                .why(reason)
                .next("Is it running? Start it with: bedplate gateway\nElsewhere? Say where with --endpoint or AWS_ENDPOINT_URL.")
        }
        Interrupted { url, reason } => {
            Failure::new("interrupted", format!("The connection to {url} broke off"))
                .why(reason)
                .next("Do it again: a download goes on where it broke off.")
        }
        Unexpected { url, reason } => {
            Failure::new("unexpected", format!("{url} does not answer as a gateway does"))
                .why(reason)
                .next("Check the address.")
        }
        other => other.into(),
    }
}

/// `NoSuchKey` as `no-such-key`.
fn kebab(code: &str) -> String {
    let mut word = String::with_capacity(code.len() + 4);
    let mut before = ' ';
    for c in code.chars().filter(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            word.push('-');
        }
        word.push(c.to_ascii_lowercase());
        before = c;
    }
    word
}

fn what(code: &str) -> String {
    let what = match code {
        "AccessDenied" | "AllAccessDisabled" => "This is not allowed",
        "BucketAlreadyExists" => "Somebody else has a bucket of this name",
        "BucketNotEmpty" => "The bucket is not empty",
        "InvalidAccessKeyId" => "The gateway does not know the access key",
        "InvalidBucketName" => "No bucket can have this name",
        "NoSuchBucket" => "There is no such bucket",
        "NoSuchKey" => "There is no such object",
        "NoSuchVersion" => "There is no such version",
        "PreconditionFailed" => "The object is not as it was to be",
        "QuotaExceeded" => "The quota is used up",
        "RequestTimeTooSkewed" => "The clocks are too far apart",
        "SignatureDoesNotMatch" => "The secret does not belong to the access key",
        "ExpiredToken" => "The session has expired",
        "InsufficientStorage" => "The gateway's disk is full",
        "SlowDown" | "ServiceUnavailable" => "The gateway takes no changes now",
        _ => return format!("The gateway refuses it: {code}"),
    };
    what.to_owned()
}

fn next(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AllAccessDisabled" => {
            "Use the owner's access key, or have the owner allow it: bedplate bucket policy --help"
        }
        "BucketAlreadyExists" | "InvalidBucketName" => {
            "Take another name: 3 to 63 lower-case letters, digits, dots and hyphens."
        }
        "BucketNotEmpty" => {
            "Delete what is in it, with all versions: bedplate object delete BUCKET/ --recursive --versions\nUploads that were not finished: bedplate object uploads BUCKET --abort"
        }
        "InvalidAccessKeyId" => {
            "Look whether the key is of this gateway: bedplate gateway key list, on its host"
        }
        "NoSuchBucket" => {
            "See which there are: bedplate bucket list\nMake it: bedplate bucket create BUCKET"
        }
        "NoSuchKey" => "See which there are: bedplate object list BUCKET",
        "NoSuchVersion" => "See which there are: bedplate object list BUCKET/KEY --versions",
        "PreconditionFailed" => "Look at it, and try again: bedplate object show BUCKET/KEY",
        "QuotaExceeded" => {
            "Delete what nobody needs, or have more allowed: bedplate gateway project list, bedplate bucket quota BUCKET"
        }
        "RequestTimeTooSkewed" => {
            "Compare the clocks of both machines: date -u. Set both by NTP: timedatectl set-ntp true"
        }
        "SignatureDoesNotMatch" => "Check the secret: AWS_SECRET_ACCESS_KEY, or --secret-file.",
        "ExpiredToken" => "Make new credentials: bedplate gateway session, on the gateway's host",
        "InsufficientStorage" => "Free space there: reads go on, and writes when there is room.",
        "SlowDown" | "ServiceUnavailable" => "Look at it: bedplate doctor, on its host",
        "NotImplemented" => "docs/s3-operations.md lists what there is.",
        _ => "See what it is about: bedplate doctor, and the gateway's log.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_as_all_are() {
        assert_eq!(kebab("NoSuchKey"), "no-such-key");
        assert_eq!(kebab("InvalidURI"), "invalid-uri");
        assert_eq!(kebab("MalformedXML\u{1b}["), "malformed-xml");
    }

    #[test]
    fn every_refusal_has_a_next_step() {
        let error = ObjectError::Refused {
            status: 404,
            code: "NoSuchBucket".to_owned(),
            message: "The specified bucket does not exist".to_owned(),
            request: String::new(),
        };
        let failure = Failure::from(error);
        assert_eq!(failure.code, "no-such-bucket");
        assert!(failure.next.contains("bedplate bucket create"));
        assert!(!next("SomethingNew").is_empty());
    }
}
