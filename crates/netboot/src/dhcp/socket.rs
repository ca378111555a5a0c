//! The loop between the DHCP engine and its socket.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use world::Clock;

use super::Engine;
use crate::Directory;
use crate::serve::ended;

/// Longest datagram that is read; longer ones are cut and then refused as torn.
const DATAGRAM_BYTES_MAX: usize = 2_048;

/// Pause after an error of the socket.
const AFTER_ERROR: std::time::Duration = std::time::Duration::from_millis(20);

/// Answers until told to stop.
pub(crate) async fn run(
    socket: UdpSocket,
    mut engine: Engine,
    directory: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    loop {
        let received = tokio::select! {
            () = ended(&mut stopped) => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let Ok((length, from)) = received else {
            // It belongs to an earlier reply (nobody listens there) or the device is
            // down: go on, but not in a whirl.
            tokio::time::sleep(AFTER_ERROR).await;
            continue;
        };
        let Some(reply) = engine.handle(clock.now(), &buffer[..length], &*directory) else {
            continue;
        };
        if let Err(error) = socket.send_to(&reply.bytes, SocketAddr::V4(reply.to)).await {
            tracing::warn!(%from, to = %reply.to, %error, "a DHCP reply could not be sent");
        }
    }
}
