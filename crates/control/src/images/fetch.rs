//! Fetches an image from an address. A connection that breaks off is taken up
//! again where it broke (RFC 9110 sections 13.1.5 and 14), as long as the server
//! says that the file is still the same.

use std::time::Duration;

use http::header::{CONTENT_RANGE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, StatusCode};
use model::id::ImageId;
use model::image::{Checksum, ImageSpec};
use model::{ErrorCode, Problem};
use reqwest::{Client, Response, Url};

use super::incoming::Incoming;
use super::{ImageStore, Stored};

/// Where Debian and its relatives keep the authorities of the web.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(20);
/// The pause after the first break; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest address.
const ADDRESS_LONGEST: usize = 2048;

impl ImageStore {
    /// Fetches an image over http or https. Afterwards it is stored, checked and on
    /// disk, or nothing is. Fails as [`ImageStore::receive`] does, and with
    /// `unavailable` when the server cannot be reached or refuses.
    pub async fn fetch(
        &self,
        image: ImageId,
        spec: &ImageSpec,
        expected: Option<&Checksum>,
        address: &str,
    ) -> Result<Stored, Problem> {
        let url = checked_address(address)?;
        let client = client(&url, self.limits.silence).await?;
        let mut incoming = self.begin(image)?;
        let (mut validator, mut failures) = (None, 0);
        loop {
            let before = incoming.received();
            match self.go_on(&client, &url, &mut incoming, &mut validator).await {
                Ok(()) => break,
                Err(Break::Final(problem)) => return Err(problem),
                Err(Break::Passing(why)) => {
                    failures = if incoming.received() > before { 1 } else { failures + 1 };
                    if failures >= self.limits.tries {
                        return Err(unavailable(&url, &why));
                    }
                    tracing::info!(%url, why, at = incoming.received().0, "a fetch broke off");
                    tokio::time::sleep(PAUSE * 2u32.pow(failures.min(6))).await;
                }
            }
        }
        self.finish(image, spec, expected, incoming).await
    }

    /// One connection: from where the file stands to its end.
    async fn go_on(
        &self,
        client: &Client,
        url: &Url,
        incoming: &mut Incoming,
        validator: &mut Option<String>,
    ) -> Result<(), Break> {
        let mut response = ask(client, url, incoming.received().0, validator.as_deref()).await?;
        let follows = response.status() == StatusCode::PARTIAL_CONTENT
            && begins_at(response.headers(), incoming.received().0);
        if !follows {
            if response.status() == StatusCode::PARTIAL_CONTENT {
                *validator = None;
                incoming.restart().await.map_err(Break::Final)?;
                return Err(Break::Passing("another part came than was asked for".to_owned()));
            }
            incoming.restart().await.map_err(Break::Final)?;
            *validator = validator_of(response.headers());
        }
        let length = response.content_length().map(|rest| incoming.received().0 + rest);
        loop {
            match response.chunk().await {
                Ok(Some(bytes)) => incoming.push(&bytes).await.map_err(Break::Final)?,
                Ok(None) => break,
                Err(error) => return Err(Break::Passing(reason(&error))),
            }
        }
        match length {
            Some(length) if length != incoming.received().0 => {
                Err(Break::Passing("it ended too early".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// Why a connection did not bring the file to its end.
enum Break {
    /// Again may help.
    Passing(String),
    /// It will not.
    Final(Problem),
}

async fn ask(
    client: &Client,
    url: &Url,
    from: u64,
    validator: Option<&str>,
) -> Result<Response, Break> {
    let mut request = client.get(url.clone());
    // Without a validator nobody knows whether it is the same file: all of it, again.
    if let Some(validator) = validator.filter(|_| from > 0) {
        request = request.header(RANGE, format!("bytes={from}-")).header(IF_RANGE, validator);
    }
    let response = request.send().await.map_err(|error| Break::Passing(reason(&error)))?;
    let status = response.status();
    if status == StatusCode::OK || status == StatusCode::PARTIAL_CONTENT {
        return Ok(response);
    }
    let why = format!("it answered {status}");
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        Err(Break::Passing(why))
    } else {
        Err(Break::Final(unavailable(url, &why)))
    }
}

/// Whether a part begins where it must.
fn begins_at(headers: &HeaderMap, at: u64) -> bool {
    let range = headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let first = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next());
    first.and_then(|first| first.parse().ok()) == Some(at)
}

/// What says that the file is still the same: a strong etag, or its date.
fn validator_of(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let strong = text(ETAG).filter(|etag| !etag.starts_with("W/"));
    strong.or_else(|| text(LAST_MODIFIED)).map(str::to_owned)
}

fn checked_address(address: &str) -> Result<Url, Problem> {
    let refuse = |why: &str| {
        Problem::new(ErrorCode::InvalidRequest, format!("the image's address: {why}"))
            .next("Give an address that begins with https:// or http://.")
    };
    if address.len() > ADDRESS_LONGEST {
        return Err(refuse("it is too long"));
    }
    let url = Url::parse(address).map_err(|error| refuse(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(refuse("it is neither http nor https")),
    }
}

async fn client(url: &Url, silence: Duration) -> Result<Client, Problem> {
    let mut builder = Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(silence)
        .redirect(reqwest::redirect::Policy::limited(5))
        .user_agent(concat!("bedplate/", env!("CARGO_PKG_VERSION")));
    if let Ok(pem) = tokio::fs::read(SYSTEM_ROOTS).await {
        let roots = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
        for root in roots {
            builder = builder.add_root_certificate(root);
        }
    } else if url.scheme() == "https" {
        let detail = format!("{SYSTEM_ROOTS} is missing, so that no https server can be trusted");
        return Err(Problem::new(ErrorCode::Unavailable, detail)
            .next("Install the package ca-certificates where the control plane runs."));
    }
    builder.build().map_err(|error| Problem::new(ErrorCode::Internal, reason(&error)))
}

fn unavailable(url: &Url, why: &str) -> Problem {
    let host = url.host_str().unwrap_or_default();
    Problem::new(
        ErrorCode::Unavailable,
        format!("the image could not be fetched from {host}: {why}"),
    )
    .next("Check the address from where the control plane runs, and send it again.")
}

/// An error with its causes: reqwest's own words leave them out.
fn reason(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        words.push_str(": ");
        words.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    words
}
