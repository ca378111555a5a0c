//! Why a gateway did not do what was asked.

use super::xml;
use crate::ClientError;

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The gateway says no.
    #[error("{code}: {message}")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// The code, as S3 has it: `NoSuchKey`.
        code: String,
        /// What the gateway says about it.
        message: String,
        /// The request's name, for who looks into its log.
        request: String,
    },
    /// There is no connection, or none that lasts.
    #[error(transparent)]
    Transport(#[from] ClientError),
    /// What came is not what was stored, or what was stored is not what was sent.
    #[error("{0}")]
    Damaged(String),
    /// The content cannot be read or written here.
    #[error("{0}")]
    Local(#[from] std::io::Error),
    /// It cannot be asked for in this way.
    #[error("{0}")]
    Usage(String),
}

impl ObjectError {
    /// From an answer that is no success. Answers to HEAD have no document: their status
    /// says it.
    pub(super) fn refused(status: u16, request: &str, body: &[u8]) -> Self {
        let document = xml::parse(body).filter(|document| document.name == "Error");
        let text = |name: &str| {
            let found = document.as_ref().and_then(|document| document.text_of(name));
            found.unwrap_or_default().to_owned()
        };
        let mut code = text("Code");
        if code.is_empty() {
            code = by_status(status).to_owned();
        }
        Self::Refused { status, code, message: text("Message"), request: request.to_owned() }
    }

    /// The code of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

const fn by_status(status: u16) -> &'static str {
    match status {
        304 => "NotModified",
        400 => "InvalidRequest",
        401 | 403 => "AccessDenied",
        404 => "NoSuchKey",
        405 => "MethodNotAllowed",
        409 => "OperationAborted",
        412 => "PreconditionFailed",
        416 => "InvalidRange",
        501 => "NotImplemented",
        503 => "SlowDown",
        507 => "InsufficientStorage",
        _ => "InternalError",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_by_its_document_or_else_by_its_status() {
        let body = b"<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>none</Message></Error>";
        let error = ObjectError::refused(404, "R1", body);
        assert_eq!(error.to_string(), "NoSuchBucket: none");
        assert_eq!(ObjectError::refused(404, "", b"").code(), Some("NoSuchKey"));
        assert_eq!(ObjectError::refused(502, "", b"<html>").code(), Some("InternalError"));
    }
}
