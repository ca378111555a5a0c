//! A connection by its bytes: how they are cut does not matter, and what the client
//! does not read stops only the client.

use std::sync::Arc;

use bedplate_disk::nbd::connection::MEMORY;
use bedplate_disk::nbd::wire::{Header, command, error, flag};
use bedplate_disk::nbd::{
    Agreed, Ask, Connection, Export, RestoreError, Saved, StatusExtent, Wanted,
};
use volume::Region;

use crate::server::Disk;

const MIB: usize = 1 << 20;

pub fn agreed(structured: bool, size: usize) -> Agreed {
    let (name, description) = ("disk".to_owned(), String::new());
    let export = Export { name, description, size: size as u64, read_only: false, key: 0 };
    Agreed { export, structured, status: structured, tls: false }
}

fn request(kind: u16, flags: u16, cookie: u64, offset: u64, length: u32) -> Vec<u8> {
    Header { flags, kind, cookie, offset, length }.encode().to_vec()
}

/// A client without a socket.
pub struct Client {
    pub connection: Connection,
    pub disk: Arc<Disk>,
    /// What it was sent.
    pub heard: Vec<u8>,
}

impl Client {
    pub fn new(structured: bool, size: usize) -> Self {
        let memory = Region::leaked(MEMORY);
        let connection = Connection::new(agreed(structured, size), memory, &[]);
        Self { connection, disk: Disk::new(size), heard: Vec::new() }
    }

    /// Gives as many of the bytes as there is space for; says how many.
    pub fn give(&mut self, bytes: &[u8]) -> usize {
        let space = self.connection.space();
        let count = space.len().min(bytes.len());
        space[..count].copy_from_slice(&bytes[..count]);
        self.connection.received(count);
        count
    }

    pub fn ask(&mut self) -> Vec<Wanted> {
        let mut all = Vec::new();
        while let Some(wanted) = self.connection.next() {
            all.push(wanted.expect("the client speaks the protocol"));
        }
        all
    }

    pub fn answer(&mut self, wanted: &Wanted) {
        if wanted.ask == Ask::Status {
            let extents = self.disk.extents(wanted);
            self.connection.status(wanted.ticket, &extents);
        } else {
            let outcome = self.disk.perform(wanted);
            self.connection.replied(wanted.ticket, outcome);
        }
    }

    /// Sends up to so many bytes.
    pub fn hear(&mut self, most: usize) {
        let mut count = 0;
        for slice in self.connection.output().iter() {
            let here = slice.len().min(most - count);
            self.heard.extend(&slice[..here]);
            count += here;
        }
        self.connection.sent(count);
    }

    /// All of it: bytes in, requests carried out, replies heard, in steps of a size.
    pub fn talk(&mut self, mut bytes: &[u8], step: usize) {
        loop {
            let given = self.give(&bytes[..step.min(bytes.len())]);
            bytes = &bytes[given..];
            let wanted = self.ask();
            for wanted in wanted.iter().rev() {
                self.answer(wanted);
            }
            while self.connection.has_output() {
                self.hear(step);
            }
            if bytes.is_empty() && self.ask_is_over() {
                return;
            }
        }
    }

    fn ask_is_over(&mut self) -> bool {
        let more = self.ask();
        for wanted in &more {
            self.answer(wanted);
        }
        more.is_empty() && !self.connection.has_output()
    }
}

/// A reply as a client sees it.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    Simple { cookie: u64, error: u32, data: Vec<u8> },
    Chunk { cookie: u64, kind: u16, done: bool, data: Vec<u8> },
}

/// Takes replies apart. Simple replies to reads of this cookie carry so many bytes.
pub fn replies(mut bytes: &[u8], read: (u64, usize)) -> Vec<Reply> {
    let mut all = Vec::new();
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    while !bytes.is_empty() {
        if bytes[..4] == 0x6744_6698_u32.to_be_bytes() {
            let (error, cookie) = (number(&bytes[4..8]) as u32, number(&bytes[8..16]));
            let length = if cookie == read.0 && error == 0 { read.1 } else { 0 };
            all.push(Reply::Simple { cookie, error, data: bytes[16..16 + length].to_vec() });
            bytes = &bytes[16 + length..];
        } else {
            assert_eq!(bytes[..4], 0x668e_33ef_u32.to_be_bytes());
            let (flags, kind) = (number(&bytes[4..6]), number(&bytes[6..8]) as u16);
            let (cookie, length) = (number(&bytes[8..16]), number(&bytes[16..20]) as usize);
            let data = bytes[20..20 + length].to_vec();
            all.push(Reply::Chunk { cookie, kind, done: flags == 1, data });
            bytes = &bytes[20 + length..];
        }
    }
    all
}

