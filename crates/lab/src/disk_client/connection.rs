//! A disk as a guest's driver has it: connected, features settled, rings running.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::memory::{GUEST_START, Memory};
use super::message::{
    Code, FrontEnd, PROTOCOL_CONFIG, PROTOCOL_INFLIGHT, PROTOCOL_MQ, PROTOCOL_REPLY_ACK, pair,
};
use super::queue::{Queue, Shape};

const READ_ONLY: u64 = 1 << 5;
const FLUSH: u64 = 1 << 9;
const SEVERAL_QUEUES: u64 = 1 << 12;
const DISCARD: u64 = 1 << 13;
const WRITE_ZEROES: u64 = 1 << 14;
const RING_INDIRECT: u64 = 1 << 28;
const RING_EVENT_INDEX: u64 = 1 << 29;
const PROTOCOL_FEATURES: u64 = 1 << 30;
const VERSION_1: u64 = 1 << 32;
const RING_PACKED: u64 = 1 << 34;

/// Bytes of the configuration space that are asked for: as far as write-zeroes.
const CONFIG: u32 = 60;

/// How to connect.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The server's socket.
    pub socket: PathBuf,
    /// Queues.
    pub queues: u16,
    /// What each queue is like.
    pub shape: Shape,
}

/// A connected disk. The server stops with it when it is dropped.
#[derive(Debug)]
pub struct Connection {
    front_end: FrontEnd,
    memory: Arc<Memory>,
    /// Its queues, running.
    pub queues: Vec<Queue>,
    /// Sectors of 512 bytes.
    pub sectors: u64,
    /// What server and client agreed on.
    pub features: u64,
    in_flight: Option<OwnedFd>,
}

impl Connection {
    /// Connects, settles features, and starts the queues.
    pub fn open(wish: &Wish) -> io::Result<Self> {
        let mut front_end = FrontEnd::connect(&wish.socket)?;
        let offered = front_end.ask_number(Code::GetFeatures)?;
        let features = agree(offered, wish)?;
        let protocol = front_end.ask_number(Code::GetProtocolFeatures)?
            & (PROTOCOL_MQ | PROTOCOL_REPLY_ACK | PROTOCOL_CONFIG | PROTOCOL_INFLIGHT);
        front_end.tell_number(Code::SetProtocolFeatures, protocol)?;
        front_end.acknowledged = protocol & PROTOCOL_REPLY_ACK != 0;
        front_end.tell(Code::SetOwner, &[], &[])?;
        front_end.tell_number(Code::SetFeatures, features)?;
        if wish.queues > 1 && front_end.ask_number(Code::GetQueueNum)? < u64::from(wish.queues) {
            return Err(refused(&wish.socket, "has fewer queues"));
        }
        let sectors = capacity(&front_end)?;
        let memory = Arc::new(Memory::new(wish.shape.memory(usize::from(wish.queues)))?);
        let mut connection =
            Self { front_end, memory, queues: Vec::new(), sectors, features, in_flight: None };
        connection.share_memory()?;
        if protocol & PROTOCOL_INFLIGHT != 0 {
            connection.in_flight = Some(connection.note_in_flight(wish)?);
        }
        connection.start_queues(wish)?;
        Ok(connection)
    }
    /// Whether the disk takes no writes.
    pub fn read_only(&self) -> bool {
        self.features & READ_ONLY != 0
    }
    /// Whether it can be told to forget ranges.
    pub fn discards(&self) -> bool {
        self.features & DISCARD != 0
    }
    /// Whether it can be told to zero ranges.
    pub fn zeroes(&self) -> bool {
        self.features & WRITE_ZEROES != 0
    }
    /// Whether it has something to flush.
    pub fn flushes(&self) -> bool {
        self.features & FLUSH != 0
    }

    fn share_memory(&self) -> io::Result<()> {
        let mut table = pair(1, 0);
        let length = self.memory.length() as u64;
        for word in [GUEST_START, length, self.memory.user_address(), 0] {
            table.extend_from_slice(&word.to_le_bytes());
        }
        self.front_end.tell(Code::SetMemTable, &table, &[self.memory.file()])
    }

