//! A file server with the faults of the field: connections that break, files
//! that change, no ranges.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;

/// What the server does, and what it saw.
#[derive(Default)]
pub struct Shelf {
    pub content: Vec<u8>,
    pub etag: String,
    /// Without, every answer is the whole file.
    pub ranges: bool,
    /// Each answer that reaches one of these places breaks there (once).
    pub cuts: VecDeque<u64>,
    /// After the next cut the file is this one.
    pub then: Option<(Vec<u8>, String)>,
    /// Where each request began.
    pub asked: Vec<u64>,
    /// Answer with this instead.
    pub status: Option<StatusCode>,
}

pub struct Files {
    pub shelf: Arc<Mutex<Shelf>>,
    pub url: String,
}

/// Serves one file at any path.
pub async fn serve(authority: &Authority, shelf: Shelf) -> Files {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("https://{}/image", listener.local_addr().unwrap());
    let acceptor = TlsAcceptor::from(authority.server());
    let shelf = Arc::new(Mutex::new(shelf));
    let shared = shelf.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, shelf) = (acceptor.clone(), shared.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request| {
                    let answer = answer(&shelf, &request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Files { shelf, url }
}

fn answer(shelf: &Arc<Mutex<Shelf>>, request: &Request<Incoming>) -> Response<Piecewise> {
    let mut inner = shelf.lock().unwrap();
    let etag = format!("\"{}\"", inner.etag);
    if let Some(status) = inner.status {
        let empty = Piecewise { shelf: shelf.clone(), at: 0, end: 0, data: Bytes::new(), base: 0 };
        return Response::builder().status(status).body(empty).unwrap();
    }
    let length = inner.content.len() as u64;
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
    let same = header("if-range").is_none_or(|validator| validator == etag);
    let range = header("range").filter(|_| inner.ranges && same).map(|range| {
        let (from, to) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let to = to.parse().map_or(length, |to: u64| (to + 1).min(length));
        (from.parse::<u64>().unwrap(), to)
    });
    let (from, to) = range.unwrap_or((0, length));
    inner.asked.push(from);
    let mut response = Response::builder().header("etag", &etag);
    if range.is_some() {
        let text = format!("bytes {from}-{}/{length}", to.max(1) - 1);
        response = response.status(StatusCode::PARTIAL_CONTENT).header("content-range", text);
    }
    let data = Bytes::from(inner.content.clone());
    let body = Piecewise { shelf: shelf.clone(), at: from, end: to, data, base: 0 };
    response.body(body).unwrap()
}

/// A body that breaks where the shelf says.
struct Piecewise {
    shelf: Arc<Mutex<Shelf>>,
    at: u64,
    end: u64,
    data: Bytes,
    base: u64,
}

impl Body for Piecewise {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.at >= self.end {
            return Poll::Ready(None);
        }
        let mut next = (self.at + 50_000).min(self.end);
        let shelf = self.shelf.clone();
        let mut shelf = shelf.lock().unwrap();
        if let Some(cut) = shelf.cuts.front().copied().filter(|cut| (self.at..next).contains(cut)) {
            if cut == self.at {
                shelf.cuts.pop_front();
                if let Some((content, etag)) = shelf.then.take() {
                    (shelf.content, shelf.etag) = (content, etag);
                }
                return Poll::Ready(Some(Err(std::io::Error::other("cut"))));
            }
            next = cut;
        }
        let piece = self.data.slice((self.at - self.base) as usize..(next - self.base) as usize);
        self.at = next;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}
