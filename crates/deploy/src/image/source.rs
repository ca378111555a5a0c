//! The image file as it comes over the network. A connection that breaks or
//! falls silent is taken up again where it ended; the beginning is fetched again
//! only when the server says that the file is another one now.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_RANGE, ETAG, HOST, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use model::agent::AgentFailure;
use rustls::ClientConfig;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::backoff::Backoff;
use crate::failure;
use crate::link::https::{LinkError, Origin};
use crate::link::trust::Trust;
use crate::settings::Patience;
use crate::work::Work;

/// How to fetch: trust, and the newest TLS settings of the link.
#[derive(Clone, Debug)]
pub struct Access {
    /// Whom to trust.
    pub trust: Trust,
    /// As whom; changes when the agent is admitted anew.
    pub config: watch::Receiver<Arc<ClientConfig>>,
    /// How patient to be.
    pub patience: Patience,
}

/// Why a fetch ended.
#[derive(Clone, Debug)]
pub enum FetchEnd {
    /// The file is another one than it was at the beginning.
    Changed,
    /// Failed for good.
    Failed(AgentFailure),
}

/// Which file it is: its validator and its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Version {
    validator: Option<String>,
    length: Option<u64>,
}

impl Version {
    /// Whether something that both say is not the same.
    fn differs(&self, other: &Version) -> bool {
        let validator = self.validator.as_ref().zip(other.validator.as_ref());
        let length = self.length.zip(other.length);
        validator.is_some_and(|(a, b)| a != b) || length.is_some_and(|(a, b)| a != b)
    }
}

/// One file on a server.
#[derive(Clone, Debug)]
pub struct Source {
    uri: Uri,
    origin: Origin,
    access: Access,
    version: Arc<Mutex<Option<Version>>>,
}

/// What came of one request.
enum Reply {
    /// Bytes from the place that was asked for.
    Body(Response<Incoming>),
    /// Bytes from the beginning.
    Whole(Response<Incoming>),
}

impl Source {
    /// Of an order's address; a bare path is on the control plane.
    pub fn new(url: &str, control: &str, access: Access) -> Result<Self, AgentFailure> {
        let whole = match url.starts_with('/') {
            true => format!("{}{url}", control.trim_end_matches('/')),
            false => url.to_owned(),
        };
        let bad = |why: String| failure::refused(format!("cannot fetch {whole}: {why}"));
        let uri: Uri = whole.parse().map_err(|error| bad(format!("{error}")))?;
        let origin = Origin::of(&uri).map_err(|error| bad(error.to_string()))?;
        Ok(Self { uri, origin, access, version: Arc::default() })
    }

    /// Length of the file, once the server has told it.
    pub fn length(&self) -> Option<u64> {
        let version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        version.as_ref().and_then(|version| version.length)
    }

    /// Sends the whole file, in order, until its end or until nobody listens.
    pub async fn pump(&self, to: &mpsc::Sender<Bytes>, work: &Work) -> Result<(), FetchEnd> {
        let mut at = 0u64;
        let mut backoff = Backoff::new(self.access.patience);
        let mut fed = Instant::now();
        loop {
            work.wanted().map_err(FetchEnd::Failed)?;
            let before = at;
            let why = match self.stretch(&mut at, to).await {
                Ok(()) => return Ok(()),
                Err(Stop::Ended(end)) => return Err(end),
                Err(Stop::Again(why)) => why,
            };
            if at > before {
                backoff.reset();
                fed = Instant::now();
            }
            if fed.elapsed() > self.access.patience.give_up {
                let text = format!("the image stopped coming at byte {at}: {why}");
                return Err(FetchEnd::Failed(failure::network(text)));
            }
            crate::say!("the image stopped coming at byte {at} ({why}); going on from there");
            backoff.wait().await;
        }
    }

    /// One connection's worth of the file.
    async fn stretch(&self, at: &mut u64, to: &mpsc::Sender<Bytes>) -> Result<(), Stop> {
        let (mut body, mut skip) = match self.ask(*at, None).await? {
            Reply::Body(response) => (response.into_body(), 0),
            // The server does not do ranges, but the file is the same: pass over what we have.
            Reply::Whole(response) => (response.into_body(), *at),
        };
        loop {
            let frame = timeout(self.access.patience.stall, body.frame()).await;
            let Some(frame) = frame.map_err(|_| Stop::Again("it fell silent".to_owned()))? else {
                break;
            };
            let frame = frame.map_err(|error| Stop::Again(error.to_string()))?;
            let Ok(mut data) = frame.into_data() else { continue };
            let passed = skip.min(data.len() as u64);
            skip -= passed;
            let data = data.split_off(passed as usize);
            if data.is_empty() {
                continue;
            }
            *at += data.len() as u64;
            if to.send(data).await.is_err() {
                return Ok(());
            }
        }
        match self.length() {
            Some(length) if *at < length => Err(Stop::Again("it ended early".to_owned())),
            _ => Ok(()),
        }
    }

