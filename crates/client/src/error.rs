//! What can go wrong between a client and Bedplate, and what to do next.

use model::Problem;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Bedplate answered, and refused.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// Nobody answers.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// Somebody answers who cannot prove to be our Bedplate.
    #[error("{url} has a certificate that is not trusted: {reason}")]
    Untrusted {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// The connection ended in the middle, or nothing came for too long.
    #[error("the connection to {url} broke off: {reason}")]
    Interrupted {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// The answer makes no sense: another version, or something in between.
    #[error("{url} answered what is not of the API: {reason}")]
    Unexpected {
        /// Where.
        url: String,
        /// What came.
        reason: String,
    },
    /// An address, a token or a CA that cannot be used.
    #[error("{0}")]
    Settings(String),
    /// A file that was to be sent cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl From<Problem> for ClientError {
    fn from(problem: Problem) -> Self {
        ClientError::Problem(Box::new(problem))
    }
}

impl ClientError {
    /// What to do next.
    pub fn next(&self) -> &str {
        match self {
            ClientError::Problem(problem) => &problem.next,
            ClientError::Unreachable { .. } => {
                "Is it running? `bedplate up` starts it; --url or BEDPLATE_URL says where it is."
            }
            ClientError::Untrusted { .. } => {
                "Give its CA with --ca or BEDPLATE_CA: `ca/ca.pem` in its data directory."
            }
            ClientError::Interrupted { .. } => "Send it again.",
            ClientError::Unexpected { .. } => {
                "Check the address, and that client and control plane are of one version."
            }
            ClientError::Settings(_) => "Correct it and try again.",
            ClientError::File { .. } => "Check the path and that you may read it.",
        }
    }

    /// The problem document, where Bedplate gave one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            ClientError::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// What a failed connection means.
    pub(crate) fn of_transport(url: &reqwest::Url, error: &reqwest::Error) -> Self {
        let (url, reason) = (url.origin().ascii_serialization(), reason(error));
        let certificate = reason.contains("certificate") || reason.contains("UnknownIssuer");
        match (certificate, error.is_connect()) {
            (true, _) => ClientError::Untrusted { url, reason },
            (false, true) => ClientError::Unreachable { url, reason },
            (false, false) => ClientError::Interrupted { url, reason },
        }
    }
}

/// The innermost cause: the outer ones only say that a request failed.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
