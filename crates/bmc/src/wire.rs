//! One request to a BMC and its reply: with credentials, a deadline, a bounded
//! body, and never to another origin than the BMC's own.
//!
//! The lock around the credentials is also the gate that lets one request through
//! at a time: BMCs are small computers, and some break under two.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::Secret;
use model::bmc::BmcFailureKind;
use reqwest::header::{ETAG, HeaderMap, HeaderName, IF_MATCH, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response, Url};
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use crate::certificate::Pin;
use crate::document::Document;
use crate::failure::{Failure, Outcome, clean};
use crate::session::Entry;
use crate::{Endpoint, Limits, address};

/// The way to one BMC.
pub(crate) struct Wire {
    client: reqwest::Client,
    base: Url,
    pub(crate) username: String,
    pub(crate) password: Secret,
    pub(crate) limits: Limits,
    pin: Arc<Pin>,
    entry: Mutex<Entry>,
}

/// A reply that is a success.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// JSON, where the body is that.
    pub(crate) body: Option<Value>,
}

/// A request that is to be sent, perhaps twice.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// Path, or a URL of the same origin.
    pub(crate) path: &'a str,
    pub(crate) body: Option<&'a Value>,
    /// Extra headers.
    pub(crate) headers: Vec<(HeaderName, String)>,
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, path: &'a str, body: Option<&'a Value>) -> Self {
        Self { method, path, body, headers: Vec::new() }
    }
}

impl fmt::Display for Request<'_> {
    /// `GET /redfish/v1`, bounded: paths come from the BMC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, clean(self.path, 160))
    }
}

impl Wire {
    /// A way to this endpoint; nothing is sent yet.
    pub(crate) fn new(endpoint: &Endpoint, limits: Limits) -> Outcome<Self> {
        let base = address::base(&endpoint.address).map_err(|e| Failure::refused(e.to_string()))?;
        let pin = Pin::new(endpoint.certificate.as_deref());
        let client = reqwest::Client::builder()
            .use_preconfigured_tls(pin.tls())
            .no_proxy()
            .http1_only()
            .redirect(same_origin_only())
            .connect_timeout(limits.connect)
            .tcp_keepalive(Duration::from_secs(30))
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(Duration::from_secs(20))
            .build()
            .map_err(|e| Failure::refused(chain(&e)))?;
        Ok(Self {
            client,
            base,
            username: endpoint.username.clone(),
            password: endpoint.password.clone(),
            limits,
            pin,
            entry: Mutex::new(Entry::default()),
        })
    }

    /// The certificate that is trusted, once one is.
    pub(crate) fn certificate(&self) -> Option<String> {
        self.pin.trusted()
    }

