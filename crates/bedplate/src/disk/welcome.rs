//! What `bedplate disk up` tells when it serves: where, and what to do next.
//!
//! The keeper does not know when its engine is ready, and is to stay as small as it is.
//! So a thread asks the control socket, as any verb would, until it answers once.

use std::io::{Result, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::count;
use ::disk::shared::signals::Signals;
use client::disk_orders::order;
use model::volume::{DISK_SOCKET, DiskOrder, DiskStatus};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(20);
/// So many are asked. An engine that takes longer has said why in the log.
const QUESTIONS: u32 = 30_000;

/// Tells it, once, when the service of the directory answers.
///
/// # Errors
/// When the system gives no thread.
pub fn announce(directory: PathBuf) -> Result<()> {
    // The keeper hears signals by a descriptor: no thread may be ended by one.
    Signals::block()?;
    let wait = move || {
        for _ in 0..QUESTIONS {
            if let Ok(status) = order::<DiskStatus>(&directory, &DiskOrder::Status) {
                // Who does not listen does not need it.
                let _ = std::io::stdout().write_all(told(&directory, &status).as_bytes());
                return;
            }
            pause();
        }
    };
    std::thread::Builder::new().name("welcome".into()).spawn(wait).map(drop)
}

#[allow(clippy::disallowed_methods, reason = "a thread of its own, and no runtime")]
fn pause() {
    std::thread::sleep(PAUSE);
}

fn told(directory: &Path, status: &DiskStatus) -> String {
    let socket = directory.join(DISK_SOCKET);
    let DiskStatus { pools, volumes, .. } = status;
    let mut lines = vec![
        format!("Bedplate serves disks: {}, {}", count(*pools, "pool"), count(*volumes, "volume")),
        format!("  control socket  {}", socket.display()),
        String::new(),
        "Next, in another terminal:".to_owned(),
    ];
    lines.push(format!("  export BEDPLATE_DIR={}", directory.display()));
    let next = match (pools, volumes) {
        (0, _) => "bedplate pool create main --file disk.img --size 20G",
        (_, 0) => "bedplate volume create data --size 1G --encrypt --serve",
        _ => "bedplate volume list",
    };
    let next = [next, "bedplate disk status", "bedplate doctor"];
    lines.extend(next.map(|line| format!("  {line}")));
    lines.join("\n") + "\n"
}
