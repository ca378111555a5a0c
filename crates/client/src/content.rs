//! What is not a document: the content of images, consoles, metrics, the CA.

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _, stream};
use model::api::{Endpoint, GetAuthority, GetConsole, GetMetrics, PutImageContent};
use model::image::Image;
use reqwest::header::CONTENT_LENGTH;
use tokio::io::AsyncReadExt as _;

use crate::{Client, ClientError};

/// Bytes read from a file at a time.
const CHUNK: usize = 1 << 20;
/// How long the metrics may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl Client {
    /// Sends the content of an image that was announced. `progress` hears how many
    /// bytes have gone out. It is not tried again: announce and send anew.
    pub async fn upload<S>(
        &self,
        image: &str,
        content: S,
        length: Option<u64>,
        mut progress: impl FnMut(u64) + Send + 'static,
    ) -> Result<Image, ClientError>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let info = PutImageContent::INFO;
        let mut sent = 0;
        let counted = content.inspect(move |chunk| {
            if let Ok(bytes) = chunk {
                sent += bytes.len() as u64;
                progress(sent);
            }
        });
        let mut builder = self.request(&info, self.url(&info, &[image], &[], false));
        if let Some(length) = length {
            builder = builder.header(CONTENT_LENGTH, length);
        }
        let response = builder.body(reqwest::Body::wrap_stream(counted)).send().await;
        let response = response.map_err(|error| ClientError::of_transport(&self.base, &error))?;
        match response.status().is_success() {
            true => self.document(response).await,
            false => Err(self.refused(response).await),
        }
    }

    /// Sends a file as the content of an image. `progress` hears how many bytes
    /// have gone out and how many there are.
    pub async fn upload_file(
        &self,
        image: &str,
        path: &Path,
        mut progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<Image, ClientError> {
        let unreadable = |source| ClientError::File { path: path.display().to_string(), source };
        let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
        let length = file.metadata().await.map_err(unreadable)?.len();
        let content = stream::try_unfold(file, |mut file| async move {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            let read = file.read_buf(&mut chunk).await?;
            Ok((read > 0).then(|| (chunk.freeze(), file)))
        });
        self.upload(image, content, Some(length), move |sent| progress(sent, length)).await
    }

    /// The serial console of a machine: what is kept, and with `follow` what comes.
    pub async fn console(
        &self,
        machine: &str,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + Send + use<>, ClientError> {
        let info = GetConsole::INFO;
        let follow = if follow { "true" } else { "false" };
        let url = self.url(&info, &[machine], &[("follow", follow)], false);
        let response = self.send(|| self.request(&info, url.clone())).await?;
        let base = self.base.clone();
        Ok(response
            .bytes_stream()
            .map(move |chunk| chunk.map_err(|error| ClientError::of_transport(&base, &error))))
    }

    /// The metrics, as Prometheus reads them.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        self.text::<GetMetrics>().await
    }

    /// The certificate of the CA (PEM).
    pub async fn authority(&self) -> Result<String, ClientError> {
        self.text::<GetAuthority>().await
    }

    async fn text<E: Endpoint>(&self) -> Result<String, ClientError> {
        let url = self.url(&E::INFO, &[], &[], false);
        let build = || self.request(&E::INFO, url.clone()).timeout(PATIENCE);
        let bytes = self.bytes(self.send(build).await?).await?;
        String::from_utf8(bytes).map_err(|error| self.unexpected(error))
    }
}
