//! Runs `qemu-img convert`, and shows how far it is.

use std::ffi::OsString;
use std::process::Stdio;

use indicatif::ProgressBar;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use world::process::{self, ProcessError};

use crate::Failure;
use crate::human::clean;

/// Bytes that are kept of what it says.
const KEPT: usize = 4096;

/// Converts; the bar is moved by its own account, in percent of the bar's length. The
/// program ends when the future is dropped.
///
/// # Errors
/// It is not there, or it failed, with what it said.
pub async fn run(arguments: Vec<OsString>, bar: &ProgressBar) -> Result<(), Failure> {
    let mut command = process::command("qemu-img").map_err(missing)?;
    command.arg("convert").arg("-p").args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |error: std::io::Error| {
        Failure::new("qemu-img", "qemu-img could not be run").why(error.to_string())
    };
    let mut child = command.spawn().map_err(failed)?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let watched = async {
        match out {
            Some(out) => watch(out, bar).await,
            None => Ok(()),
        }
    };
    let said = async {
        match err {
            Some(err) => keep(err).await,
            None => Ok(String::new()),
        }
    };
    let (watched, said) = tokio::join!(watched, said);
    let status = child.wait().await.map_err(failed)?;
    watched.map_err(failed)?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new("qemu-img", format!("qemu-img failed ({status})"))
            .why(clean(said.map_err(failed)?.trim()))
            .next("Is the image whole? qemu-img check says so. Is there room? bedplate pool list")),
    }
}

fn missing(error: ProcessError) -> Failure {
    Failure::new("qemu-img", "qemu-img is needed for this")
        .why(error.to_string())
        .next("apt-get install qemu-utils")
}

/// Moves the bar by lines like `    (12.34/100%)`, which end by a carriage return.
async fn watch(mut out: impl AsyncRead + Unpin, bar: &ProgressBar) -> std::io::Result<()> {
    let (mut line, mut chunk) = (Vec::new(), [0; 256]);
    loop {
        let read = out.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        for byte in &chunk[..read] {
            match byte {
                b'\r' | b'\n' => {
                    if let Some(percent) = percent(&line) {
                        let length = bar.length().unwrap_or(0);
                        bar.set_position((length as f64 * percent / 100.0) as u64);
                    }
                    line.clear();
                }
                byte if line.len() < KEPT => line.push(*byte),
                _ => {}
            }
        }
    }
}

fn percent(line: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(line).ok()?.trim();
    let number: f64 = text.strip_prefix('(')?.strip_suffix("/100%)")?.parse().ok()?;
    (0.0..=100.0).contains(&number).then_some(number)
}

/// The beginning of what it says; the rest is read and dropped.
async fn keep(mut err: impl AsyncRead + Unpin) -> std::io::Result<String> {
    let (mut kept, mut chunk) = (Vec::new(), [0; 1024]);
    loop {
        match err.read(&mut chunk).await? {
            0 => return Ok(String::from_utf8_lossy(&kept).into_owned()),
            read => {
                let room = KEPT - kept.len();
                kept.extend_from_slice(&chunk[..read.min(room)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_bar_follows() {
        let bar = ProgressBar::hidden();
        bar.set_length(200);
        let said: &[u8] =
            b"    (0.00/100%)\r    (50.50/100%)\r nonsense\r    (NaN/100%)\r    (9e9/100%)\r";
        watch(said, &bar).await.expect("read");
        assert_eq!(bar.position(), 101);
        let said = vec![b'x'; 10_000];
        assert_eq!(keep(&said[..]).await.expect("read").len(), KEPT);
    }
}
