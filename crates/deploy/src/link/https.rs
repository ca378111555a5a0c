//! HTTP/1.1 over TLS, as little of it as the agent needs: one connection, one
//! request after the other, every wait and every length bounded.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use model::api;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::trust::{Calendar, Trust};

/// The largest JSON reply that is read.
const REPLY_MOST: usize = 32 << 20;
/// How much of an error's text is kept for people.
const TEXT_MOST: usize = 400;
/// How long connecting may take, TLS included.
const CONNECT: Duration = Duration::from_secs(20);
/// How long a reply may take beyond what the request itself asks to wait.
const REPLY: Duration = Duration::from_secs(30);

/// Why an exchange failed.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The address cannot be used.
    #[error("{0} is not an address that can be used: it must be http(s):// and an IP address")]
    Address(String),
    /// No connection, or no TLS.
    #[error("cannot connect to {0}: {1}")]
    Connect(SocketAddr, std::io::Error),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    /// No answer in time.
    #[error("no answer in time")]
    Silent,
    /// An answer that is not a success.
    #[error("the answer was {0}: {1}")]
    Status(StatusCode, String),
    /// An answer that cannot be understood.
    #[error("the answer makes no sense: {0}")]
    Malformed(String),
}

impl LinkError {
    /// Whether the control plane does not (or no longer) know who we are.
    pub fn is_denial(&self) -> bool {
        matches!(self, Self::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _))
    }
    /// Whether the same request will be refused again.
    pub fn is_final(&self) -> bool {
        let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        matches!(self, Self::Status(code, _)
            if code.is_client_error() && !passing.contains(code) && !self.is_denial())
    }
}

/// Whom to connect to.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Over TLS or plain.
    pub tls: bool,
    /// Where.
    pub address: SocketAddr,
    /// `host:port` for the Host header.
    pub authority: String,
}

impl Origin {
    /// Of an absolute address. Names are not resolved: the ramdisk has no resolver.
    pub fn of(uri: &Uri) -> Result<Self, LinkError> {
        let bad = || LinkError::Address(uri.to_string());
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad()),
        };
        let host = uri.host().ok_or_else(bad)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let ip: IpAddr = bare.parse().map_err(|_| bad())?;
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let authority = uri.authority().ok_or_else(bad)?.to_string();
        Ok(Self { tls, address: SocketAddr::new(ip, port), authority })
    }

    /// Opens a connection. The certificate must be for the IP address.
    pub async fn connect(
        &self,
        config: Arc<ClientConfig>,
        calendar: &Calendar,
    ) -> Result<SendRequest<Full<Bytes>>, LinkError> {
        let failed = |error| LinkError::Connect(self.address, error);
        let opening = async {
            let stream = TcpStream::connect(self.address).await.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            if !self.tls {
                return begin(TokioIo::new(stream)).await;
            }
            let name = ServerName::IpAddress(self.address.ip().into());
            match TlsConnector::from(config).connect(name, stream).await {
                Ok(stream) => begin(TokioIo::new(stream)).await,
                Err(error) => {
                    let tls = error.get_ref().and_then(|inner| inner.downcast_ref());
                    if tls.is_some_and(|inner| calendar.learn(inner)) {
                        crate::say!("the clock is behind the control plane's certificate");
                    }
                    Err(failed(error))
                }
            }
        };
        timeout(CONNECT, opening).await.map_err(|_| LinkError::Silent)?
    }
}

async fn begin<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, LinkError>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(stream).await?;
    // Ends when the sender is dropped or the connection breaks; whoever waits for a reply hears of it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// A line to one origin: connects when needed, and again when it broke.
#[derive(Debug)]
pub struct Line {
    origin: Origin,
    config: Arc<ClientConfig>,
    trust: Trust,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Line {
    /// To this origin, as whom `config` says.
    pub const fn new(origin: Origin, config: Arc<ClientConfig>, trust: Trust) -> Self {
        Self { origin, config, trust, sender: None }
    }

    /// Calls an endpoint of the API. `path` is its path with parameters and query filled in.
    pub async fn call<E: api::Endpoint>(
        &mut self,
        path: &str,
        request: &E::Request,
        wait: Duration,
    ) -> Result<E::Reply, LinkError> {
        let malformed = |error: serde_json::Error| LinkError::Malformed(error.to_string());
        let body = match E::INFO.has_request {
            true => serde_json::to_vec(request).map_err(malformed)?,
            false => Vec::new(),
        };
        let method = match E::INFO.method {
            api::Method::Get => Method::GET,
            api::Method::Post => Method::POST,
            api::Method::Put => Method::PUT,
            api::Method::Delete => Method::DELETE,
        };
        let exchange = async {
            let response = self.send(method, path, body).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), REPLY_MOST).collect().await;
            let body = body.map_err(|error| LinkError::Malformed(error.to_string()))?.to_bytes();
            match status.is_success() {
                true => serde_json::from_slice(&body).map_err(malformed),
                false => Err(LinkError::Status(status, short(&body))),
            }
        };
        let reply = timeout(wait + REPLY, exchange).await.unwrap_or(Err(LinkError::Silent));
        if !matches!(reply, Ok(_) | Err(LinkError::Status(..))) {
            self.sender = None;
        }
        reply
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, LinkError> {
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.origin.connect(self.config.clone(), &self.trust.calendar).await?,
        };
        sender.ready().await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.origin.authority)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| LinkError::Malformed(error.to_string()))?;
        let response = sender.send_request(request).await?;
        self.sender = Some(sender);
        Ok(response)
    }
}

/// The beginning of an error's body as one line.
fn short(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(TEXT_MOST)]);
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_addresses_and_nothing_else() {
        let origin = Origin::of(&Uri::from_static("https://10.77.0.1:7444/x")).unwrap();
        assert!(origin.tls);
        assert_eq!(origin.address.to_string(), "10.77.0.1:7444");
        let six = Origin::of(&Uri::from_static("http://[::1]/x")).unwrap();
        assert_eq!((six.address.to_string(), six.tls), ("[::1]:80".to_owned(), false));
        for bad in ["https://name.example/", "/v1/x", "ftp://1.2.3.4/"] {
            assert!(Origin::of(&bad.parse().unwrap()).is_err(), "{bad}");
        }
    }
}
