//! The handshake: bytes in, bytes out, and at the end what was agreed on.
//!
//! One option is handled at a time, and only when the answer to the one before has been
//! sent: so a client that sends and does not read costs no memory.

mod option;

use std::sync::Arc;

use super::export::{Agreed, Export, Exports};
use super::wire;

/// Longest data of an option, in bytes. Names are at most 4096 bytes.
const LONGEST: usize = 64 << 10;
/// A client that has not made up its mind after so many options is hung up on.
const MOST_OPTIONS: u32 = 256;

/// Whether clients may or must encrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// There is no certificate.
    Off,
    /// Who asks for it gets it.
    Offered,
    /// Nothing is told or served without it.
    Required,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed, or are to be sent.
    Going,
    /// When all is sent, TLS begins. Then say so: [`Negotiation::tls_started`].
    StartTls,
    /// When all is sent, requests follow.
    Agreed(Agreed),
    /// When all is sent, hang up. Says why, for a log.
    Ended(&'static str),
}

/// What comes next from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Flags,
    Options,
}

/// A client that has not chosen an export.
pub struct Negotiation {
    exports: Arc<dyn Exports>,
    mode: TlsMode,
    stage: Stage,
    tls: bool,
    no_zeroes: bool,
    structured: bool,
    /// The export that block status was asked for.
    status_of: Option<String>,
    options: u32,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
    progress: Progress,
}

impl Negotiation {
    /// Begins; the server speaks first.
    pub fn new(exports: Arc<dyn Exports>, mode: TlsMode) -> Self {
        let mut output = wire::GREETING.to_be_bytes().to_vec();
        output.extend(wire::OPTION.to_be_bytes());
        output.extend((wire::HANDSHAKE_FIXED | wire::HANDSHAKE_NO_ZEROES).to_be_bytes());
        Self {
            exports,
            mode,
            stage: Stage::Flags,
            tls: false,
            no_zeroes: false,
            structured: false,
            status_of: None,
            options: 0,
            input: Vec::new(),
            output,
            sent: 0,
            progress: Progress::Going,
        }
    }

    /// How far it is. Send [`Negotiation::output`] first.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Bytes of the client. Best given when nothing is to be sent.
    pub fn received(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.advance();
    }

    /// Bytes to be sent.
    pub fn output(&self) -> &[u8] {
        &self.output[self.sent..]
    }

    /// So many of them were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        assert!(self.sent <= self.output.len(), "no more was sent than there was");
        if self.sent == self.output.len() {
            self.output.clear();
            self.sent = 0;
            self.advance();
        }
    }

    /// TLS has begun: what was agreed on in the clear does not count.
    pub fn tls_started(&mut self) {
        assert!(self.progress == Progress::StartTls, "TLS begins when it was agreed on");
        self.tls = true;
        self.structured = false;
        self.status_of = None;
        self.progress = Progress::Going;
    }

    /// What the client sent after the last option: the first of its requests.
    pub fn into_rest(self) -> Vec<u8> {
        self.input
    }

    /// Handles what is there until something is to be sent.
    fn advance(&mut self) {
        while self.progress == Progress::Going && self.output.is_empty() {
            let handled = match self.stage {
                Stage::Flags => self.flags(),
                Stage::Options => self.option(),
            };
            if !handled {
                return;
            }
        }
    }

    fn flags(&mut self) -> bool {
        let Some(flags) = self.input.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
        else {
            return false;
        };
        self.input.drain(..4);
        let known = u32::from(wire::HANDSHAKE_FIXED | wire::HANDSHAKE_NO_ZEROES);
        if flags & !known != 0 {
            return self.end("the client sent handshake flags that are not known");
        }
        self.no_zeroes = flags & u32::from(wire::HANDSHAKE_NO_ZEROES) != 0;
        self.stage = Stage::Options;
        true
    }

    fn option(&mut self) -> bool {
        let Some(head) = self.input.first_chunk::<16>() else { return false };
        let [magic @ .., o0, o1, o2, o3, l0, l1, l2, l3] = *head;
        if u64::from_be_bytes(magic) != wire::OPTION {
            return self.end("the client sent something that is not an option");
        }
        let option = u32::from_be_bytes([o0, o1, o2, o3]);
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if length > LONGEST {
            return self.end("the client sent an option that is too long");
        }
        self.options += 1;
        if self.options > MOST_OPTIONS {
            return self.end("the client sent too many options");
        }
        if self.input.len() < 16 + length {
            self.options -= 1;
            return false;
        }
        let data = self.input[16..16 + length].to_vec();
        self.input.drain(..16 + length);
        self.handle(option, &data);
        true
    }

    fn end(&mut self, why: &'static str) -> bool {
        self.progress = Progress::Ended(why);
        true
    }

    fn agree(&mut self, asked: &str, export: Export) {
        let status = self.structured && self.status_of.as_deref() == Some(asked);
        let (structured, tls) = (self.structured, self.tls);
        self.progress = Progress::Agreed(Agreed { export, structured, status, tls });
    }
}