    /// The record by which a server finds again, after a crash, what was under way.
    /// As QEMU does, we keep the descriptor and never look inside.
    fn note_in_flight(&self, wish: &Wish) -> io::Result<OwnedFd> {
        let mut wanted = [0; 24];
        wanted[16..18].copy_from_slice(&wish.queues.to_le_bytes());
        wanted[18..20].copy_from_slice(&wish.shape.size().to_le_bytes());
        let (answer, file) = self.front_end.ask(Code::GetInflightFd, &wanted)?;
        let file =
            file.ok_or_else(|| refused(&wish.socket, "gives no record of what is in flight"))?;
        let noted = answer.get(..24).ok_or(io::ErrorKind::InvalidData)?;
        self.front_end.tell(Code::SetInflightFd, noted, &[file.as_fd()])?;
        Ok(file)
    }

    fn start_queues(&mut self, wish: &Wish) -> io::Result<()> {
        let mut start = 0;
        for index in 0..u32::from(wish.queues) {
            let (queue, end) = Queue::new(self.memory.clone(), wish.shape, start)?;
            start = end;
            let (parts, front_end) = (queue.parts(), &self.front_end);
            front_end.tell_queue(Code::SetVringNum, index, u32::from(parts.size))?;
            // A packed ring begins in its first round, which is told with the place.
            let first = if wish.shape.packed { 1 << 15 | 1 << 31 } else { 0 };
            front_end.tell_queue(Code::SetVringBase, index, first)?;
            let mut addresses = pair(index, 0);
            for place in [parts.descriptors, parts.device, parts.driver] {
                let address = self.memory.user_address() + place as u64;
                addresses.extend_from_slice(&address.to_le_bytes());
            }
            addresses.extend_from_slice(&0_u64.to_le_bytes());
            front_end.tell(Code::SetVringAddr, &addresses, &[])?;
            let number = u64::from(index).to_le_bytes();
            front_end.tell(Code::SetVringCall, &number, &[queue.call()])?;
            front_end.tell(Code::SetVringKick, &number, &[queue.kick()])?;
            front_end.tell_queue(Code::SetVringEnable, index, 1)?;
            self.queues.push(queue);
        }
        Ok(())
    }

    /// Asks the server to stop each queue. It answers when nothing is under way.
    pub fn close(self) -> io::Result<()> {
        for index in 0..self.queues.len() as u32 {
            self.front_end.ask(Code::GetVringBase, &pair(index, 0))?;
        }
        Ok(())
    }
}

/// What both sides can do of what is wished; an error for what the server cannot.
fn agree(offered: u64, wish: &Wish) -> io::Result<u64> {
    let mut wanted = VERSION_1 | PROTOCOL_FEATURES;
    if wish.shape.packed {
        wanted |= RING_PACKED;
    }
    if wish.shape.indirect {
        wanted |= RING_INDIRECT;
    }
    if wish.shape.event_index {
        wanted |= RING_EVENT_INDEX;
    }
    if wish.queues > 1 {
        wanted |= SEVERAL_QUEUES;
    }
    if offered & wanted != wanted {
        let lacks = format!("does not offer {:#x}", wanted & !offered);
        return Err(refused(&wish.socket, &lacks));
    }
    Ok(wanted | offered & (READ_ONLY | FLUSH | DISCARD | WRITE_ZEROES))
}

/// Sectors, which the configuration space begins with.
fn capacity(front_end: &FrontEnd) -> io::Result<u64> {
    let mut wanted = pair(0, CONFIG);
    wanted.extend_from_slice(&vec![0; 4 + CONFIG as usize]);
    let (answer, _) = front_end.ask(Code::GetConfig, &wanted)?;
    let sectors = answer.get(12..20).and_then(|bytes| bytes.first_chunk::<8>());
    let sectors = sectors.ok_or(io::ErrorKind::InvalidData)?;
    Ok(u64::from_le_bytes(*sectors))
}

fn refused(socket: &Path, what: &str) -> io::Error {
    io::Error::other(format!("the server at {} {what}", socket.display()))
}
