//! One transfer: blocks in windows, acknowledged, sent again when nothing comes.

use bytes::Bytes;
use model::{Duration, Timestamp};

use super::packet;

/// Block size without the option (RFC 1350).
const BLOCK_BYTES: usize = 512;
/// Largest block that we agree to: one Ethernet frame, as fragments are often lost.
const BLOCK_BYTES_MAX: u64 = 1_428;
/// Largest window that we agree to (RFC 7440): 45 kB on their way at once.
const WINDOW_BLOCKS_MAX: u64 = 32;
/// How long an answer is waited for, if the client does not say.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a window is sent without an answer.
const TRIES_MAX: u32 = 6;

/// What to do after a packet or a pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send these.
    Send(Vec<Vec<u8>>),
    /// Nothing.
    Wait,
    /// All was received.
    Done,
    /// The client is gone.
    Lost,
}

/// A transfer under way.
#[derive(Debug)]
pub(super) struct Session {
    /// Whose address it is.
    pub(super) token: String,
    file: Bytes,
    block_bytes: usize,
    window: u64,
    /// The options, until they are acknowledged.
    agreement: Option<Vec<u8>>,
    /// Blocks that the client has; block numbers begin with 1 and go past 65,535.
    received: u64,
    /// The same window was sent again on the client's word already.
    repeated: bool,
    tries: u32,
    patience: Duration,
    deadline: Timestamp,
}

impl Session {
    /// Agrees on the options and gives the first packets.
    pub(super) fn begin(
        token: String,
        file: Bytes,
        asked: &[(String, String)],
        now: Timestamp,
    ) -> (Self, Vec<Vec<u8>>) {
        let mut session = Self {
            token,
            block_bytes: BLOCK_BYTES,
            window: 1,
            agreement: None,
            received: 0,
            repeated: false,
            tries: 1,
            patience: PATIENCE,
            deadline: now + PATIENCE,
            file,
        };
        let agreed = session.agree(asked);
        if !agreed.is_empty() {
            session.agreement = Some(packet::options(&agreed));
        }
        let first = session.window_packets();
        (session, first)
    }

