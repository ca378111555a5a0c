//! One call of one endpoint.

use std::time::Duration;

use model::Problem;
use model::Secret;
use model::api::{Endpoint, EndpointInfo, Method, Shape};
use model::project::Permission;
use reqwest::header::{ACCEPT, CONTENT_TYPE, IF_MATCH};
use reqwest::{RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;
use world::SystemEntropy;
use world::entropy::new_token;

use crate::attempt::{Attempts, asked, passing};
use crate::settings::{base, tls};
use crate::{ClientError, ClientSettings, path};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take, unless the endpoint is one that takes longer.
const PATIENCE: Duration = Duration::from_secs(90);
/// The largest document that is read: a page of a thousand machines has some megabytes.
const LARGEST: usize = 256 << 20;

/// A client of one Bedplate. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: Url,
    token: Option<Secret>,
}

/// On what terms something is asked.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Refuse unless the resource is of this generation.
    pub if_match: Option<u64>,
    /// The key of this request; a fresh one when absent.
    pub idempotency_key: Option<String>,
    /// Say what would happen, and do nothing.
    pub dry_run: bool,
}

impl Options {
    /// On the condition that the resource is of this generation.
    pub fn at(generation: u64) -> Self {
        Self { if_match: Some(generation), ..Self::default() }
    }
}

impl Client {
    /// A client. Nothing is connected yet.
    ///
    /// Fails when the address or the CA's certificate makes no sense.
    pub fn new(settings: ClientSettings) -> Result<Self, ClientError> {
        let base = base(&settings.url)?;
        let http = reqwest::Client::builder()
            .use_preconfigured_tls(tls(settings.ca_pem.as_deref())?)
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            // Bedplate stands in the own network, and a token is not for a proxy.
            .no_proxy()
            .user_agent(concat!("bedplate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ClientError::Settings(error.to_string()))?;
        Ok(Self { http, base, token: settings.token })
    }

    /// Calls an endpoint: the values of its path in order, its query, its request.
    ///
    /// A mutation carries an idempotency key, so it is done once however often it
    /// is sent; faults that pass are tried again, five times in all. Panics when
    /// the number of path values is not that of the endpoint.
    pub async fn call<E: Endpoint>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        request: &E::Request,
        options: Options,
    ) -> Result<E::Reply, ClientError> {
        assert!(E::INFO.shape != Shape::Bytes, "{} has no document", E::INFO.name);
        let url = self.url(&E::INFO, path, query, options.dry_run);
        let key = options.idempotency_key.unwrap_or_else(new_key);
        let body = match E::INFO.has_request {
            true => Some(serde_json::to_vec(request).map_err(|error| self.unexpected(error))?),
            false => None,
        };
        let build = || {
            let mut builder = self.request(&E::INFO, url.clone()).timeout(patience(&E::INFO));
            if mutates(&E::INFO) {
                builder = builder.header("idempotency-key", &key);
            }
            if let Some(generation) = options.if_match {
                builder = builder.header(IF_MATCH, format!("\"{generation}\""));
            }
            match &body {
                Some(body) => builder.header(CONTENT_TYPE, "application/json").body(body.clone()),
                None => builder,
            }
        };
        let response = self.send(build).await?;
        self.document(response).await
    }

    /// Where an endpoint is.
    pub(crate) fn url(
        &self,
        info: &EndpointInfo,
        path: &[&str],
        query: &[(&str, &str)],
        dry_run: bool,
    ) -> Url {
        let mut text = path::fill(info.path, path);
        let dry = dry_run.then_some(("dry_run", "true"));
        for (place, (name, value)) in query.iter().copied().chain(dry).enumerate() {
            text.push(if place == 0 { '?' } else { '&' });
            path::encode(name, &mut text);
            text.push('=');
            path::encode(value, &mut text);
        }
        let base = self.base.as_str().trim_end_matches('/');
        // The base was parsed, and what is added is unreserved or percent-encoded.
        Url::parse(&format!("{base}{text}")).expect("a path of ours is part of a URL")
    }

    /// A request, with the token unless anybody may ask.
    pub(crate) fn request(&self, info: &EndpointInfo, url: Url) -> RequestBuilder {
        let method = match info.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let builder = self.http.request(method, url).header(ACCEPT, "application/json");
        match &self.token {
            Some(token) if info.permission != Permission::Open => {
                builder.bearer_auth(token.expose())
            }
            _ => builder,
        }
    }

    /// Sends a request that is safe to repeat, until there is an answer or no hope.
    /// The answer is a success.
    pub(crate) async fn send(
        &self,
        build: impl Fn() -> RequestBuilder,
    ) -> Result<Response, ClientError> {
        let mut attempts = Attempts::default();
        loop {
            let (error, wanted) = match build().send().await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let (again, wanted) = (passing(response.status()), asked(&response));
                    let error = self.refused(response).await;
                    if !again {
                        return Err(error);
                    }
                    (error, wanted)
                }
                Err(error) => (ClientError::of_transport(&self.base, &error), None),
            };
            if matches!(error, ClientError::Untrusted { .. }) {
                return Err(error);
            }
            match attempts.pause(wanted) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    /// What a refusal says: a problem document, or something that is none.
    pub(crate) async fn refused(&self, response: Response) -> ClientError {
        let status = response.status();
        match self.bytes(response).await {
            Ok(bytes) => match serde_json::from_slice::<Problem>(&bytes) {
                Ok(problem) => problem.into(),
                Err(_) => self.unexpected(format!("status {status} without a problem document")),
            },
            Err(error) => error,
        }
    }

    /// The document of an answer.
    pub(crate) async fn document<T: DeserializeOwned>(
        &self,
        response: Response,
    ) -> Result<T, ClientError> {
        let bytes = self.bytes(response).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.unexpected(error))
    }

    /// All bytes of an answer, within bounds.
    pub(crate) async fn bytes(&self, mut response: Response) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => return Ok(bytes),
                Err(error) => return Err(ClientError::of_transport(&self.base, &error)),
            }
            if bytes.len() > LARGEST {
                return Err(self.unexpected(format!("a document of more than {LARGEST} bytes")));
            }
        }
    }

    /// The answer makes no sense.
    pub(crate) fn unexpected(&self, reason: impl std::fmt::Display) -> ClientError {
        let url = self.base.origin().ascii_serialization();
        ClientError::Unexpected { url, reason: reason.to_string() }
    }
}

fn mutates(info: &EndpointInfo) -> bool {
    info.method != Method::Get
}

/// A key that nobody else has.
fn new_key() -> String {
    new_token::<16>(&mut SystemEntropy)
}

/// How long an endpoint may take to answer. A few do all their work first.
fn patience(info: &EndpointInfo) -> Duration {
    match info.name {
        "discoverMachines" => Duration::from_secs(900),
        // With an address the image is fetched before there is an answer.
        "createImage" => Duration::from_secs(6 * 3600),
        _ => PATIENCE,
    }
}