    /// A part of the file, at most `length` bytes; fewer at its end. `None` when
    /// the server does not do ranges.
    pub async fn range(&self, from: u64, length: u64) -> Result<Option<Vec<u8>>, FetchEnd> {
        let mut backoff = Backoff::new(self.access.patience);
        let begun = Instant::now();
        loop {
            let why = match self.part(from, length).await {
                Ok(part) => return Ok(part),
                Err(Stop::Ended(end)) => return Err(end),
                Err(Stop::Again(why)) => why,
            };
            if begun.elapsed() > self.access.patience.give_up {
                let text = format!("cannot fetch the image's tables: {why}");
                return Err(FetchEnd::Failed(failure::network(text)));
            }
            backoff.wait().await;
        }
    }

    async fn part(&self, from: u64, length: u64) -> Result<Option<Vec<u8>>, Stop> {
        let Reply::Body(response) = self.ask(from, Some(from + length - 1)).await? else {
            return Ok(None);
        };
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return Ok(None);
        }
        let mut body = response.into_body();
        let mut part = Vec::new();
        while (part.len() as u64) < length {
            let frame = timeout(self.access.patience.stall, body.frame()).await;
            let frame = frame.map_err(|_| Stop::Again("it fell silent".to_owned()))?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| Stop::Again(error.to_string()))?;
            if let Ok(data) = frame.into_data() {
                let room = (length as usize - part.len()).min(data.len());
                part.extend_from_slice(&data[..room]);
            }
        }
        Ok(Some(part))
    }

    /// One request for the file from `from` on.
    async fn ask(&self, from: u64, to: Option<u64>) -> Result<Reply, Stop> {
        let again = |error: LinkError| Stop::Again(error.to_string());
        let config = self.access.config.borrow().clone();
        let mut sender =
            self.origin.connect(config, &self.access.trust.calendar).await.map_err(again)?;
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::get(path).header(HOST, &self.origin.authority);
        if from > 0 || to.is_some() {
            let to = to.map(|to| to.to_string()).unwrap_or_default();
            request = request.header(RANGE, format!("bytes={from}-{to}"));
            let version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
            // A weak validator may not be used with If-Range (RFC 9110 section 13.1.5).
            let validator = version.as_ref().and_then(|version| version.validator.clone());
            if let Some(strong) = validator.filter(|text| !text.starts_with("W/")) {
                request = request.header(IF_RANGE, strong);
            }
        }
        let request = request.body(Full::default()).map_err(|error| {
            Stop::Ended(FetchEnd::Failed(failure::refused(format!("bad address: {error}"))))
        })?;
        let answer = timeout(self.access.patience.stall, sender.send_request(request)).await;
        let response = answer
            .map_err(|_| Stop::Again("no answer".to_owned()))?
            .map_err(|error| Stop::Again(error.to_string()))?;
        self.judge(response, from)
    }

    /// Whether an answer is of the same file and from the right place.
    fn judge(&self, response: Response<Incoming>, from: u64) -> Result<Reply, Stop> {
        let status = response.status();
        if !status.is_success() {
            return Err(self.judge_status(status, from));
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let range = header(CONTENT_RANGE).and_then(parse_range);
        let length = match (status, range) {
            (StatusCode::PARTIAL_CONTENT, Some((start, length))) if start == from => length,
            (StatusCode::PARTIAL_CONTENT, _) => {
                return Err(Stop::Again("the server sent another range".to_owned()));
            }
            _ => response.body().size_hint().exact(),
        };
        let validator = header(ETAG).or_else(|| header(LAST_MODIFIED)).map(str::to_owned);
        self.same_file(Version { validator, length })?;
        match status == StatusCode::PARTIAL_CONTENT || from == 0 {
            true => Ok(Reply::Body(response)),
            false => Ok(Reply::Whole(response)),
        }
    }

    fn judge_status(&self, status: StatusCode, from: u64) -> Stop {
        let known = self.version.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        match status {
            StatusCode::RANGE_NOT_SATISFIABLE if known && from > 0 => {
                Stop::Ended(FetchEnd::Changed)
            }
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::BAD_REQUEST => Stop::Ended(
                FetchEnd::Failed(failure::refused(format!("the image's server says {status}"))),
            ),
            // Denied (a new admission may be on its way), overloaded, broken: later.
            other => Stop::Again(format!("the server says {other}")),
        }
    }

    /// The first answer says which file it is; every other must be of the same.
    fn same_file(&self, now: Version) -> Result<(), Stop> {
        let mut version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        match version.as_ref() {
            Some(known) if known.differs(&now) => Err(Stop::Ended(FetchEnd::Changed)),
            Some(_) => Ok(()),
            None => {
                *version = Some(now);
                Ok(())
            }
        }
    }
}

/// Why a request came to nothing.
enum Stop {
    /// Worth another try.
    Again(String),
    /// Not.
    Ended(FetchEnd),
}

/// `bytes 5-9/20`: start and length of the whole, where known.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, whole.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(parse_range("bytes 5-9/20"), Some((5, Some(20))));
        assert_eq!(parse_range("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes", "bytes */20", "items 5-9/20"] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }
}
