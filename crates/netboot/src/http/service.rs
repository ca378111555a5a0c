//! What each request is answered with.

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;

use super::body::{Ending, FileBody};
use super::range::{self, Part};
use crate::BootFiles;
use crate::directory::is_token;
use crate::files::BootFile;
use crate::sightings::Sightings;

/// Answers requests; shared by all connections.
#[derive(Clone)]
pub(crate) struct Service {
    pub(super) sightings: Arc<Sightings>,
    files: watch::Receiver<BootFiles>,
}

/// The two things that are served.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    Image,
    Medium,
}

impl Item {
    fn media_type(self) -> &'static str {
        match self {
            // Registered for UEFI (UEFI 2.10, section 24.7.3).
            Item::Image => "application/efi",
            Item::Medium => "application/vnd.efi.iso",
        }
    }
}

impl Service {
    /// Serves these files to whom the directory permits.
    pub(crate) fn new(sightings: Arc<Sightings>, files: watch::Receiver<BootFiles>) -> Self {
        Self { sightings, files }
    }

    /// Answers one request.
    pub(super) fn answer(
        &self,
        request: &Request<Incoming>,
        ending: &Arc<Ending>,
    ) -> Response<FileBody> {
        let reading = request.method() == Method::GET;
        if !reading && request.method() != Method::HEAD {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
            put(response.headers_mut(), header::ALLOW, "GET, HEAD");
            return response;
        }
        let permitted = place(request.uri().path())
            .filter(|(_, token)| self.sightings.directory().by_token(token).is_some());
        let Some((item, token)) = permitted else {
            return text(StatusCode::NOT_FOUND, "not found\n");
        };
        let Some(file) = self.file(item) else {
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "not built yet\n");
            put(response.headers_mut(), header::RETRY_AFTER, "5");
            return response;
        };
        if reading {
            self.sightings.fetching(token);
        }
        let mut response = send(request, &file, reading, ending, token);
        if !response.status().is_client_error() {
            put(response.headers_mut(), header::CONTENT_TYPE, item.media_type());
        }
        response
    }

    fn file(&self, item: Item) -> Option<BootFile> {
        let files = self.files.borrow();
        match item {
            Item::Image => files.efi.clone(),
            Item::Medium => files.iso.clone(),
        }
    }
}

/// What a path means: `/boot/TOKEN/bedplate.efi` or `/media/TOKEN/bedplate.iso`.
fn place(path: &str) -> Option<(Item, &str)> {
    let mut parts = path.strip_prefix('/')?.split('/');
    let (kind, token, name) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !is_token(token) {
        return None;
    }
    match (kind, name) {
        ("boot", "bedplate.efi") => Some((Item::Image, token)),
        ("media", "bedplate.iso") => Some((Item::Medium, token)),
        _ => None,
    }
}

fn send(
    request: &Request<Incoming>,
    file: &BootFile,
    reading: bool,
    ending: &Arc<Ending>,
    token: &str,
) -> Response<FileBody> {
    let length = file.bytes.len();
    let asked = request.headers();
    if names(asked, header::IF_NONE_MATCH, file) {
        let mut response = Response::new(FileBody::new(Bytes::new()));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        put(response.headers_mut(), header::ETAG, &file.etag);
        return response;
    }
    let part = part(asked, file, reading);
    let (status, bytes) = match &part {
        Part::Whole => (StatusCode::OK, 0..length),
        Part::Some(bytes) => (StatusCode::PARTIAL_CONTENT, bytes.clone()),
        Part::Unsatisfiable => {
            let mut response = text(StatusCode::RANGE_NOT_SATISFIABLE, "no such bytes\n");
            put(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{length}"));
            return response;
        }
    };
    let slice = file.bytes.slice(bytes.clone());
    let body = match (reading, bytes.end == length) {
        (true, true) => FileBody::last(slice, Arc::clone(ending), token),
        (true, false) => FileBody::new(slice),
        (false, _) => FileBody::new(Bytes::new()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {}-{}/{length}", bytes.start, bytes.end - 1);
        put(headers, header::CONTENT_RANGE, &range);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    put(headers, header::ACCEPT_RANGES, "bytes");
    put(headers, header::ETAG, &file.etag);
    // The address is secret and spent after one boot: nobody on the way keeps it.
    put(headers, header::CACHE_CONTROL, "no-store");
    response
}

/// The part that is asked for. `Range` means something for GET only (RFC 9110,
/// section 14.2), and only while the file is the one that was begun.
fn part(asked: &HeaderMap, file: &BootFile, reading: bool) -> Part {
    let same = asked.get(header::IF_RANGE).is_none_or(|tag| tag.as_bytes() == file.etag.as_bytes());
    let field = asked.get(header::RANGE).and_then(|field| field.to_str().ok());
    match field {
        Some(field) if reading && same => range::read(field, file.bytes.len()),
        _ => Part::Whole,
    }
}

/// Whether a field that lists entity tags names this file.
fn names(asked: &HeaderMap, field: HeaderName, file: &BootFile) -> bool {
    let values = asked.get_all(field).into_iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == &*file.etag)
}

fn text(status: StatusCode, words: &'static str) -> Response<FileBody> {
    let mut response = Response::new(FileBody::new(Bytes::from_static(words.as_bytes())));
    *response.status_mut() = status;
    put(response.headers_mut(), header::CONTENT_TYPE, "text/plain");
    response
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