    /// The credentials, and with them the right to send.
    pub(crate) async fn entry(&self) -> MutexGuard<'_, Entry> {
        self.entry.lock().await
    }

    /// Reads a document.
    pub(crate) async fn get(&self, path: &str) -> Outcome<Document> {
        let request = Request::new(Method::GET, path, None);
        let answer = self.exchange(&request).await?;
        Document::from_answer(path, answer)
    }

    /// Reads a document without credentials, as a stranger does.
    pub(crate) async fn get_unauthorised(&self, path: &str) -> Outcome<Document> {
        let request = Request::new(Method::GET, path, None);
        let answer = self.bounded(&request, &Entry::Outside).await?;
        Document::from_answer(path, answer)
    }

    /// Changes properties of a resource.
    pub(crate) async fn patch(
        &self,
        path: &str,
        etag: Option<&str>,
        body: &Value,
    ) -> Outcome<Answer> {
        let mut request = Request::new(Method::PATCH, path, Some(body));
        request.headers.extend(etag.map(|etag| (IF_MATCH, etag.to_owned())));
        self.exchange(&request).await
    }

    /// Calls an action.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Outcome<Answer> {
        self.exchange(&Request::new(Method::POST, path, Some(body))).await
    }

    /// Sends a request with credentials. When they have expired they are renewed,
    /// once; a request that was refused for them was not carried out.
    pub(crate) async fn exchange(&self, request: &Request<'_>) -> Outcome<Answer> {
        let mut entry = self.entry().await;
        self.enter(&mut entry).await?;
        match self.bounded(request, &entry).await {
            Err(failure) if failure.status == Some(401) && entry.is_session() => {
                self.enter_anew(&mut entry).await?;
                self.bounded(request, &entry).await
            }
            outcome => outcome,
        }
    }

    /// Opens a reply whose body has no end. The gate is free again as soon as the
    /// reply has begun.
    pub(crate) async fn open(&self, request: &Request<'_>) -> Outcome<Response> {
        let mut entry = self.entry().await;
        self.enter(&mut entry).await?;
        let mut response = self.begin(request, &entry).await?;
        if response.status() == 401 && entry.is_session() {
            self.enter_anew(&mut entry).await?;
            response = self.begin(request, &entry).await?;
        }
        if response.status().is_success() {
            return Ok(response);
        }
        self.finish(request, response).await?;
        Err(Failure::malformed(format!("{request}: no success and no failure")))
    }

    /// Sends a request and reads the whole reply, within the deadline.
    pub(crate) async fn bounded(&self, request: &Request<'_>, entry: &Entry) -> Outcome<Answer> {
        let exchange = async {
            let response = self.begin_unbounded(request, entry).await?;
            self.finish_unbounded(request, response).await
        };
        self.in_time(request, exchange).await
    }

    async fn begin(&self, request: &Request<'_>, entry: &Entry) -> Outcome<Response> {
        self.in_time(request, self.begin_unbounded(request, entry)).await
    }

    async fn finish(&self, request: &Request<'_>, response: Response) -> Outcome<Answer> {
        self.in_time(request, self.finish_unbounded(request, response)).await
    }

    async fn in_time<T>(
        &self,
        request: &Request<'_>,
        work: impl Future<Output = Outcome<T>>,
    ) -> Outcome<T> {
        let within = self.limits.request;
        tokio::time::timeout(within, work).await.unwrap_or_else(|_| {
            Err(Failure::unreachable(format!("{request}: no answer within {within:?}")))
        })
    }

    async fn begin_unbounded(&self, request: &Request<'_>, entry: &Entry) -> Outcome<Response> {
        let url = self.resolve(request.path)?;
        let mut builder = self.client.request(request.method.clone(), url);
        builder = builder.header("OData-Version", "4.0");
        builder = entry.authorise(builder, self);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = request.body {
            builder = builder.json(body);
        }
        builder.send().await.map_err(|error| self.transport(request, &error))
    }

    async fn finish_unbounded(
        &self,
        request: &Request<'_>,
        mut response: Response,
    ) -> Outcome<Answer> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut bytes = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| self.transport(request, &error))?
        {
            if bytes.len() + chunk.len() > self.limits.body {
                let most = self.limits.body;
                return Err(Failure::malformed(format!("{request}: more than {most} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        let body = serde_json::from_slice(&bytes).ok();
        if (200..300).contains(&status) {
            Ok(Answer { status, headers, body })
        } else {
            Err(Failure::of_status(status, &request.to_string(), body.as_ref()))
        }
    }

    /// A path or URL of the BMC as a URL of ours. Another origin is refused: our
    /// credentials would go there.
    fn resolve(&self, path: &str) -> Outcome<Url> {
        let url = self
            .base
            .join(path)
            .map_err(|_| Failure::malformed(format!("`{}` is no path", clean(path, 160))))?;
        if url.origin() != self.base.origin() {
            let shown = clean(path, 160);
            return Err(Failure::malformed(format!("`{shown}` leads away from the BMC")));
        }
        Ok(url)
    }

    fn transport(&self, request: &Request<'_>, error: &reqwest::Error) -> Failure {
        if let Some(strange) = self.pin.take_strange() {
            let trusted = self.pin.trusted().unwrap_or_default();
            return Failure::refused(format!(
                "the BMC shows the certificate {strange}, not the pinned {trusted}"
            ));
        }
        let kind = if is_nonsense(error) {
            BmcFailureKind::Malformed
        } else {
            BmcFailureKind::Unreachable
        };
        Failure::new(kind, format!("{request}: {}", chain(error)))
    }
}

impl Answer {
    pub(crate) fn etag(&self) -> Option<&str> {
        self.header(&ETAG)
    }
    pub(crate) fn location(&self) -> Option<&str> {
        self.header(&LOCATION)
    }
    /// When to ask again, in seconds, where it says so.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.header(&RETRY_AFTER)?.trim().parse().ok()
    }
    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
    }
}

/// Follows a few redirects within the origin (`/redfish/v1` to `/redfish/v1/`).
fn same_origin_only() -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(|attempt| {
        let stays = attempt.previous().iter().all(|url| url.origin() == attempt.url().origin());
        if stays && attempt.previous().len() <= 3 { attempt.follow() } else { attempt.stop() }
    })
}

/// Whether something answered that is no HTTP.
fn is_nonsense(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return true;
        }
        source = cause.source();
    }
    false
}

/// An error with its causes, as the first line alone says little.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    clean(&text, crate::failure::TEXT_MOST)
}
