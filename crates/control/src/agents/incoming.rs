//! Bodies of requests, bounded before they are parsed.

use axum::body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use model::{ErrorCode, Problem};
use serde::de::DeserializeOwned;

/// How long a body may take to arrive.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// The bytes of a body of at most so many.
pub(super) async fn bounded(body: Body, limit: usize) -> Result<bytes::Bytes, Problem> {
    match tokio::time::timeout(PATIENCE, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Problem::new(ErrorCode::TooLarge, format!("at most {limit} bytes are taken here")))
        }
        Ok(Err(_)) => Err(Problem::new(ErrorCode::InvalidRequest, "the body broke off")),
        Err(_) => Err(Problem::new(ErrorCode::InvalidRequest, "the body took too long")),
    }
}

/// A JSON document of at most so many bytes.
pub(super) async fn document<T: DeserializeOwned>(body: Body, limit: usize) -> Result<T, Problem> {
    let bytes = bounded(body, limit).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(ErrorCode::InvalidRequest, format!("the body: {error}")))
}
