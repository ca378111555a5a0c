//! A watch that goes on by itself: when the connection breaks off, it comes back
//! and begins after the last event seen, so that nothing is missed or seen twice.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use model::Problem;
use model::api::Endpoint;
use model::event::Event;

use crate::attempt::Attempts;
use crate::{Client, ClientError};

/// The other side gives a sign of life every 15 seconds; after three it is gone.
const SILENCE: Duration = Duration::from_secs(45);
/// No line is longer.
const LONGEST: usize = 16 << 20;

/// Makes the request that begins after a revision.
type Build = Box<dyn Fn(&Client, u64) -> reqwest::RequestBuilder + Send + Sync>;
type Chunks = BoxStream<'static, reqwest::Result<bytes::Bytes>>;

/// Changes as they are recorded.
pub struct Watch {
    client: Client,
    build: Build,
    from: u64,
    chunks: Option<Chunks>,
    buffer: Vec<u8>,
    searched: usize,
    attempts: Attempts,
}

impl Client {
    /// Watches what the list endpoint `E` lists (`ListMachines`, `ListOperations`,
    /// `ListImages`, `ListEvents`) from after a revision: the one of a page, so that
    /// page and watch together miss nothing. `labels` are `key=value` each.
    ///
    /// Panics when `E` cannot be watched.
    pub fn watch<E: Endpoint>(&self, from: u64, labels: &[String]) -> Watch {
        let watched = E::INFO.query.iter().any(|(name, _)| *name == "watch");
        assert!(watched, "{} cannot be watched", E::INFO.name);
        let labels = labels.to_vec();
        let build = move |client: &Client, from: u64| {
            let from = from.to_string();
            let mut query = vec![("watch", "true"), ("from", from.as_str())];
            query.extend(labels.iter().map(|label| ("label", label.as_str())));
            client.request(&E::INFO, client.url(&E::INFO, &[], &query, false))
        };
        Watch {
            client: self.clone(),
            build: Box::new(build),
            from,
            chunks: None,
            buffer: Vec::new(),
            searched: 0,
            attempts: Attempts::default(),
        }
    }
}

impl Watch {
    /// The next event. It can be dropped while it waits; no event is lost by that.
    ///
    /// Fails with the problem `gone` when what comes next is no longer kept (list
    /// again, and watch from there), with other problems when the watch is refused,
    /// and when nobody could be reached for some 15 seconds.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(line) = self.line() {
                match self.event(&line)? {
                    Some(event) => return Ok(event),
                    None => continue,
                }
            }
            if let Err(error) = self.read().await {
                self.chunks = None;
                self.buffer.clear();
                self.searched = 0;
                let again = matches!(
                    error,
                    ClientError::Interrupted { .. } | ClientError::Unreachable { .. }
                );
                match self.attempts.pause(None) {
                    Some(pause) if again => tokio::time::sleep(pause).await,
                    _ => return Err(error),
                }
            }
        }
    }

    /// The revision of the last event seen.
    pub fn revision(&self) -> u64 {
        self.from
    }

    /// The next whole line that has come.
    fn line(&mut self) -> Option<Vec<u8>> {
        let new = &self.buffer[self.searched..];
        let Some(end) = new.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let rest = self.buffer.split_off(self.searched + end + 1);
        self.searched = 0;
        let mut line = std::mem::replace(&mut self.buffer, rest);
        line.pop();
        Some(line)
    }

    /// What a line says; `None` for a sign of life.
    fn event(&mut self, line: &[u8]) -> Result<Option<Event>, ClientError> {
        self.attempts = Attempts::default();
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        if let Ok(event) = serde_json::from_slice::<Event>(line) {
            self.from = self.from.max(event.revision);
            return Ok(Some(event));
        }
        Err(match serde_json::from_slice::<Problem>(line) {
            Ok(problem) => problem.into(),
            Err(error) => self.client.unexpected(error),
        })
    }

    /// Waits for more bytes, over a new connection where there is none.
    async fn read(&mut self) -> Result<(), ClientError> {
        let interrupted = |client: &Client, reason: &str| ClientError::Interrupted {
            url: client.base.origin().ascii_serialization(),
            reason: reason.to_owned(),
        };
        let chunks = match &mut self.chunks {
            Some(chunks) => chunks,
            None => {
                let build = || (self.build)(&self.client, self.from);
                let head = tokio::time::timeout(SILENCE, self.client.send(build)).await;
                let response =
                    head.unwrap_or_else(|_| Err(interrupted(&self.client, "no answer for 45 s")))?;
                self.chunks.insert(response.bytes_stream().boxed())
            }
        };
        match tokio::time::timeout(SILENCE, chunks.next()).await {
            Ok(Some(Ok(bytes))) => self.buffer.extend_from_slice(&bytes),
            Ok(Some(Err(error))) => {
                return Err(ClientError::of_transport(&self.client.base, &error));
            }
            Ok(None) => return Err(interrupted(&self.client, "the watch ended")),
            Err(_) => return Err(interrupted(&self.client, "no sign of life for 45 s")),
        }
        match self.buffer.len() > LONGEST && !self.buffer.contains(&b'\n') {
            true => Err(self.client.unexpected("a line that does not end")),
            false => Ok(()),
        }
    }
}
