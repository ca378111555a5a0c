//! Writing an image to a disk while it downloads: one pass, no temporary copy.
//!
//! ```text
//! source (network, resumes) -> hash -> unpack -> raw | qcow2 -> target (disk)
//! ```
//! The network side runs on the runtime, everything from the hash on runs on one
//! thread of its own; a short channel between them keeps both busy. In the end:
//! checksum, read back, partition table, and only then the first sector.

pub mod aligned;
pub mod choose;
pub mod fat;
pub mod gpt;
pub mod mbr;
pub mod qcow2;
pub mod raw;
pub mod sample;
pub mod source;
pub mod table;
pub mod target;
pub mod unpack;

use std::io::{self, Read};
use std::path::PathBuf;

use bytes::{Buf as _, Bytes};
use model::agent::{AgentFact, AgentFailure, WriteImage};
use model::image::{Checksum, Compression, ImageFormat};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::work::Work;
use crate::{disks, failure, settings::Roots};
use source::{Access, FetchEnd, Source};
use target::Target;

/// How often a file that changes under our hands is begun anew.
const CHANGES_MOST: u32 = 3;
/// Pieces of the file between network and disk.
const QUEUE: usize = 64;

/// Carries out [`WriteImage`].
pub async fn write(
    roots: &Roots,
    control: &str,
    access: Access,
    order: WriteImage,
    work: Work,
) -> Result<AgentFact, AgentFailure> {
    let disk = choose::choose(disks::list(roots), &order)?;
    crate::say!("writing the image to {} ({})", disk.disk.name, disk.disk.size);
    for _ in 0..CHANGES_MOST {
        let source = Source::new(&order.url, control, access.clone())?;
        match attempt(source, disk.node.clone(), order.clone(), work.clone()).await {
            Ok((written, checksum)) => {
                let disk = disk.disk.name;
                return Ok(AgentFact::ImageWritten { disk, written, checksum });
            }
            Err(FetchEnd::Failed(failure)) => return Err(failure),
            Err(FetchEnd::Changed) => {
                crate::say!("the image changed on its server; from the start")
            }
        }
    }
    Err(failure::network("the image keeps changing on its server"))
}

async fn attempt(
    source: Source,
    node: PathBuf,
    order: WriteImage,
    work: Work,
) -> Result<(model::Bytes, Checksum), FetchEnd> {
    let (to, from) = mpsc::channel(QUEUE);
    let puller = Puller { source: source.clone(), handle: Handle::current() };
    let watched = work.clone();
    let writing =
        tokio::task::spawn_blocking(move || carry_out(&puller, from, &node, &order, &work));
    let fetched = source.pump(&to, &watched).await;
    // The writer sees the end of the file.
    drop(to);
    let written = writing
        .await
        .unwrap_or_else(|panic| Err(failure::hardware(format!("the writer died: {panic}")).into()));
    // When the download failed, the writer only saw the file end early.
    fetched.and(written)
}

impl From<AgentFailure> for FetchEnd {
    fn from(failure: AgentFailure) -> Self {
        FetchEnd::Failed(failure)
    }
}

/// Lets the writer's thread ask for parts of the file.
struct Puller {
    source: Source,
    handle: Handle,
}

fn carry_out(
    puller: &Puller,
    from: mpsc::Receiver<Bytes>,
    node: &std::path::Path,
    order: &WriteImage,
    work: &Work,
) -> Result<(model::Bytes, Checksum), FetchEnd> {
    let mut target = Target::open(node)?;
    target.make_unbootable()?;
    let mut file = Incoming {
        from,
        piece: Bytes::new(),
        hash: Sha256::new(),
        passed: 0,
        source: puller.source.clone(),
        work: work.clone(),
    };
    let decoded = decode(puller, &mut file, &mut target, order, work)?;
    let digest = file.rest()?;
    if digest.hex() != order.checksum.hex() {
        target.make_unbootable()?;
        let text = format!("the image has {digest}, it should have {}", order.checksum);
        return Err(failure::checksum(text).into());
    }
    if decoded != order.size.0 {
        crate::say!("the image has {decoded} bytes on disk, {} were announced", order.size.0);
    }
    let written = target.written();
    work.at("growing the partition and writing the seed", 0, 0);
    table::adapt(&mut target, order)?;
    target.settle()?;
    work.at("reading back", 0, 0);
    target.check_samples()?;
    work.wanted()?;
    target.commit()?;
    Ok((model::Bytes(written), digest))
}

/// Decodes the file onto the disk; returns the image's size there.
fn decode(
    puller: &Puller,
    file: &mut Incoming,
    target: &mut Target,
    order: &WriteImage,
    work: &Work,
) -> Result<u64, FetchEnd> {
    if order.format == ImageFormat::Raw {
        let mut plain = unpack::unpack(order.compression, file).map_err(|e| unpacking_fault(&e))?;
        return Ok(raw::copy(&mut *plain, target, work)?);
    }
    let mut stream = match order.compression {
        Compression::None => prepared(puller)?,
        _ => qcow2::Stream::learning(),
    };
    let mut plain = unpack::unpack(order.compression, file).map_err(|e| unpacking_fault(&e))?;
    let mut chunk = vec![0; 1 << 20];
    loop {
        work.wanted()?;
        let length = raw::fill(&mut *plain, &mut chunk)?;
        stream.feed(&chunk[..length], target)?;
        if length < chunk.len() {
            return Ok(stream.finish(target)?);
        }
    }
}

/// A qcow2 file whose tables are fetched first, where the server does ranges.
fn prepared(puller: &Puller) -> Result<qcow2::Stream, FetchEnd> {
    let mut ended = None;
    let fetch = |from, length| match puller.handle.block_on(puller.source.range(from, length)) {
        Ok(Some(part)) => Ok(part),
        Ok(None) => Err(failure::refused("no ranges")),
        Err(end) => {
            ended = Some(end);
            Err(failure::network("no tables"))
        }
    };
    match (qcow2::Stream::prepared(fetch), ended) {
        (Ok(stream), _) => Ok(stream),
        (Err(_), Some(end)) => Err(end),
        // Without ranges (or when the tables make no sense) the stream itself will tell.
        (Err(_), None) => Ok(qcow2::Stream::learning()),
    }
}

/// The file as the writer reads it: hashed, counted, and shown as progress.
struct Incoming {
    from: mpsc::Receiver<Bytes>,
    piece: Bytes,
    hash: Sha256,
    passed: u64,
    source: Source,
    work: Work,
}

impl Incoming {
    /// Takes what the decoder left (padding, a trailer) and returns the checksum of all.
    fn rest(mut self) -> Result<Checksum, AgentFailure> {
        io::copy(&mut self, &mut io::sink()).map_err(|error| unpacking_fault(&error))?;
        Ok(Checksum::from_digest(self.hash.finalize().into()))
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            match self.from.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
            self.hash.update(&self.piece);
            self.passed += self.piece.len() as u64;
            self.work.at("writing image", self.passed, self.source.length().unwrap_or(0));
        }
        let length = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// The packed file cannot be unpacked: it is not what the checksum promised.
fn unpacking_fault(error: &io::Error) -> AgentFailure {
    failure::checksum(format!("the image cannot be unpacked: {error}"))
}
