//! How the content of a version leaves: bytes for what is small or lies in the log,
//! pieces of files for the rest, opened on their way when it is sealed.

use std::ops::Range;

use bytes::Bytes;
use object::entry::{Extent, Version};
use object::store::Pin;

use super::ask::{Ask, Gate};
use super::auth::{CustomerKeyOf, customer_key_by};
use super::error::{Code, Outcome};
use crate::sealing::{self, BodyKey, Opener, SealError, unseal};
use crate::step::{Open as _, Piece, Pieces, Plan};

/// Bytes that are read at once while copying.
const CHUNK: usize = 256 * 1024;

/// The key of a version's content, when it is sealed.
///
/// # Errors
/// When a client's key is missing, is of no use, or is another one.
pub fn key(ask: &Ask, version: &Version, of: CustomerKeyOf) -> Outcome<Option<BodyKey>> {
    let client = customer_key_by(|name| ask.headers.get(name), of)?;
    let Some(sealing) = &version.attributes.sealing else {
        return match client {
            None => Ok(None),
            Some(_) => Err(from_sealing(SealError::KeyNotNeeded)),
        };
    };
    let key = unseal(&ask.gate.keys, sealing, client.as_ref()).map_err(from_sealing)?;
    Ok(Some(key))
}

/// What is answered when a key does not fit.
pub fn from_sealing(error: SealError) -> Box<super::error::Failure> {
    match error {
        SealError::KeyNeeded => Code::InvalidRequest.saying(
            "The object was stored using a form of Server Side Encryption. The correct \
             parameters must be provided to retrieve the object.",
        ),
        SealError::KeyNotNeeded => Code::InvalidRequest
            .saying("The encryption parameters are not applicable to this object."),
        SealError::WrongKey => Code::InvalidRequest
            .saying("The provided encryption parameters did not match the ones used originally."),
        SealError::Damaged => Code::InternalError.into(),
    }
}

/// The content's lengths of the stored bodies that a version is made of.
fn bodies(version: &Version) -> Vec<u64> {
    match version.attributes.parts.as_slice() {
        [] => vec![version.entry.size],
        parts => parts.iter().map(|part| part.size).collect(),
    }
}

/// How a range of the content is read from what is stored.
fn stored(
    version: &Version,
    key: Option<BodyKey>,
    range: Range<u64>,
) -> (Vec<Range<u64>>, Option<Opener>) {
    match key {
        None => (vec![range], None),
        Some(key) => {
            let plan = sealing::plan(key, &bodies(version), range);
            (plan.stored, Some(plan.opener))
        }
    }
}

/// A range from what lies in memory already.
///
/// # Errors
/// When it does not open.
pub fn from_memory(
    version: &Version,
    key: Option<BodyKey>,
    range: Range<u64>,
    body: &Bytes,
) -> Outcome<Bytes> {
    let (stored, opener) = stored(version, key, range);
    let Some(mut opener) = opener else {
        let range = stored.into_iter().next().unwrap_or(0..0);
        return Ok(body.slice(range.start as usize..range.end as usize));
    };
    let mut content = Vec::new();
    for range in stored {
        let piece =
            body.get(range.start as usize..range.end as usize).ok_or(Code::InternalError)?;
        opener.open(piece, &mut content).map_err(damaged)?;
    }
    Ok(Bytes::from(content))
}

fn damaged(why: String) -> Box<super::error::Failure> {
    tracing::error!(%why, "a stored body does not open");
    Code::InternalError.into()
}

/// The ranges of extents that stored ranges are.
fn in_extents(extents: &[Extent], ranges: &[Range<u64>]) -> Vec<(usize, Range<u64>)> {
    let mut found = Vec::new();
    for range in ranges {
        let mut begin = 0;
        for (at, extent) in extents.iter().enumerate() {
            let end = begin + extent.length;
            let (from, to) = (range.start.max(begin), range.end.min(end));
            if from < to {
                found.push((at, from - begin..to - begin));
            }
            begin = end;
        }
    }
    found
}

/// Whether [`from_files`] would answer at once: everything was verified since start, and
/// there is not much to look at.
pub fn is_verified(gate: &Gate, version: &Version) -> bool {
    /// So many extents are looked at where nobody may wait.
    const FEW: usize = 64;
    version.extents.len() <= FEW && version.extents.iter().all(|one| gate.store.verified(one))
}

/// A range as pieces of files. Verifies them first: slow after a start.
///
/// # Errors
/// When what is stored is damaged or cannot be read.
pub fn from_files(
    gate: &Gate,
    version: &Version,
    key: Option<BodyKey>,
    range: Range<u64>,
    pin: Pin,
) -> Outcome<Plan> {
    let length = range.end - range.start;
    let (stored, opener) = stored(version, key, range);
    let mut pieces = Vec::new();
    for (at, range) in in_extents(&version.extents, &stored) {
        let extent = &version.extents[at];
        gate.store.verify(extent)?;
        pieces.push(Piece {
            file: gate.store.segment(extent.segment)?,
            offset: extent.offset + range.start,
            length: range.end - range.start,
        });
    }
    let open = opener.map(|opener| Box::new(opener) as Box<dyn crate::step::Open>);
    Ok(Plan::Pieces(Pieces { pieces, pin: Some(Box::new(pin)), open, length }))
}

/// Reads a range and hands it on piece by piece (copies).
///
/// # Errors
/// When what is stored is damaged or cannot be read, or when `sink` says so.
pub fn copy(
    gate: &Gate,
    version: &Version,
    key: Option<BodyKey>,
    range: Range<u64>,
    sink: &mut dyn FnMut(&[u8]) -> Outcome<()>,
) -> Outcome<()> {
    let (stored, mut opener) = stored(version, key, range);
    let mut buffer = vec![0; CHUNK];
    let mut content = Vec::new();
    for (at, range) in in_extents(&version.extents, &stored) {
        let mut from = range.start;
        while from < range.end {
            let to = range.end.min(from + CHUNK as u64);
            let piece = &mut buffer[..(to - from) as usize];
            gate.store.read(&version.extents[at], from..to, piece)?;
            match &mut opener {
                None => sink(piece)?,
                Some(opener) => {
                    content.clear();
                    opener.open(piece, &mut content).map_err(damaged)?;
                    sink(&content)?;
                }
            }
            from = to;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_in_extents() {
        let extent = |length| Extent { segment: 1, offset: 0, length, sums: Vec::new() };
        let extents = [extent(10), extent(5), extent(20)];
        let found = |ranges: &[(u64, u64)]| {
            let ranges: Vec<_> = ranges.iter().map(|(from, to)| *from..*to).collect();
            in_extents(&extents, &ranges)
        };
        assert_eq!(found(&[(8, 17)]), [(0, 8..10), (1, 0..5), (2, 0..2)]);
        assert_eq!(found(&[(0, 1), (34, 35)]), [(0, 0..1), (2, 19..20)]);
        assert_eq!(found(&[(3, 3)]), []);
    }
}
