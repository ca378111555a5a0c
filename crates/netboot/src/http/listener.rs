//! Takes connections and serves each until it ends.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Service;
use super::body::Ending;
use super::watched::Watched;
use crate::serve::ended;

/// Connections at once; more wait in the kernel.
const CONNECTIONS_MAX: usize = 1_024;
/// How long a client may take to say what it wants, and to agree on TLS.
const REQUEST: Duration = Duration::from_secs(30);
/// Longest request.
const REQUEST_BYTES_MAX: usize = 16 * 1_024;
/// How long fetches under way have when we are told to stop.
const LEAVE: Duration = Duration::from_secs(2);
/// Pause after an error of the listener, such as too many open files.
const AFTER_ERROR: Duration = Duration::from_millis(50);

/// Serves until told to stop.
pub(crate) async fn run(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    service: Service,
    mut stopped: watch::Receiver<bool>,
) {
    let tls = tls.map(TlsAcceptor::from);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = ended(&mut stopped) => break,
            // Ended connections are collected as we go, so that the set stays small.
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &room) => accepted,
        };
        let Ok((stream, permit)) = accepted else {
            tokio::time::sleep(AFTER_ERROR).await;
            continue;
        };
        let (tls, service, stopped) = (tls.clone(), service.clone(), stopped.clone());
        connections.spawn(async move {
            secure(stream, tls, service, stopped).await;
            drop(permit);
        });
    }
    let leave = async { while connections.join_next().await.is_some() {} };
    // Whoever is not done then is cut off with the set.
    let _ = tokio::time::timeout(LEAVE, leave).await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, permit))
}

async fn secure(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    service: Service,
    stopped: watch::Receiver<bool>,
) {
    let Some(tls) = tls else { return converse(stream, service, stopped).await };
    match tokio::time::timeout(REQUEST, tls.accept(stream)).await {
        Ok(Ok(stream)) => converse(stream, service, stopped).await,
        Ok(Err(error)) => tracing::debug!(%error, "no TLS with a client"),
        Err(_) => {}
    }
}

async fn converse<S>(stream: S, service: Service, mut stopped: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let ending = Arc::new(Ending::default());
    let watched = Watched::new(stream, Arc::clone(&ending), Arc::clone(&service.sightings));
    let answer = service_fn(|request| {
        let response = service.answer(&request, &ending);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST)
        .max_buf_size(REQUEST_BYTES_MAX)
        .serve_connection(TokioIo::new(watched), answer);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = ended(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a boot connection ended early");
    }
}
