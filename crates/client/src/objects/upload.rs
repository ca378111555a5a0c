//! Content that is sent: in one request when it is small, else in parts, several at a
//! time. Each part carries its checksum, and the whole is compared at the end.

use bytes::{Bytes, BytesMut};
use reqwest::Method;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::task::JoinSet;

use super::object::text;
use super::xml::{self, escaped};
use super::{ObjectError, Objects, Question, checksum};

/// A part at first. Parts grow, so that 10,000 are enough for anything.
pub const PART: usize = 8 << 20;
/// Parts of one length.
const ALIKE: usize = 1000;
/// No part is larger: some of them are in memory at a time.
const LARGEST_PART: usize = 512 << 20;

/// What is sent where.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// What is kept of it: `content-type`, `x-amz-meta-…`, `x-amz-storage-class`, …
    pub headers: Vec<(String, String)>,
    /// Its length, where it is known: another one is an error.
    pub length: Option<u64>,
    /// Parts at a time.
    pub parallel: usize,
    /// Bytes of a part at first.
    pub part: usize,
    /// Refuse when there is an object of this key.
    pub absent: bool,
}

impl Upload {
    /// The condition on what is there, for the request that makes the object.
    fn conditions(&self, question: Question) -> Question {
        match self.absent {
            true => question.header("if-none-match", "*"),
            false => question,
        }
    }
}

/// What was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Its entity tag.
    pub etag: String,
    /// Its length.
    pub size: u64,
    /// The version, where versions are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its CRC-64/NVME in base64: what was sent is what was stored.
    pub crc64nvme: String,
    /// In how many parts it was sent; 0: in one go.
    pub parts: usize,
}

/// A part that is stored.
struct Part {
    number: usize,
    etag: String,
    crc: u64,
    length: u64,
}

/// Who hears how many bytes more have gone out.
pub type Progress = std::sync::Arc<dyn Fn(u64) + Send + Sync>;

impl Objects {
    /// Sends content. What fails in the middle is given up, also at the gateway.
    ///
    /// # Errors
    /// What the gateway says, why it does not, or why the content cannot be read.
    pub async fn upload(
        &self,
        upload: &Upload,
        mut content: impl AsyncRead + Unpin + Send,
        progress: Progress,
    ) -> Result<Stored, ObjectError> {
        let first = fill(&mut content, upload.part).await?;
        if first.len() < upload.part {
            same_length(upload, first.len() as u64)?;
            return self.whole(upload, first, &progress).await;
        }
        let id = self.begin(upload).await?;
        match self.parts(upload, &id, first, content, &progress).await {
            Ok(stored) => Ok(stored),
            Err(error) => {
                // What was wrong is told; that the parts stay as well is not worse.
                self.abort(&upload.bucket, &upload.key, &id).await.ok();
                Err(error)
            }
        }
    }

    async fn whole(
        &self,
        upload: &Upload,
        content: Bytes,
        progress: &Progress,
    ) -> Result<Stored, ObjectError> {
        let size = content.len() as u64;
        let crc64nvme = checksum::told(checksum::crc64(&content));
        let question = Question {
            headers: upload.headers.clone(),
            ..Question::object(&upload.bucket, &upload.key)
        };
        let question = upload.conditions(question.content(content));
        let response = self.ask(Method::PUT, &question).await?;
        progress(size);
        let said = |name| text(response.headers(), name);
        let etag = said("etag").unwrap_or_default().trim_matches('"').to_owned();
        Ok(Stored { etag, size, version: said("x-amz-version-id"), crc64nvme, parts: 0 })
    }

    async fn begin(&self, upload: &Upload) -> Result<String, ObjectError> {
        let question = Question {
            headers: upload.headers.clone(),
            ..Question::object(&upload.bucket, &upload.key).with("uploads", "")
        };
        let question = question
            .header("x-amz-checksum-algorithm", "CRC64NVME")
            .header("x-amz-checksum-type", "FULL_OBJECT");
        let response = self.ask(Method::POST, &question).await?;
        let body = self.document(response).await?;
        let id = xml::parse(&body).and_then(|answer| Some(answer.text_of("UploadId")?.to_owned()));
        id.ok_or_else(|| self.strange("an upload without a name"))
    }

    /// Gives an upload up: its parts are gone.
    ///
    /// # Errors
    /// What the gateway says, or why it does not.
    pub async fn abort(&self, bucket: &str, key: &str, id: &str) -> Result<(), ObjectError> {
        let question = Question::object(bucket, key).with("uploadId", id);
        self.ask(Method::DELETE, &question).await.map(drop)
    }