fn simple(cookie: u64, error: u32) -> Reply {
    Reply::Simple { cookie, error, data: Vec::new() }
}

fn pattern(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at / 3) as u8 ^ (at >> 9) as u8 ^ seed).collect()
}

#[test]
fn how_bytes_are_cut_does_not_matter() {
    let data = pattern(5 * 512, 1);
    let mut bytes = request(command::WRITE, flag::FUA, 1, 512, 5 * 512);
    bytes.extend(&data);
    bytes.extend(request(command::READ, 0, 2, 512, 5 * 512));
    bytes.extend(request(command::FLUSH, 0, 3, 0, 0));
    for step in [1, 2, 7, 27, 28, 29, 511, 4096] {
        let mut client = Client::new(false, MIB);
        client.talk(&bytes, step);
        let mut replies = replies(&client.heard, (2, 5 * 512));
        replies.sort_by_key(|reply| match reply {
            Reply::Simple { cookie, .. } | Reply::Chunk { cookie, .. } => *cookie,
        });
        assert_eq!(replies[0], simple(1, 0));
        assert_eq!(replies[2], simple(3, 0));
        let Reply::Simple { cookie: 2, error: 0, data: read } = &replies[1] else {
            panic!("not a read's reply, in steps of {step}")
        };
        // In larger steps the read may be carried out before the write.
        assert!(step > 29 || *read == data, "what was written is read in steps of {step}");
        let written = client.disk.bytes.lock().expect("lock")[512..512 + data.len()] == data;
        assert!(written, "in steps of {step}");
    }
}

#[test]
fn long_transfers_go_around_the_ring() {
    let mut client = Client::new(true, 64 * MIB);
    let mut bytes = Vec::new();
    let mut all = vec![0; 64 * MIB];
    let (mut at, mut cookie) = (0, 0);
    for length in [512, 3 * MIB, 4096, 32 * MIB, 70_144, 512, 9 * MIB, 255 * 1024, 4608] {
        let data = pattern(length, cookie as u8);
        bytes.extend(request(command::WRITE, 0, cookie, at as u64, length as u32));
        bytes.extend(&data);
        all[at..at + length].copy_from_slice(&data);
        (at, cookie) = (at + length, cookie + 1);
    }
    client.talk(&bytes, 100_003);
    assert!(*client.disk.bytes.lock().expect("lock") == all, "each byte is where it belongs");
    assert_eq!(replies(&client.heard, (0, 0)).len(), cookie as usize);

    client.heard.clear();
    client.talk(&request(command::READ, 0, 77, 512, (32 * MIB) as u32), 1 << 20);
    let mut back = vec![0; 32 * MIB];
    let (mut total, mut last) = (0, 0);
    for reply in replies(&client.heard, (0, 0)) {
        let Reply::Chunk { cookie: 77, kind: 1, done, data } = reply else { panic!("{reply:?}") };
        let at = u64::from_be_bytes(data[..8].try_into().expect("8 bytes")) as usize - 512;
        back[at..at + data.len() - 8].copy_from_slice(&data[8..]);
        total += data.len() - 8;
        last += u32::from(done);
    }
    assert_eq!((total, last), (32 * MIB, 1), "all of it once, and one last chunk");
    assert!(back == all[512..512 + 32 * MIB], "each byte is what was written");
}

#[test]
fn who_does_not_read_stops_only_itself() {
    let mut client = Client::new(true, 16 * MIB);
    let ask = request(command::READ, 0, 5, 0, 512);
    let many = ask.repeat(1000);
    let mut given = 0;
    for _ in 0..200 {
        given += client.give(&many[given % ask.len()..]);
        for wanted in client.ask() {
            client.answer(&wanted);
        }
    }
    assert!(given < 3 * MIB, "{given} bytes were taken, of {}", 200 * many.len());
    // The last may be cut.
    let missing = (ask.len() - given % ask.len()) % ask.len();
    while client.connection.has_output() {
        client.hear(99_999);
        for wanted in client.ask() {
            client.answer(&wanted);
        }
    }
    client.talk(&ask[ask.len() - missing..], 28);
    let replies = replies(&client.heard, (0, 0));
    assert_eq!(replies.len(), (given + missing) / ask.len(), "each was answered in the end");
}

