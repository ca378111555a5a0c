//! Content that comes: into a file, going on where it broke off, and compared with the
//! checksum that was kept when it was stored.

use reqwest::{Method, Response};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::checksum::Comparison;
use super::object::of_version;
use super::{ObjectError, ObjectHead, Objects, Question};
use crate::ClientError;

/// How often it goes on after it broke off without having got any further.
const FRUITLESS: u32 = 5;

/// What is fetched.
#[derive(Clone, Copy, Debug)]
pub struct Download<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
    /// The version, when it is not the newest.
    pub version: Option<&'a str>,
}

impl Objects {
    /// Begins to fetch an object from a byte on, if it is still the one with this tag.
    ///
    /// # Errors
    /// What the gateway says, or why it does not.
    async fn get(
        &self,
        what: &Download<'_>,
        from: u64,
        etag: &str,
    ) -> Result<Response, ObjectError> {
        let mut question = Question::object(what.bucket, what.key)
            .header("x-amz-checksum-mode", "ENABLED")
            .header("if-match", format!("\"{etag}\""));
        if from > 0 {
            question = question.header("range", format!("bytes={from}-"));
        }
        let response = self.ask(Method::GET, &of_version(question, what.version)).await?;
        match (from, response.status().as_u16()) {
            (0, 200) | (1.., 206) => Ok(response),
            (_, status) => Err(self.strange(&format!("status {status} to a range"))),
        }
    }

    fn silent(&self) -> ObjectError {
        let reason = "answers without content".to_owned();
        ClientError::Interrupted { url: self.endpoint(), reason }.into()
    }

    /// Fetches the rest of an object behind the `have` bytes that are there, which were
    /// given to `comparison` already. Returns by what the whole was compared, if by
    /// anything: an object that was stored in parts without checksums has nothing.
    ///
    /// # Errors
    /// What the gateway says, why it does not, that the content cannot be written, or
    /// that it is not what was stored.
    pub async fn download(
        &self,
        what: &Download<'_>,
        head: &ObjectHead,
        mut have: u64,
        mut comparison: Option<Comparison>,
        into: &mut (impl AsyncWrite + Unpin),
        progress: impl Fn(u64),
    ) -> Result<Option<&'static str>, ObjectError> {
        let mut fruitless = 0;
        while have < head.size {
            let before = have;
            let mut response = self.get(what, have, &head.etag).await?;
            let broken = loop {
                match response.chunk().await {
                    Ok(Some(bytes)) => {
                        if let Some(comparison) = &mut comparison {
                            comparison.update(&bytes);
                        }
                        into.write_all(&bytes).await?;
                        have += bytes.len() as u64;
                        progress(bytes.len() as u64);
                    }
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            fruitless = if have > before { 0 } else { fruitless + 1 };
            if fruitless >= FRUITLESS {
                return Err(broken.map_or_else(|| self.silent(), |error| self.broken(&error)));
            }
        }
        into.flush().await?;
        let by = comparison.as_ref().map(|comparison| comparison.by);
        match comparison.is_none_or(Comparison::holds) && have == head.size {
            true => Ok(by),
            false => Err(ObjectError::Damaged(format!(
                "what came of {}/{} is not what was stored, by its {}",
                what.bucket,
                what.key,
                by.unwrap_or("length")
            ))),
        }
    }
}
