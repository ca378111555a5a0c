//! Compression. A raw image in Zstandard is what the agent writes fastest: one pass,
//! decompression at more bytes a second than its disk takes even under emulation, and
//! long zeros that cost nothing.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use model::Bytes;
use model::image::Checksum;
use sha2::{Digest as _, Sha256};
use world::process;

use super::error::file;
use super::tools::LIMIT;
use super::{SystemError, blocking};

/// Higher levels take minutes for a few megabytes; unpacking is as quick for all.
const LEVEL: &str = "-9";

/// Compresses the disk into `out`, which appears whole or not at all.
pub(super) async fn pack(raw: &Path, out: &Path) -> Result<(Checksum, Bytes), SystemError> {
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).map_err(file(folder))?;
    }
    let mut name = out.as_os_str().to_owned();
    name.push(".part");
    let part = Path::new(&name).to_owned();
    let (from, to) = (raw.display().to_string(), part.display().to_string());
    process::run("zstd", ["-q", "-f", "-T0", LEVEL, &from, "-o", &to], LIMIT).await?;
    let summed = part.clone();
    let sum = blocking(move || checksum(&summed)).await?;
    fs::rename(&part, out).map_err(file(out))?;
    Ok(sum)
}

fn checksum(path: &Path) -> Result<(Checksum, Bytes), SystemError> {
    let mut source = File::open(path).map_err(file(path))?;
    let (mut digest, mut length) = (Sha256::new(), 0);
    let mut piece = vec![0; 1 << 20];
    loop {
        let count = source.read(&mut piece).map_err(file(path))?;
        if count == 0 {
            return Ok((Checksum::from_digest(digest.finalize().into()), Bytes(length)));
        }
        digest.update(&piece[..count]);
        length += count as u64;
    }
}
