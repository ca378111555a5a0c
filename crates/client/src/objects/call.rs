//! One request to a gateway, signed, and tried again when that may help.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::Timestamp;
use reqwest::{Method, Response, Url};
use world::{Clock as _, SystemClock};

use super::{ObjectError, ObjectSettings, checksum, sign};
use crate::ClientError;
use crate::attempt::{Attempts, asked, passing};
use crate::path::encode;
use crate::settings::tls;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long nothing may come of an answer.
const SILENCE: Duration = Duration::from_secs(60);
/// No document is longer.
const LARGEST: usize = 16 << 20;

/// A client of one gateway. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    base: Url,
    settings: ObjectSettings,
    /// The way there is one that nobody else can read or change.
    private: bool,
    clock: SystemClock,
}

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The bucket; empty for the service.
    pub bucket: String,
    /// The key; empty for the bucket.
    pub key: String,
    /// The query, not escaped.
    pub query: Vec<(String, String)>,
    /// More headers, by lower-case name.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub content: Option<Bytes>,
}

impl Question {
    /// About a bucket.
    pub fn bucket(bucket: &str) -> Self {
        Self { bucket: bucket.to_owned(), ..Self::default() }
    }
    /// About an object.
    pub fn object(bucket: &str, key: &str) -> Self {
        Self { key: key.to_owned(), ..Self::bucket(bucket) }
    }
    /// With a parameter.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }
    /// With a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
    /// With content, and its checksum.
    pub fn content(self, content: Bytes) -> Self {
        let crc = checksum::told(checksum::crc64(&content));
        Self { content: Some(content), ..self }.header(checksum::HEADER, crc)
    }
}

impl Objects {
    /// A client. Nothing is connected yet.
    ///
    /// # Errors
    /// When the address or the CA's certificate makes no sense.
    pub fn new(settings: ObjectSettings) -> Result<Self, ObjectError> {
        let base = base(&settings.endpoint)?;
        let http = reqwest::Client::builder()
            .use_preconfigured_tls(tls(settings.ca_pem.as_deref())?)
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("bedplate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ClientError::Settings(error.to_string()))?;
        let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let own = host == "localhost"
            || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        let private = base.scheme() == "https" || own;
        let clock = SystemClock::default();
        Ok(Self { inner: Arc::new(Inner { http, base, settings, private, clock }) })
    }

    /// The gateway's address.
    pub fn endpoint(&self) -> String {
        self.inner.base.origin().ascii_serialization()
    }

    /// Whether somebody in particular asks.
    pub fn signs(&self) -> bool {
        self.inner.settings.key.is_some()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Asks until there is an answer or no hope. The answer is a success.
    ///
    /// # Errors
    /// What the gateway says, or why it does not.
    pub async fn ask(&self, method: Method, question: &Question) -> Result<Response, ObjectError> {
        let mut attempts = Attempts::default();
        loop {
            let (error, wanted) = match self.once(&method, question).await? {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let (again, wanted) = (passing(response.status()), asked(&response));
                    let error = self.refused(response).await;
                    if !again {
                        return Err(error);
                    }
                    (error, wanted)
                }
                Err(error) => {
                    let error = ClientError::of_transport(&self.inner.base, &error);
                    if matches!(error, ClientError::Untrusted { .. }) {
                        return Err(error.into());
                    }
                    (error.into(), None)
                }
            };
            match attempts.pause(wanted) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    /// The gateway's time, by what it says with any answer (RFC 9110, section 6.6.1).
    pub async fn time(&self) -> Option<Timestamp> {
        let answer = self.once(&Method::HEAD, &Question::default()).await.ok()?.ok()?;
        date(answer.headers().get("date")?.to_str().ok()?)
    }

    /// One try. The outer error: it cannot even be asked.
    async fn once(
        &self,
        method: &Method,
        question: &Question,
    ) -> Result<reqwest::Result<Response>, ObjectError> {
        let (path, mut url) = self.address(question)?;
        let query = sign::query_text(&question.query);
        if !query.is_empty() {
            url.set_query(Some(&query));
        }
        let mut request = self.inner.http.request(method.clone(), url);
        for (name, value) in self.headers(method, &path, question) {
            request = request.header(name, value);
        }
        if let Some(content) = &question.content {
            request = request.body(content.clone());
        } else if matches!(*method, Method::PUT | Method::POST) {
            request = request.header("content-length", "0");
        }
        Ok(request.send().await)
    }

    /// The path, escaped, and the address with it.
    fn address(&self, question: &Question) -> Result<(String, Url), ObjectError> {
        if question.key.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(ObjectError::Usage(format!(
                "the key {} has a segment of dots, which addresses cannot say",
                question.key
            )));
        }
        let mut path = String::from("/");
        encode(&question.bucket, &mut path);
        for segment in question.key.split('/').take_while(|_| !question.key.is_empty()) {
            path.push('/');
            encode(segment, &mut path);
        }
        let base = self.inner.base.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}{path}"));
        let url = url.map_err(|error| ObjectError::Usage(format!("{path}: {error}")))?;
        Ok((url.path().to_owned(), url))
    }

    fn headers(&self, method: &Method, path: &str, question: &Question) -> Vec<(String, String)> {
        let mut headers = question.headers.clone();
        let Some(key) = &self.inner.settings.key else { return headers };
        let stamp = sign::stamp(self.now());
        let payload = match &question.content {
            // Where somebody in between could change both, the checksum is not enough.
            Some(content) if !self.inner.private => sign::sha256(content),
            Some(_) => "UNSIGNED-PAYLOAD".to_owned(),
            None => sign::sha256(b""),
        };
        headers.push(("host".to_owned(), self.host()));
        headers.push(("x-amz-content-sha256".to_owned(), payload.clone()));
        headers.push(("x-amz-date".to_owned(), stamp.clone()));
        if let Some(session) = &key.session {
            headers.push(("x-amz-security-token".to_owned(), session.expose().to_owned()));
        }
        let signed = sign::Signed {
            method: method.as_str(),
            path,
            query: &question.query,
            headers: &headers,
            payload: &payload,
        };
        let authorization = sign::header(key, &self.inner.settings.region, &stamp, &signed);
        headers.push(("authorization".to_owned(), authorization));
        headers
    }

    fn host(&self) -> String {
        let host = self.inner.base.host_str().unwrap_or_default();
        match self.inner.base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// An address that whoever has it may use with this method, for so long.
    ///
    /// # Errors
    /// When there is no access key, or the key has no address.
    pub fn presign(
        &self,
        method: &str,
        question: &Question,
        seconds: u64,
    ) -> Result<String, ObjectError> {
        let nobody = || ObjectError::Usage("there is no access key to sign with".to_owned());
        let key = self.inner.settings.key.as_ref().ok_or_else(nobody)?;
        let (path, url) = self.address(question)?;
        let stamp = sign::stamp(self.now());
        let headers = [("host".to_owned(), self.host())];
        let signed = sign::Signed {
            method,
            path: &path,
            query: &question.query,
            headers: &headers,
            payload: "UNSIGNED-PAYLOAD",
        };
        let query = sign::presigned(key, &self.inner.settings.region, &stamp, seconds, &signed);
        Ok(format!("{url}?{query}"))
    }

    /// What a refusal says.
    async fn refused(&self, response: Response) -> ObjectError {
        let status = response.status().as_u16();
        let request = response.headers().get("x-amz-request-id");
        let request = request.and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        match self.document(response).await {
            Ok(body) => ObjectError::refused(status, &request, &body),
            Err(error) => error,
        }
    }

    /// The document of an answer, within bounds.
    ///
    /// # Errors
    /// When the connection breaks off, or it is longer than documents are.
    pub async fn document(&self, mut response: Response) -> Result<Vec<u8>, ObjectError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LARGEST {
                return Err(self.strange("a document of more than 16 MiB"));
            }
        }
        Ok(bytes)
    }