    fn agree(&mut self, asked: &[(String, String)]) -> Vec<(&'static str, u64)> {
        let mut agreed: Vec<(&'static str, u64)> = Vec::new();
        for (name, value) in asked {
            let Ok(value) = value.parse::<u64>() else { continue };
            let option = match name.as_str() {
                "blksize" if value >= 8 => ("blksize", value.min(BLOCK_BYTES_MAX)),
                "windowsize" if value >= 1 => ("windowsize", value.min(WINDOW_BLOCKS_MAX)),
                "timeout" if (1..=255).contains(&value) => ("timeout", value),
                "tsize" => ("tsize", u64::try_from(self.file.len()).unwrap_or(u64::MAX)),
                _ => continue,
            };
            if agreed.iter().any(|(name, _)| *name == option.0) {
                continue;
            }
            match option {
                ("blksize", bytes) => {
                    self.block_bytes = usize::try_from(bytes).unwrap_or(BLOCK_BYTES);
                }
                ("windowsize", blocks) => self.window = blocks,
                ("timeout", secs) => self.patience = Duration::from_secs(secs),
                _ => {}
            }
            agreed.push(option);
        }
        agreed
    }

    /// Blocks in all: the last one is shorter than a block, possibly empty.
    fn blocks(&self) -> u64 {
        u64::try_from(self.file.len() / self.block_bytes).unwrap_or(u64::MAX) + 1
    }

    /// What is to be on its way now.
    fn window_packets(&self) -> Vec<Vec<u8>> {
        if let Some(agreement) = &self.agreement {
            return vec![agreement.clone()];
        }
        let last = (self.received + self.window).min(self.blocks());
        (self.received + 1..=last).map(|block| self.block(block)).collect()
    }

    fn block(&self, number: u64) -> Vec<u8> {
        let place = usize::try_from(number - 1).unwrap_or(usize::MAX);
        let start = place.saturating_mul(self.block_bytes).min(self.file.len());
        let end = start.saturating_add(self.block_bytes).min(self.file.len());
        // The number on the wire goes round after 65,535.
        let wire = u16::try_from(number % 65_536).unwrap_or(0);
        packet::data(wire, &self.file[start..end])
    }

    /// The client has all up to this block.
    pub(super) fn acknowledged(&mut self, wire: u16, now: Timestamp) -> Step {
        if self.agreement.is_some() {
            if wire != 0 {
                return Step::Wait;
            }
            self.agreement = None;
            return self.send(now);
        }
        let ahead =
            u64::from(wire.wrapping_sub(u16::try_from(self.received % 65_536).unwrap_or(0)));
        let sent = self.window.min(self.blocks() - self.received);
        if ahead > sent {
            return Step::Wait;
        }
        if ahead == 0 {
            // With windows this says that the first block of one was lost. Without
            // them it is a doubled packet: answering would double all that follow.
            if self.window == 1 || self.repeated {
                return Step::Wait;
            }
            self.repeated = true;
            return Step::Send(self.window_packets());
        }
        self.received += ahead;
        if self.received == self.blocks() {
            return Step::Done;
        }
        self.send(now)
    }

    fn send(&mut self, now: Timestamp) -> Step {
        self.repeated = false;
        self.tries = 1;
        self.deadline = now + self.patience;
        Step::Send(self.window_packets())
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Timestamp) -> Step {
        if now < self.deadline {
            return Step::Wait;
        }
        if self.tries == TRIES_MAX {
            return Step::Lost;
        }
        self.tries += 1;
        self.repeated = false;
        self.deadline = now + self.patience;
        Step::Send(self.window_packets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_micros(secs * 1_000_000)
    }

    fn begin(length: usize, options: &[(&str, &str)]) -> (Session, Vec<Vec<u8>>) {
        let options: Vec<(String, String)> =
            options.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Session::begin("token".into(), vec![7; length].into(), &options, at(0))
    }

    /// The numbers of the blocks that are sent.
    fn blocks(step: &Step) -> Vec<u16> {
        let Step::Send(packets) = step else { return Vec::new() };
        packets.iter().map(|packet| u16::from_be_bytes([packet[2], packet[3]])).collect()
    }

    #[test]
    fn options_are_agreed_on_and_said_again() {
        let asked = [("windowsize", "400"), ("tsize", "0"), ("odd", "1"), ("blksize", "9000")];
        let (mut session, first) = begin(5_120, &asked);
        let agreement = b"\0\x06windowsize\x0032\0tsize\x005120\0blksize\x001428\0".to_vec();
        assert_eq!(first, std::slice::from_ref(&agreement));
        assert_eq!(session.tick(at(0)), Step::Wait);
        assert_eq!(session.tick(at(1)), Step::Send(vec![agreement]));
        assert_eq!(session.acknowledged(1, at(2)), Step::Wait, "nothing was sent yet");
        assert_eq!(blocks(&session.acknowledged(0, at(2))), [1, 2, 3, 4]);
        assert_eq!(session.acknowledged(4, at(3)), Step::Done);
    }

    #[test]
    fn lost_blocks_of_a_window_are_sent_again() {
        let (mut session, _) = begin(10 * 512, &[("windowsize", "4")]);
        assert_eq!(blocks(&session.acknowledged(0, at(0))), [1, 2, 3, 4]);
        assert_eq!(blocks(&session.acknowledged(2, at(0))), [3, 4, 5, 6], "two came through");
        assert_eq!(blocks(&session.acknowledged(2, at(0))), [3, 4, 5, 6], "the first was lost");
        assert_eq!(session.acknowledged(2, at(0)), Step::Wait, "said twice, answered once");
        assert_eq!(blocks(&session.tick(at(1))), [3, 4, 5, 6], "nothing arrived");
        assert_eq!(blocks(&session.acknowledged(6, at(1))), [7, 8, 9, 10]);
        assert_eq!(session.acknowledged(11, at(1)), Step::Wait, "never sent");
        let last = session.acknowledged(10, at(1));
        assert_eq!(last, Step::Send(vec![vec![0, 3, 0, 11]]), "the file ends with an empty block");
        assert_eq!(session.acknowledged(11, at(1)), Step::Done);
    }

    #[test]
    fn doubled_acknowledgements_are_not_answered_twice() {
        let (mut session, first) = begin(2_000, &[]);
        assert_eq!(first.len(), 1);
        assert_eq!(blocks(&session.acknowledged(1, at(0))), [2]);
        assert_eq!(session.acknowledged(1, at(0)), Step::Wait);
        assert_eq!(blocks(&session.acknowledged(2, at(0))), [3]);
    }

    #[test]
    fn who_is_silent_is_given_up() {
        let (mut session, _) = begin(2_000, &[]);
        for secs in 1..6 {
            assert_eq!(blocks(&session.tick(at(secs))), [1]);
        }
        assert_eq!(session.tick(at(6)), Step::Lost);
    }
}