    async fn parts(
        &self,
        upload: &Upload,
        id: &str,
        first: Bytes,
        mut content: impl AsyncRead + Unpin + Send,
        progress: &Progress,
    ) -> Result<Stored, ObjectError> {
        let (mut next, mut number, mut read) = (Some(first), 1, 0);
        let (mut sending, mut parts) = (JoinSet::new(), Vec::new());
        while let Some(bytes) = next.take() {
            read += bytes.len() as u64;
            let (objects, question) = (self.clone(), Question::object(&upload.bucket, &upload.key));
            let question = question.with("partNumber", number.to_string()).with("uploadId", id);
            let progress = progress.clone();
            sending.spawn(async move { objects.part(number, question, bytes, progress).await });
            if sending.len() >= upload.parallel.max(1) {
                parts.push(ended(&mut sending).await?);
            }
            let length = (upload.part << (number / ALIKE)).min(LARGEST_PART);
            next = Some(fill(&mut content, length).await?).filter(|bytes| !bytes.is_empty());
            number += 1;
        }
        same_length(upload, read)?;
        while !sending.is_empty() {
            parts.push(ended(&mut sending).await?);
        }
        parts.sort_by_key(|part: &Part| part.number);
        self.complete(upload, id, &parts).await
    }

    async fn part(
        &self,
        number: usize,
        question: Question,
        bytes: Bytes,
        progress: Progress,
    ) -> Result<Part, ObjectError> {
        let (length, crc) = (bytes.len() as u64, checksum::crc64(&bytes));
        let response = self.ask(Method::PUT, &question.content(bytes)).await?;
        progress(length);
        let etag = text(response.headers(), "etag").unwrap_or_default();
        Ok(Part { number, etag, crc, length })
    }

    async fn complete(
        &self,
        upload: &Upload,
        id: &str,
        parts: &[Part],
    ) -> Result<Stored, ObjectError> {
        let mut document = String::from("<CompleteMultipartUpload>");
        let (mut crc, mut size) = (checksum::crc64(b""), 0);
        for part in parts {
            crc = checksum::joined(crc, part.crc, part.length);
            size += part.length;
            document.push_str(&format!(
                "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag><ChecksumCRC64NVME>{}</ChecksumCRC64NVME></Part>",
                part.number,
                escaped(&part.etag),
                checksum::told(part.crc)
            ));
        }
        document.push_str("</CompleteMultipartUpload>");
        let crc64nvme = checksum::told(crc);
        let mut question = Question::object(&upload.bucket, &upload.key).with("uploadId", id);
        // The checksum in the header is the object's, not that of this document.
        question.content = Some(Bytes::from(document));
        let question = question
            .header(checksum::HEADER, &crc64nvme)
            .header("x-amz-checksum-type", "FULL_OBJECT")
            .header("x-amz-mp-object-size", size.to_string());
        let question = upload.conditions(question);
        let response = self.ask(Method::POST, &question).await?;
        let version = text(response.headers(), "x-amz-version-id");
        let body = self.document(response).await?;
        let answer = xml::parse(&body);
        let answer = answer.filter(|answer| answer.name == "CompleteMultipartUploadResult");
        let answer = answer.ok_or_else(|| ObjectError::refused(500, "", &body))?;
        let etag = answer.text_of("ETag").unwrap_or_default().trim_matches('"').to_owned();
        Ok(Stored { etag, size, version, crc64nvme, parts: parts.len() })
    }
}

async fn ended(sending: &mut JoinSet<Result<Part, ObjectError>>) -> Result<Part, ObjectError> {
    let ended = sending.join_next().await.expect("one is under way");
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// A file that grows or shrinks while it is read is not what was meant.
fn same_length(upload: &Upload, read: u64) -> Result<(), ObjectError> {
    match upload.length {
        Some(length) if length != read => Err(ObjectError::Damaged(format!(
            "the content had {length} bytes, and {read} when it was read: it changed meanwhile"
        ))),
        _ => Ok(()),
    }
}

/// So many bytes; fewer at the end.
async fn fill(content: &mut (impl AsyncRead + Unpin), length: usize) -> Result<Bytes, ObjectError> {
    let mut bytes = BytesMut::with_capacity(length.min(PART));
    let mut content = content.take(length as u64);
    while content.read_buf(&mut bytes).await? > 0 {}
    Ok(bytes.freeze())
}
