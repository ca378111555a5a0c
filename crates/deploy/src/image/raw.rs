//! Raw images: the bytes of the disk, in order. Runs of zeros are not written
//! but cleared.

use std::io::Read;

use model::agent::AgentFailure;

use super::aligned::is_zero;
use super::target::Sink;
use super::unpacking_fault;
use crate::work::Work;

/// Zeros are looked for in pieces of this size.
const PIECE: usize = 64 << 10;
/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// Copies the image; returns its size on disk.
pub fn copy(source: &mut dyn Read, sink: &mut dyn Sink, work: &Work) -> Result<u64, AgentFailure> {
    let mut chunk = vec![0; CHUNK];
    let mut at = 0u64;
    let mut zeros = 0u64;
    loop {
        work.wanted()?;
        let length = fill(source, &mut chunk)?;
        for piece in chunk[..length].chunks(PIECE) {
            if is_zero(piece) {
                zeros += piece.len() as u64;
            } else {
                if zeros > 0 {
                    sink.clear(at - zeros, zeros)?;
                    zeros = 0;
                }
                sink.put(at, piece)?;
            }
            at += piece.len() as u64;
        }
        if length < chunk.len() {
            sink.clear(at - zeros, zeros)?;
            return Ok(at);
        }
    }
}

/// Reads until the buffer is full or the source ends.
pub fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, AgentFailure> {
    let mut length = 0;
    while length < buffer.len() {
        match source.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unpacking_fault(&error)),
        }
    }
    Ok(length)
}