    pub(super) fn broken(&self, error: &reqwest::Error) -> ObjectError {
        ClientError::of_transport(&self.inner.base, error).into()
    }

    pub(super) fn strange(&self, reason: &str) -> ObjectError {
        ClientError::Unexpected { url: self.endpoint(), reason: reason.to_owned() }.into()
    }
}

/// A moment as HTTP says it: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
fn date(text: &str) -> Option<Timestamp> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (day, year) = (number(5, 7)?, number(12, 16)?);
    let month = MONTHS.find(text.get(8..11)?)? as i64 / 3;
    let (hour, minute, second) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
    // Days of the proleptic Gregorian calendar, with years that begin in March.
    let (year, month) = if month > 1 { (year, month - 2) } else { (year - 1, month + 10) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let seconds = (((days - 719_469) * 24 + hour) * 60 + minute) * 60 + second;
    seconds.checked_mul(1_000_000).map(Timestamp::from_micros)
}

/// The gateway's address: no path, nothing after it.
fn base(text: &str) -> Result<Url, ClientError> {
    let wrong = |why: &str| ClientError::Settings(format!("the address `{text}` {why}"));
    let url = Url::parse(text).map_err(|_| wrong("is not a URL: write http://host:port"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("is none of a gateway: write http://host:port or https://host:port"));
    }
    if url.path() != "/" || url.query().is_some() || !url.username().is_empty() {
        return Err(wrong("says more than host and port"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(endpoint: &str) -> Result<Objects, ObjectError> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let endpoint = endpoint.to_owned();
        Objects::new(ObjectSettings { endpoint, region: "r".into(), key: None, ca_pem: None })
    }

    #[test]
    fn keys_stay_what_they_are_in_addresses() {
        let objects = objects("http://127.0.0.1:9000").expect("an address");
        let path = |key: &str| objects.address(&Question::object("b", key)).map(|(path, _)| path);
        assert_eq!(path("a//b c+é?.txt").unwrap(), "/b/a//b%20c%2B%C3%A9%3F.txt");
        assert_eq!(path("").unwrap(), "/b");
        assert_eq!(path("a/").unwrap(), "/b/a/");
        path("a/../b").expect_err("it would be another key");
    }

    #[test]
    fn moments_of_http_are_read() {
        let micros = |text: &str| date(text).map(|at| at.micros());
        assert_eq!(micros("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000_000));
        assert_eq!(micros("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800_000_000));
        assert_eq!((micros(""), micros("Sun, 06 Xyz 1994 08:49:37 GMT")), (None, None));
    }

    #[test]
    fn an_address_is_host_and_port() {
        for bad in ["", "host:9000", "ftp://h", "http://h/bucket", "http://u@h", "http://h?x"] {
            assert!(objects(bad).is_err(), "{bad}");
        }
        assert!(objects("https://h").is_ok());
    }
}
