//! Buckets, and the documents that say how they behave.

use bytes::Bytes;
use reqwest::Method;
use serde::Serialize;

use super::xml::{self, Element};
use super::{ObjectError, Objects, Question};

/// A bucket in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BucketLine {
    /// Its name.
    pub name: String,
    /// When it was made, as the gateway says it (RFC 3339).
    pub created: String,
}

impl Objects {
    /// All buckets of who asks.
    ///
    /// # Errors
    /// What the gateway says, or why it does not.
    pub async fn buckets(&self) -> Result<Vec<BucketLine>, ObjectError> {
        let mut found = Vec::new();
        let mut question = Question::default();
        loop {
            let document = self.read(&question).await?;
            let buckets = document.child("Buckets");
            for bucket in buckets.iter().flat_map(|buckets| buckets.all("Bucket")) {
                let text = |name| bucket.text_of(name).unwrap_or_default().to_owned();
                found.push(BucketLine { name: text("Name"), created: text("CreationDate") });
            }
            match document.text_of("ContinuationToken").filter(|token| !token.is_empty()) {
                Some(token) => question = Question::default().with("continuation-token", token),
                None => return Ok(found),
            }
        }
    }

    /// Makes a bucket. `lock`: its objects can be held, and versions are kept.
    ///
    /// # Errors
    /// What the gateway says, or why it does not.
    pub async fn create_bucket(&self, bucket: &str, lock: bool) -> Result<(), ObjectError> {
        let mut question = Question::bucket(bucket);
        if lock {
            question = question.header("x-amz-bucket-object-lock-enabled", "true");
        }
        self.ask(Method::PUT, &question).await.map(drop)
    }

    /// Removes an empty bucket.
    ///
    /// # Errors
    /// What the gateway says, or why it does not.
    pub async fn delete_bucket(&self, bucket: &str) -> Result<(), ObjectError> {
        self.ask(Method::DELETE, &Question::bucket(bucket)).await.map(drop)
    }

    /// A document of a bucket, by the name of its sub-resource (`policy`, `cors`, …);
    /// `None` when the bucket has none.
    ///
    /// # Errors
    /// What the gateway says, or why it does not.
    pub async fn bucket_document(
        &self,
        bucket: &str,
        name: &str,
    ) -> Result<Option<Vec<u8>>, ObjectError> {
        let question = Question::bucket(bucket).with(name, "");
        match self.ask(Method::GET, &question).await {
            Ok(response) => Ok(Some(self.document(response).await?)),
            Err(ObjectError::Refused { status: 404, code, .. }) if code != "NoSuchBucket" => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives a bucket a document.
    ///
    /// # Errors
    /// What the gateway says, or why it does not.
    pub async fn set_bucket_document(
        &self,
        bucket: &str,
        name: &str,
        document: impl Into<Bytes>,
    ) -> Result<(), ObjectError> {
        let question = Question::bucket(bucket).with(name, "").content(document.into());
        self.ask(Method::PUT, &question).await.map(drop)
    }

    /// Takes a document from a bucket.
    ///
    /// # Errors
    /// What the gateway says, or why it does not.
    pub async fn remove_bucket_document(
        &self,
        bucket: &str,
        name: &str,
    ) -> Result<(), ObjectError> {
        self.ask(Method::DELETE, &Question::bucket(bucket).with(name, "")).await.map(drop)
    }

    /// Asks for a document of XML.
    pub(super) async fn read(&self, question: &Question) -> Result<Element, ObjectError> {
        let response = self.ask(Method::GET, question).await?;
        let body = self.document(response).await?;
        xml::parse(&body).ok_or_else(|| self.strange("a document that is no XML"))
    }
}
