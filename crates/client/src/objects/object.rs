//! Objects: what is known of them, lists of them, and what is done to them in one go.

use std::collections::BTreeMap;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde::Serialize;

use super::xml::{self, Element, escaped};
use super::{ObjectError, Objects, Question, sign};

/// Deleted in one request, at most.
const TOGETHER: usize = 1000;

/// What is known of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ObjectHead {
    /// Its length in bytes.
    pub size: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// When it was written, as HTTP says it.
    pub modified: String,
    /// Its media type.
    pub content_type: String,
    /// The version, where its bucket keeps versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Checksums by algorithm, in base64.
    pub checksums: BTreeMap<String, String>,
    /// Whether they are of the whole or of the parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_type: Option<String>,
    /// How it is encrypted at rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// It is encrypted by a key of the client.
    pub customer_key: bool,
    /// Until when it is held, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
    /// It is held whatever the time.
    pub legal_hold: bool,
    /// The client's own words about it.
    pub metadata: BTreeMap<String, String>,
}

impl ObjectHead {
    pub(super) fn of(response: &Response) -> Self {
        let headers = response.headers();
        let text = |name: &str| text(headers, name);
        let mut head = Self {
            size: whole_length(headers),
            etag: text("etag").unwrap_or_default().trim_matches('"').to_owned(),
            modified: text("last-modified").unwrap_or_default(),
            content_type: text("content-type").unwrap_or_default(),
            version: text("x-amz-version-id"),
            checksum_type: text("x-amz-checksum-type"),
            encryption: text("x-amz-server-side-encryption"),
            customer_key: headers.contains_key("x-amz-server-side-encryption-customer-algorithm"),
            legal_hold: text("x-amz-object-lock-legal-hold").as_deref() == Some("ON"),
            retention: text("x-amz-object-lock-retain-until-date").map(|until| {
                let mode = text("x-amz-object-lock-mode").unwrap_or_default();
                format!("{} until {until}", mode.to_ascii_lowercase())
            }),
            ..Self::default()
        };
        for (name, value) in headers {
            let Ok(value) = value.to_str() else { continue };
            let name = name.as_str();
            if let Some(own) = name.strip_prefix("x-amz-meta-") {
                head.metadata.insert(own.to_owned(), value.to_owned());
            } else if let Some(algorithm) = name.strip_prefix("x-amz-checksum-")
                && algorithm != "type"
            {
                head.checksums.insert(algorithm.to_ascii_uppercase(), value.to_owned());
            }
        }
        head
    }
}

pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The length of the whole object, also where only a range of it comes.
fn whole_length(headers: &HeaderMap) -> u64 {
    let range = text(headers, "content-range");
    let whole = range.as_deref().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
    let length = || text(headers, "content-length")?.parse().ok();
    whole.or_else(length).unwrap_or(0)
}

/// What is listed.
#[derive(Clone, Debug, Default)]
pub struct ListObjects {
    /// Keys that begin so.
    pub prefix: String,
    /// Fold keys at the first `/` behind the prefix.
    pub folded: bool,
    /// All versions and delete markers.
    pub versions: bool,
    /// Where the page before ended.
    pub next: Option<Next>,
    /// The most entries of a page; the gateway gives 1,000 at most.
    pub limit: Option<usize>,
}

/// Where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    key: String,
    version: Option<String>,
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// Objects, or their versions.
    pub objects: Vec<ObjectLine>,
    /// Folded keys.
    pub prefixes: Vec<String>,
    /// There is more.
    #[serde(skip)]
    pub next: Option<Next>,
}

/// An object in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ObjectLine {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
    /// When it was written (RFC 3339).
    pub modified: String,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// The version, where versions are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// It is the newest version of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<bool>,
    /// It says that the object is gone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub delete_marker: bool,
}

/// An upload in parts that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UploadLine {
    /// Of which key it will be an object.
    pub key: String,
    /// Its name.
    pub upload: String,
    /// When it began (RFC 3339).
    pub begun: String,
}

/// What became of each of several keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// How many are gone.
    pub deleted: usize,
    /// Keys that are still there, and why.
    pub failed: Vec<(String, String)>,
}

