//! The loop between the TFTP server and its socket.

use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use world::Clock;

use super::{Outgoing, Server};
use crate::BootFiles;
use crate::serve::ended;
use crate::sightings::Sightings;

/// Longest datagram that is read: requests and acknowledgements are short.
const DATAGRAM_BYTES_MAX: usize = 1_024;
/// How often it is looked for sessions that wait.
const TICK: std::time::Duration = std::time::Duration::from_millis(200);
/// Pause after an error of the socket.
const AFTER_ERROR: std::time::Duration = std::time::Duration::from_millis(20);

/// Answers until told to stop.
pub(crate) async fn run(
    socket: UdpSocket,
    sightings: Arc<Sightings>,
    files: watch::Receiver<BootFiles>,
    clock: Arc<dyn Clock>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut server = Server::default();
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let received = tokio::select! {
            () = ended(&mut stopped) => return,
            _ = ticks.tick() => {
                send(&socket, server.tick(clock.now())).await;
                continue;
            }
            received = socket.recv_from(&mut buffer) => received,
        };
        let Ok((length, from)) = received else {
            tokio::time::sleep(AFTER_ERROR).await;
            continue;
        };
        let image = files.borrow().efi.as_ref().map(|file| file.bytes.clone());
        let bytes = &buffer[..length];
        let outgoing = server.handle(clock.now(), from, bytes, &sightings, image.as_ref());
        send(&socket, outgoing).await;
    }
}

async fn send(socket: &UdpSocket, outgoing: Vec<Outgoing>) {
    for Outgoing { to, bytes } in outgoing {
        if let Err(error) = socket.send_to(&bytes, to).await {
            tracing::debug!(%to, %error, "a TFTP packet could not be sent");
        }
    }
}