#[test]
fn short_replies_have_room_for_all_in_flight() {
    let mut client = Client::new(true, 16 * MIB);
    let mut bytes = Vec::new();
    for cookie in 0..300 {
        bytes.extend(request(command::BLOCK_STATUS, 0, cookie, 0, (16 * MIB) as u32));
        bytes.extend(request(command::FLUSH, 0, cookie, 0, 0));
    }
    // Alternating, so that the longest answer is given.
    for chunk in (0..256).step_by(2) {
        client.disk.bytes.lock().expect("lock")[chunk * 65536] = 1;
    }
    client.talk(&bytes, 8192);
    let replies = replies(&client.heard, (0, 0));
    assert_eq!(replies.len(), 600);
    let longest = replies.iter().filter_map(|reply| match reply {
        Reply::Chunk { data, .. } => Some(data.len()),
        Reply::Simple { .. } => None,
    });
    assert_eq!(longest.max(), Some(4 + 8 * 128));
}

#[test]
fn what_may_not_be_asked_is_answered_with_an_error() {
    let wrong = [
        (request(command::READ, 0, 1, MIB as u64, 512), error::INVALID),
        (request(command::READ, 0, 1, u64::MAX - 511, 512), error::INVALID),
        (request(command::READ, 0, 1, 0, 33 << 20), error::INVALID),
        (request(command::READ, flag::REQ_ONE, 1, 0, 512), error::INVALID),
        (request(command::READ, flag::DF, 1, 0, 512), error::INVALID),
        (request(command::READ, 0, 1, 1, 512), error::INVALID),
        (request(command::TRIM, 0, 1, 0, 100), error::INVALID),
        (request(command::TRIM, 0, 1, 0, u32::MAX - 511), error::INVALID),
        (request(command::WRITE_ZEROES, 1 << 4, 1, 0, 512), error::INVALID),
        (request(command::WRITE_ZEROES, 0, 1, MIB as u64, 512), error::NO_SPACE),
        (request(command::BLOCK_STATUS, 0, 1, 0, 512), error::INVALID),
        (request(command::READ, 0, 1, 0, 0), 0),
        (request(99, 0, 1, 0, 512), error::INVALID),
    ];
    for (bytes, error) in wrong {
        let mut client = Client::new(false, MIB);
        client.talk(&bytes, 28);
        assert_eq!(replies(&client.heard, (0, 0)), [simple(1, error)], "{bytes:?}");
    }
    // The data of a write that is refused is passed over.
    let mut bytes = request(command::WRITE, 0, 1, MIB as u64, 40 << 20);
    bytes.extend(vec![0x25; 40 << 20]);
    bytes.extend(request(command::FLUSH, 0, 2, 0, 0));
    let mut client = Client::new(true, MIB);
    client.talk(&bytes, 1 << 20);
    assert_eq!(replies(&client.heard, (0, 0)), [simple(1, error::NO_SPACE), simple(2, 0)]);
}

#[test]
fn a_read_in_one_piece_is_one_piece_or_an_error() {
    let mut client = Client::new(true, 16 * MIB);
    client.talk(&request(command::READ, flag::DF, 1, 0, MIB as u32), 4096);
    let heard = replies(&client.heard, (0, 0));
    assert!(
        matches!(&heard[..], [Reply::Chunk { kind: 1, done: true, data, .. }] if data.len() == MIB + 8)
    );
    client.heard.clear();
    client.talk(&request(command::READ, flag::DF, 1, 0, 8 << 20), 4096);
    let heard = replies(&client.heard, (0, 0));
    assert!(matches!(&heard[..], [Reply::Chunk { kind: 0x8001, done: true, .. }]), "{heard:?}");
}

#[test]
fn a_block_status_of_one_extent_is_one_and_not_longer() {
    let mut client = Client::new(true, MIB);
    client.give(&request(command::BLOCK_STATUS, flag::REQ_ONE, 1, 0, 4096));
    let wanted = client.ask().remove(0);
    assert_eq!((wanted.ask, wanted.extents), (Ask::Status, 1));
    let extent = StatusExtent { length: MIB as u64, hole: true, zero: true };
    client.connection.status(wanted.ticket, &[extent, extent]);
    client.hear(usize::MAX);
    let heard = replies(&client.heard, (0, 0));
    let Reply::Chunk { kind: 5, done: true, data, .. } = &heard[0] else { panic!("{heard:?}") };
    assert_eq!(data[..], [0, 0, 0, 1, 0, 0, 0x10, 0, 0, 0, 0, 3]);
}

