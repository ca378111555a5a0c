//! What a core has for serving its connections, one at a time: buffers, kept replies,
//! counters, and who does what it does not do itself.

use std::sync::Arc;

use world::clock::Clock;

use super::cache::Cache;
use super::drive::{Input, TOGETHER};
use super::mailbox::Mailbox;
use super::places::Places;
use super::slots::Token;
use crate::access_log::Lines;
use crate::http::{HttpDate, Limits};
use crate::metrics::Counters;
use crate::orders::Orders;
use crate::step::Service;

/// How long things may take, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From a head's first byte to its last, and for a TLS handshake.
    pub head: u64,
    /// For some progress of content, in either direction.
    pub progress: u64,
    /// Between requests.
    pub idle: u64,
    /// For the client to see the end of a connection.
    pub linger: u64,
}

const SECOND: u64 = 1_000_000_000;

impl Default for Timeouts {
    fn default() -> Self {
        Self { head: 15 * SECOND, progress: 30 * SECOND, idle: 120 * SECOND, linger: 2 * SECOND }
    }
}

/// What a reactor is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of heads.
    pub limits: Limits,
    /// Of everything.
    pub timeouts: Timeouts,
    /// The most connections of this reactor.
    pub connections: usize,
    /// Bytes of kept replies of this reactor, and of places of more of them.
    pub cache: usize,
    /// For listeners with TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The core that it stays on.
    pub core: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            connections: 8192,
            cache: 8 << 20,
            tls: None,
            core: None,
        }
    }
}

/// Received in one go, at most.
pub const RECEIVE: usize = 256 << 10;
/// A block of content on its way to a worker.
pub const BLOCK: usize = 256 << 10;
/// Blocks of one reactor: what is received while none is free is taken at once.
pub const BLOCKS: usize = 16;

/// Connections whose replies are held back, at most: what is asked of the first of them
/// waits until so many were read.
pub const HELD: usize = 32;

/// What a core has.
pub struct Lane {
    pub service: Arc<dyn Service>,
    pub request_id: Option<&'static str>,
    pub orders: Orders,
    pub mailbox: Arc<Mailbox>,
    pub settings: Settings,
    pub clock: Arc<dyn Clock>,
    pub cache: Cache,
    /// Where more lies than is kept.
    pub places: Places,
    pub counters: Arc<Counters>,
    pub lines: Lines,
    pub date: HttpDate,
    /// Monotonic nanoseconds, as of this turn.
    pub now: u64,
    /// No more connections, and those that are end or go to a successor.
    pub draining: bool,
    /// A successor waits for them.
    pub hands_over: bool,
    /// Received bytes of the connection that is served.
    pub input: Input,
    /// For replies of connections that have no buffer of their own.
    pub outputs: Vec<Vec<u8>>,
    /// For ciphertext, and for pieces of files that cannot go straight.
    pub block: Vec<u8>,
    /// Empty blocks for content.
    pub blocks: Vec<Vec<u8>>,
    pub blocks_out: usize,
    /// Counts requests, for their ids.
    pub serial: u64,
    /// Which connection is served.
    pub token: Token,
}

impl Lane {
    /// A block for content, when there is one.
    pub fn take_block(&mut self) -> Option<Vec<u8>> {
        if let Some(block) = self.blocks.pop() {
            self.blocks_out += 1;
            return Some(block);
        }
        (self.blocks_out < BLOCKS).then(|| {
            self.blocks_out += 1;
            Vec::with_capacity(BLOCK)
        })
    }

    /// It is empty again. Two are kept for the next ones.
    pub fn return_block(&mut self, mut block: Vec<u8>) {
        self.blocks_out = self.blocks_out.saturating_sub(1);
        block.clear();
        if self.blocks.len() < 2 && block.capacity() >= BLOCK {
            self.blocks.push(block);
        }
    }

    /// An empty buffer for replies.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.outputs.pop().unwrap_or_default()
    }

    /// Everything in it is sent. Small ones are kept for the next replies, and a large one.
    pub fn return_output(&mut self, mut output: Vec<u8>) {
        let most = if self.outputs.is_empty() { 4 * TOGETHER } else { TOGETHER / 4 };
        output.clear();
        if self.outputs.len() < HELD && output.capacity() <= most {
            self.outputs.push(output);
        }
    }

    /// A request's own number, mixed so that it looks like one.
    pub fn next_id(&mut self) -> u64 {
        self.serial = self.serial.wrapping_add(1);
        let mut mixed = self.serial.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 31)
    }
}
