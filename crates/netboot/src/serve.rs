//! The servers around their sockets, and their orderly end.

use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use world::Clock;

use crate::sightings::Sightings;
use crate::{BootFiles, Directory, dhcp, http, tftp};

/// Sockets that were bound outside, possibly in another network namespace
/// (`world::network`). A server whose socket is absent does not run.
#[derive(Debug, Default)]
pub struct Sockets {
    /// UDP 67, bound to the device of the boot network, with leave to broadcast.
    pub dhcp: Option<UdpSocket>,
    /// UDP 69.
    pub tftp: Option<UdpSocket>,
    /// For HTTP boot.
    pub http: Option<TcpListener>,
    /// For HTTPS boot; needs [`Settings::tls`].
    pub https: Option<TcpListener>,
}

/// How to serve.
#[derive(Clone, Default)]
pub struct Settings {
    /// Addresses; needed where there is a DHCP socket.
    pub dhcp: Option<dhcp::Settings>,
    /// Certificate and protocol versions for HTTPS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// Servers that run. They end when this is dropped, or in order by [`stop`](Running::stop).
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    files: watch::Sender<BootFiles>,
    tasks: JoinSet<()>,
}

impl Running {
    /// Hands out other files from now on; fetches under way end with the old ones.
    pub fn set_files(&self, files: BootFiles) {
        self.files.send_replace(files);
    }

    /// Ends all: no new work is taken, fetches under way have two seconds.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Starts the servers for which there are sockets. Must be called inside a tokio
/// runtime.
///
/// # Errors
/// When a socket cannot be handed to the runtime, or settings are missing or make
/// no sense (kind `InvalidInput`).
pub fn serve(
    sockets: Sockets,
    settings: Settings,
    directory: Arc<dyn Directory>,
    files: BootFiles,
    clock: Arc<dyn Clock>,
) -> std::io::Result<Running> {
    let invalid = |why: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
    let (stop, stopped) = watch::channel(false);
    let (files, offered) = watch::channel(files);
    let sightings = Arc::new(Sightings::new(Arc::clone(&directory)));
    let mut tasks = JoinSet::new();

    if let Some(socket) = sockets.dhcp {
        let wanted = settings.dhcp.ok_or_else(|| invalid("DHCP needs its settings".into()))?;
        let engine = dhcp::Engine::new(wanted).map_err(|error| invalid(error.to_string()))?;
        let socket = datagrams(socket)?;
        tasks.spawn(dhcp::socket::run(
            socket,
            engine,
            directory,
            Arc::clone(&clock),
            stopped.clone(),
        ));
    }
    if let Some(socket) = sockets.tftp {
        let socket = datagrams(socket)?;
        let sightings = Arc::clone(&sightings);
        tasks.spawn(tftp::socket::run(socket, sightings, offered.clone(), clock, stopped.clone()));
    }
    let plain = sockets.http.map(|listener| (listener, None));
    let secured = match sockets.https {
        Some(_) if settings.tls.is_none() => {
            return Err(invalid("HTTPS needs a certificate".into()));
        }
        listener => listener.map(|listener| (listener, settings.tls)),
    };
    for (listener, tls) in [plain, secured].into_iter().flatten() {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let service = http::Service::new(Arc::clone(&sightings), offered.clone());
        tasks.spawn(http::listener::run(listener, tls, service, stopped.clone()));
    }
    Ok(Running { stop, files, tasks })
}

fn datagrams(socket: UdpSocket) -> std::io::Result<tokio::net::UdpSocket> {
    socket.set_nonblocking(true)?;
    tokio::net::UdpSocket::from_std(socket)
}

/// Waits until the servers are to end, also when their [`Running`] was dropped.
pub(crate) async fn ended(stopped: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is an end as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}
