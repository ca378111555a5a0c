//! The HTTPS listener of people and of machines: TLS, HTTP/1.1 and HTTP/2, and
//! bounds on everything that a stranger can hold open.
//!
//! Who is at the other end is known from here on: the address travels in the
//! extensions of every request as `ConnectInfo<SocketAddr>` and, where a client
//! certificate of our CA was shown, what it says as [`Peer`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::identity::Peer;

/// Connections at a time; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 4096;
/// For the TLS handshake, and for the head of each request.
const PATIENCE: Duration = Duration::from_secs(10);
/// A silent HTTP/2 connection is asked for a sign of life this often.
const PING: Duration = Duration::from_secs(20);
/// How long connections may take to end once the listener is told to.
const GRACE: Duration = Duration::from_secs(5);
/// After an error of `accept`, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// Requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 128;
/// Bytes of headers that one request may have.
const HEADERS: usize = 32 * 1024;

/// Tells of the end of the listener, so that what would go on for ever (a watch)
/// or for long (a wait) ends by itself. In the extensions of every request.
#[derive(Clone, Debug, Default)]
pub struct Closing(Option<watch::Receiver<bool>>);

impl Closing {
    /// Returns when the listener is to end; never where there is no listener.
    pub async fn wait(&mut self) {
        match &mut self.0 {
            // Without its sender the listener has ended already.
            Some(closing) => drop(closing.wait_for(|closing| *closing).await),
            None => std::future::pending().await,
        }
    }
}

/// Serves a router over TLS until `shutdown` ends. Then no connection is taken
/// any more, those that are open may finish what they are at for five seconds,
/// and the task ends.
///
/// `tls` decides whether client certificates are asked for and which CA they must
/// come from; one that was not verified never gets here. The task has to be spawned
/// inside a tokio runtime. Errors: the socket cannot be used.
pub fn serve(
    listener: std::net::TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let acceptor = TlsAcceptor::from(with_protocols(tls));
    Ok(tokio::spawn(accept(listener, acceptor, router, shutdown)))
}

/// The same configuration, with HTTP/2 and HTTP/1.1 on offer unless it offers something itself.
fn with_protocols(tls: Arc<ServerConfig>) -> Arc<ServerConfig> {
    if !tls.alpn_protocols.is_empty() {
        return tls;
    }
    let mut offering = ServerConfig::clone(&tls);
    offering.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(offering)
}

async fn accept(
    listener: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let (close, closing) = watch::channel(false);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            // The semaphore is never closed.
            let permit = room.clone().acquire_owned().await.expect("room for connections");
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            next = next => next,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, address)) => {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                let (watcher, closing) = (graceful.watcher(), Closing(Some(closing.clone())));
                tokio::spawn(async move {
                    connection(stream, (address, closing), acceptor, router, watcher).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    close.send_replace(true);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::info!("some connections did not end in time and are dropped");
    }
}

/// One connection, from its first byte to its last.
async fn connection(
    stream: TcpStream,
    (address, closing): (SocketAddr, Closing),
    acceptor: TlsAcceptor,
    router: Router,
    watcher: Watcher,
) {
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%address, %error, "no TLS connection came about"),
        Err(_) => return tracing::debug!(%address, "the TLS handshake took too long"),
    };
    let peer = match stream.get_ref().1.peer_certificates().map(Peer::of) {
        None => None,
        Some(Ok(peer)) => Some(peer),
        // Our CA signed it, and it names no role: nobody we would know what to do with.
        Some(Err(error)) => return tracing::warn!(%address, %error, "a connection was refused"),
    };
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(address));
        extensions.insert(closing.clone());
        if let Some(peer) = &peer {
            extensions.insert(peer.clone());
        }
        router.clone().oneshot(request.map(Body::new))
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEADERS)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PATIENCE)
        .max_header_list_size(HEADERS as u32)
        .max_concurrent_streams(STREAMS);
    let served = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(%address, %error, "a connection broke off");
    }
}