#[test]
fn a_successor_goes_on_in_the_middle() {
    let data = pattern(3 * MIB, 9);
    let mut bytes = request(command::READ, 0, 1, 0, MIB as u32);
    bytes.extend(request(command::WRITE, 0, 2, 4 << 20, 3 << 20));
    bytes.extend(&data);
    bytes.extend(request(command::READ, 0, 3, 0, 4096));
    let mut client = Client::new(true, 16 * MIB);
    client.disk.bytes.lock().expect("lock")[..MIB].copy_from_slice(&pattern(MIB, 3));
    let (mut at, mut asked, mut moves) = (0, Vec::new(), 0);
    while at < bytes.len() || !asked.is_empty() || client.connection.has_output() {
        at += client.give(&bytes[at..bytes.len().min(at + 200_000)]);
        let before: Vec<Wanted> = client.ask();
        asked.extend(before.iter().map(|wanted| wanted.ticket));
        // What is in flight is asked again, at where the memory is now.
        let (saved, memory) = client.connection.save();
        let text = serde_json::to_string(&saved).expect("saved");
        let saved: Saved = serde_json::from_str(&text).expect("the same again");
        client.connection = Connection::restore(saved, memory).expect("restored");
        moves += 1;
        let again: Vec<Wanted> = client.connection.in_flight().collect();
        assert_eq!(again.len(), asked.len());
        for wanted in again.iter().step_by(2).copied().collect::<Vec<_>>() {
            client.answer(&wanted);
            asked.retain(|ticket| *ticket != wanted.ticket);
        }
        client.hear(70_000);
    }
    assert!(moves > 10);
    assert!(client.connection.is_idle());
    let bytes = client.disk.bytes.lock().expect("lock");
    assert!(bytes[4 * MIB..7 * MIB] == data, "the write is there");
    let heard = replies(&client.heard, (0, 0));
    let read: usize = heard
        .iter()
        .map(|reply| match reply {
            Reply::Chunk { cookie: 1, kind: 1, data, .. } => {
                let at = u64::from_be_bytes(data[..8].try_into().expect("8 bytes")) as usize;
                assert!(data[8..] == bytes[at..at + data.len() - 8], "the read is right");
                data.len() - 8
            }
            _ => 0,
        })
        .sum();
    assert_eq!(read, MIB);
}

#[test]
fn what_cannot_be_taken_over_is_refused() {
    let mut over_tls = agreed(true, MIB);
    over_tls.tls = true;
    let (saved, memory) = Connection::new(over_tls, Region::leaked(MEMORY), &[]).save();
    assert_eq!(Connection::restore(saved, memory).err(), Some(RestoreError::Tls));
    let (saved, _) = Client::new(true, MIB).connection.save();
    let other = Connection::restore(saved, Region::leaked(2 * MEMORY)).err();
    assert_eq!(other, Some(RestoreError::Memory { saved: MEMORY, given: 2 * MEMORY }));
}

#[test]
fn it_retires_at_a_request_s_boundary() {
    let mut client = Client::new(true, MIB);
    let mut bytes = request(command::WRITE, 0, 1, 0, 600 << 10);
    bytes.extend(vec![7; 600 << 10]);
    bytes.extend(request(command::FLUSH, 0, 2, 0, 0));
    let mut given = client.give(&bytes[..200_000]);
    given += client.give(&bytes[given..300_000]);
    let wanted = client.ask().remove(0);
    client.connection.retire();
    client.answer(&wanted);
    assert!(!client.connection.finished(), "the write has begun");
    while given < bytes.len() {
        given += client.give(&bytes[given..]);
        for wanted in client.ask() {
            client.answer(&wanted);
        }
    }
    assert!(!client.connection.finished(), "the reply is not sent");
    client.hear(usize::MAX);
    assert!(client.connection.finished());
    assert_eq!(replies(&client.heard, (0, 0)), [simple(1, 0)], "the flush is not taken");
}

#[test]
fn goodbye_waits_for_what_is_in_flight() {
    let mut client = Client::new(true, MIB);
    client.give(&request(command::READ, 0, 1, 0, 4096));
    client.give(&request(command::DISCONNECT, 0, 0, 0, 0));
    let wanted = client.ask().remove(0);
    assert!(!client.connection.finished() && client.connection.space().is_empty());
    client.connection = *client.connection.close().expect_err("a read is in flight");
    client.answer(&wanted);
    assert!(!client.connection.finished());
    client.hear(usize::MAX);
    assert!(client.connection.finished() && client.connection.close().is_ok());
}
