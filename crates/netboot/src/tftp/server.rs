//! All TFTP sessions of one socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use model::Timestamp;

use super::packet::{self, ErrorCode, Packet};
use super::session::{Session, Step};
use crate::directory::is_token;
use crate::sightings::Sightings;

/// Sessions at once.
const SESSIONS_MAX: usize = 64;

/// A datagram to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// To whom.
    pub to: SocketAddr,
    /// What.
    pub bytes: Vec<u8>,
}

/// A TFTP server without its socket.
#[derive(Debug, Default)]
pub struct Server {
    sessions: BTreeMap<SocketAddr, Session>,
}

impl Server {
    /// Takes one datagram. `image` is what is served at this moment.
    pub(crate) fn handle(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        bytes: &[u8],
        sightings: &Sightings,
        image: Option<&Bytes>,
    ) -> Vec<Outgoing> {
        let packets = match Packet::read(bytes) {
            Some(Packet::Read { file, options }) => {
                self.begin(now, from, &file, &options, sightings, image)
            }
            Some(Packet::Ack(block)) => self.acknowledged(now, from, block, sightings),
            Some(Packet::Error) => {
                self.sessions.remove(&from);
                Vec::new()
            }
            Some(Packet::Other) => {
                self.sessions.remove(&from);
                vec![packet::error(ErrorCode::Forbidden, "only the boot image can be read")]
            }
            None => Vec::new(),
        };
        packets.into_iter().map(|bytes| Outgoing { to: from, bytes }).collect()
    }

    fn begin(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        file: &str,
        options: &[(String, String)],
        sightings: &Sightings,
        image: Option<&Bytes>,
    ) -> Vec<Vec<u8>> {
        let token = token_of(file).filter(|token| sightings.directory().by_token(token).is_some());
        let (Some(token), Some(image)) = (token, image) else {
            return vec![packet::error(ErrorCode::NotFound, "no such file")];
        };
        // A request that comes again begins anew: its first answer was lost.
        if self.sessions.len() >= SESSIONS_MAX && !self.sessions.contains_key(&from) {
            return vec![packet::error(ErrorCode::Full, "too many transfers, come again")];
        }
        sightings.fetching(token);
        let (session, first) = Session::begin(token.to_owned(), image.clone(), options, now);
        self.sessions.insert(from, session);
        first
    }

    fn acknowledged(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        block: u16,
        sightings: &Sightings,
    ) -> Vec<Vec<u8>> {
        let Some(session) = self.sessions.get_mut(&from) else { return Vec::new() };
        match session.acknowledged(block, now) {
            Step::Send(packets) => packets,
            Step::Wait => Vec::new(),
            Step::Lost => {
                self.sessions.remove(&from);
                Vec::new()
            }
            Step::Done => {
                sightings.fetched(&session.token);
                self.sessions.remove(&from);
                Vec::new()
            }
        }
    }

    /// Lets time pass: sends again what was not acknowledged, forgets who is gone.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Outgoing> {
        let mut outgoing = Vec::new();
        self.sessions.retain(|to, session| match session.tick(now) {
            Step::Send(packets) => {
                let datagrams = packets.into_iter().map(|bytes| Outgoing { to: *to, bytes });
                outgoing.extend(datagrams);
                true
            }
            Step::Wait => true,
            Step::Done | Step::Lost => false,
        });
        outgoing
    }

    /// Transfers under way.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }
}

/// The token in `[/]boot/TOKEN/bedplate.efi`.
fn token_of(file: &str) -> Option<&str> {
    let path = file.trim_start_matches('/').strip_prefix("boot/")?;
    path.strip_suffix("/bedplate.efi").filter(|token| is_token(token))
}