impl Objects {
    /// What is known of an object.
    ///
    /// # Errors
    /// What the gateway says, or why it does not.
    pub async fn head(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<ObjectHead, ObjectError> {
        let question = Question::object(bucket, key).header("x-amz-checksum-mode", "ENABLED");
        let response = self.ask(Method::HEAD, &of_version(question, version)).await?;
        Ok(ObjectHead::of(&response))
    }

    /// Deletes an object, or one version of it for good.
    ///
    /// # Errors
    /// What the gateway says, or why it does not.
    pub async fn delete(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<(), ObjectError> {
        let question = of_version(Question::object(bucket, key), version);
        self.ask(Method::DELETE, &question).await.map(drop)
    }

    /// Deletes many: keys, each with a version or without.
    ///
    /// # Errors
    /// What the gateway says to all of them, or why it does not.
    pub async fn delete_many(
        &self,
        bucket: &str,
        keys: &[(String, Option<String>)],
    ) -> Result<Deleted, ObjectError> {
        let mut done = Deleted::default();
        for some in keys.chunks(TOGETHER) {
            let mut document = String::from("<Delete><Quiet>true</Quiet>");
            for (key, version) in some {
                document.push_str(&format!("<Object><Key>{}</Key>", escaped(key)));
                if let Some(version) = version {
                    document.push_str(&format!("<VersionId>{}</VersionId>", escaped(version)));
                }
                document.push_str("</Object>");
            }
            document.push_str("</Delete>");
            let question = Question::bucket(bucket).with("delete", "");
            let question = question.content(Bytes::from(document));
            let response = self.ask(Method::POST, &question).await?;
            let body = self.document(response).await?;
            let answer = xml::parse(&body).ok_or_else(|| self.strange("no XML"))?;
            let before = done.failed.len();
            done.failed.extend(answer.all("Error").map(|error| {
                let text = |name| error.text_of(name).unwrap_or_default();
                (text("Key").to_owned(), format!("{}: {}", text("Code"), text("Message")))
            }));
            done.deleted += some.len() - (done.failed.len() - before);
        }
        Ok(done)
    }

    /// Copies an object within the gateway; its entity tag.
    ///
    /// # Errors
    /// What the gateway says, or why it does not.
    pub async fn copy(
        &self,
        (bucket, key, version): (&str, &str, Option<&str>),
        (to_bucket, to_key): (&str, &str),
    ) -> Result<String, ObjectError> {
        let mut source = format!("/{bucket}/");
        for (place, segment) in key.split('/').enumerate() {
            if place > 0 {
                source.push('/');
            }
            crate::path::encode(segment, &mut source);
        }
        if let Some(version) = version {
            let version = [("versionId".to_owned(), version.to_owned())];
            source.push_str(&format!("?{}", sign::query_text(&version)));
        }
        let question = Question::object(to_bucket, to_key).header("x-amz-copy-source", source);
        let response = self.ask(Method::PUT, &question).await?;
        let body = self.document(response).await?;
        // A copy that fails late says so in an answer that began as a success.
        match xml::parse(&body) {
            Some(answer) if answer.name == "CopyObjectResult" => {
                Ok(answer.text_of("ETag").unwrap_or_default().trim_matches('"').to_owned())
            }
            _ => Err(ObjectError::refused(500, "", &body)),
        }
    }

    /// A page of a list.
    ///
    /// # Errors
    /// What the gateway says, or why it does not.
    pub async fn list(&self, bucket: &str, asked: &ListObjects) -> Result<Listing, ObjectError> {
        let mut question = Question::bucket(bucket).with("encoding-type", "url");
        question = match asked.versions {
            true => question.with("versions", ""),
            false => question.with("list-type", "2"),
        };
        if !asked.prefix.is_empty() {
            question = question.with("prefix", &asked.prefix);
        }
        if asked.folded {
            question = question.with("delimiter", "/");
        }
        if let Some(limit) = asked.limit {
            question = question.with("max-keys", limit.to_string());
        }
        question = match &asked.next {
            Some(Next { key, version: Some(version) }) => {
                question.with("key-marker", key).with("version-id-marker", version)
            }
            Some(Next { key, version: None }) if asked.versions => question.with("key-marker", key),
            Some(Next { key, .. }) => question.with("continuation-token", key),
            None => question,
        };
        Ok(listing(&self.read(&question).await?))
    }

    /// Uploads in parts that have begun.
    ///
    /// # Errors
    /// What the gateway says, or why it does not.
    pub async fn uploads(&self, bucket: &str) -> Result<Vec<UploadLine>, ObjectError> {
        let mut found = Vec::new();
        let mut question = Question::bucket(bucket).with("uploads", "");
        loop {
            let document = self.read(&question).await?;
            for upload in document.all("Upload") {
                let text = |name| upload.text_of(name).unwrap_or_default().to_owned();
                let (key, begun) = (text("Key"), text("Initiated"));
                found.push(UploadLine { key, upload: text("UploadId"), begun });
            }
            if document.text_of("IsTruncated") != Some("true") {
                return Ok(found);
            }
            let text = |name| document.text_of(name).unwrap_or_default().to_owned();
            question = Question::bucket(bucket)
                .with("uploads", "")
                .with("key-marker", text("NextKeyMarker"))
                .with("upload-id-marker", text("NextUploadIdMarker"));
        }
    }
}

pub(super) fn of_version(question: Question, version: Option<&str>) -> Question {
    match version {
        Some(version) => question.with("versionId", version),
        None => question,
    }
}

fn listing(document: &Element) -> Listing {
    let lines = document.children.iter().filter_map(|line| {
        let delete_marker = match line.name.as_str() {
            "Contents" | "Version" => false,
            "DeleteMarker" => true,
            _ => return None,
        };
        let text = |name| line.text_of(name).unwrap_or_default();
        Some(ObjectLine {
            key: unescaped(text("Key")),
            size: text("Size").parse().unwrap_or(0),
            modified: text("LastModified").to_owned(),
            etag: text("ETag").trim_matches('"').to_owned(),
            version: line.text_of("VersionId").map(str::to_owned),
            latest: line.text_of("IsLatest").map(|text| text == "true"),
            delete_marker,
        })
    });
    let prefixes = document.all("CommonPrefixes");
    let prefixes = prefixes.filter_map(|folded| folded.text_of("Prefix").map(unescaped));
    let filled = |name| document.text_of(name).filter(|text| !text.is_empty());
    let next = match document.text_of("IsTruncated") {
        Some("true") => filled("NextContinuationToken")
            .map(|token| Next { key: token.to_owned(), version: None })
            .or_else(|| {
                let version = filled("NextVersionIdMarker").map(str::to_owned);
                filled("NextKeyMarker").map(|key| Next { key: unescaped(key), version })
            }),
        _ => None,
    };
    Listing { objects: lines.collect(), prefixes: prefixes.collect(), next }
}

/// A key as it was asked for with `encoding-type=url`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let pair = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        (rest, _) = match (first, byte) {
            (b'%', Some(byte)) => (&after[2..], bytes.push(byte)),
            (b'+', _) => (after, bytes.push(b' ')),
            (other, _) => (after, bytes.push(*other)),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_with_their_next_page() {
        let text = "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a%2Bb+c</Key>\
            <Size>7</Size><ETag>&quot;e&quot;</ETag></Contents><CommonPrefixes><Prefix>d/</Prefix>\
            </CommonPrefixes><NextContinuationToken>t</NextContinuationToken></ListBucketResult>";
        let page = listing(&xml::parse(text.as_bytes()).expect("XML"));
        let line = &page.objects[0];
        assert_eq!((line.key.as_str(), line.size, line.etag.as_str()), ("a+b c", 7, "e"));
        assert_eq!(page.prefixes, ["d/"]);
        assert_eq!(page.next, Some(Next { key: "t".to_owned(), version: None }));
    }

    #[test]
    fn versions_are_read_with_their_markers() {
        let text = "<R><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>\
            <NextVersionIdMarker>v</NextVersionIdMarker><DeleteMarker><Key>k</Key>\
            <VersionId>9</VersionId><IsLatest>true</IsLatest></DeleteMarker></R>";
        let page = listing(&xml::parse(text.as_bytes()).expect("XML"));
        assert!(page.objects[0].delete_marker);
        assert_eq!(page.objects[0].latest, Some(true));
        assert_eq!(page.next, Some(Next { key: "k".into(), version: Some("v".into()) }));
    }
}
