//! The access log: a line of JSON for each request, or for one of so many. Reactors write
//! lines into a buffer of their own; a thread writes buffers to the file.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use model::Timestamp;

use crate::step::{Head, Peer};

/// Lines that wait together.
const TOGETHER: usize = 32 << 10;
/// Buffers on their way. When the file is slower than that, lines are lost, and counted.
const ON_THE_WAY: usize = 64;
/// The longest part of a target that is logged.
const TARGET: usize = 2048;

/// One reactor's lines.
#[derive(Debug, Default)]
pub struct Lines {
    to: Option<SyncSender<Vec<u8>>>,
    /// One of so many.
    every: u32,
    count: u32,
    waiting: Vec<u8>,
    lost: u64,
}

impl Lines {
    /// None are wanted.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether this request is logged.
    pub fn wanted(&mut self) -> bool {
        if self.to.is_none() {
            return false;
        }
        self.count += 1;
        if self.count >= self.every {
            self.count = 0;
            return true;
        }
        false
    }

    /// Nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Ends a line that was begun.
    pub fn add(
        &mut self,
        begun: &[u8],
        at: Timestamp,
        status: u16,
        sent: u64,
        received: u64,
        nanos: u64,
    ) {
        self.waiting.extend_from_slice(begun);
        let (seconds, micros) =
            (at.micros().div_euclid(1_000_000), at.micros().rem_euclid(1_000_000));
        let _ = writeln!(
            self.waiting,
            ",\"time\":{seconds}.{micros:06},\"status\":{status},\"sent\":{sent},\
             \"received\":{received},\"micros\":{}}}",
            nanos / 1000
        );
        if self.waiting.len() >= TOGETHER {
            self.flush();
        }
    }

    /// Hands over what waits.
    pub fn flush(&mut self) {
        let Some(to) = &self.to else { return };
        if self.waiting.is_empty() {
            return;
        }
        if self.lost > 0 {
            let _ = writeln!(self.waiting, "{{\"lost_bytes\":{}}}", self.lost);
            self.lost = 0;
        }
        match to.try_send(std::mem::take(&mut self.waiting)) {
            Ok(()) => {}
            Err(TrySendError::Full(lines) | TrySendError::Disconnected(lines)) => {
                self.lost += lines.len() as u64;
            }
        }
    }
}

/// Begins a line with what a head says.
pub fn begun(head: &Head<'_>, peer: &Peer) -> Vec<u8> {
    let mut line = Vec::with_capacity(256);
    let _ = write!(line, "{{\"from\":\"{}\",\"tls\":{},\"method\":", peer.address, peer.tls);
    text(&mut line, head.method.as_bytes());
    line.extend_from_slice(b",\"path\":");
    text(&mut line, &head.path.as_bytes()[..head.path.len().min(TARGET)]);
    if !head.query.is_empty() {
        line.extend_from_slice(b",\"query\":");
        text(&mut line, without_secrets(head.query).as_bytes());
    }
    if let Some(agent) = head.header("user-agent") {
        line.extend_from_slice(b",\"agent\":");
        text(&mut line, &agent.as_bytes()[..agent.len().min(256)]);
    }
    line
}

/// A presigned target is a key to what it names until it expires: its signature and
/// session token are not logged.
fn without_secrets(query: &str) -> String {
    let mut kept = String::new();
    for pair in query.split('&') {
        let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
        let lower = name.to_ascii_lowercase();
        let secret = lower.contains("signature") || lower.contains("token");
        if !kept.is_empty() {
            kept.push('&');
        }
        kept.push_str(if secret { name } else { pair });
        if kept.len() > TARGET {
            kept.truncate((0..=TARGET).rev().find(|at| kept.is_char_boundary(*at)).unwrap_or(0));
            break;
        }
    }
    kept
}

/// Says who asks.
pub fn account(line: &mut Vec<u8>, name: &str) {
    line.extend_from_slice(b",\"account\":");
    text(line, name.as_bytes());
}

/// A string of JSON. What is no UTF-8 is replaced.
fn text(into: &mut Vec<u8>, bytes: &[u8]) {
    into.push(b'"');
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '"' | '\\' => into.extend_from_slice(&[b'\\', character as u8]),
            control if (control as u32) < 0x20 || control as u32 == 0x7f => {
                let _ = write!(into, "\\u{:04x}", control as u32);
            }
            other => into.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    into.push(b'"');
}

/// The log: a thread that writes to a file until all reactors are gone.
pub struct AccessLog {
    to: SyncSender<Vec<u8>>,
    every: u32,
}

impl AccessLog {
    /// Opens the file for appending, `-` is standard output, and starts the thread.
    ///
    /// # Errors
    /// When the file cannot be opened or there is no thread.
    pub fn start(path: &Path, every: u32) -> std::io::Result<Self> {
        let mut file: Box<dyn std::io::Write + Send> = if path == Path::new("-") {
            Box::new(std::io::stdout())
        } else {
            Box::new(File::options().create(true).append(true).open(path)?)
        };
        let (to, from): (_, Receiver<Vec<u8>>) = sync_channel(ON_THE_WAY);
        std::thread::Builder::new().name("access log".to_owned()).spawn(move || {
            for lines in from {
                if let Err(error) = file.write_all(&lines).and_then(|()| file.flush()) {
                    tracing::warn!(%error, "the access log cannot be written");
                }
            }
        })?;
        Ok(Self { to, every: every.max(1) })
    }

    /// A reactor's end of it.
    pub fn lines(&self) -> Lines {
        Lines { to: Some(self.to.clone()), every: self.every, ..Lines::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Framing;

    #[test]
    fn a_line_is_json_whatever_is_asked_for_and_tells_no_secret() {
        let (to, from) = sync_channel(1);
        let mut lines = Lines { to: Some(to), every: 2, ..Lines::default() };
        assert!(!lines.wanted() && lines.wanted());
        let head = Head {
            method: "GET",
            path: "/b/\"\\\u{1}é",
            query: "X-Amz-Signature=abc&X-Amz-Security-Token=def&uploads&a=b",
            headers: &[("User-Agent", b"curl \x7f\"")],
            framing: Framing::None,
        };
        let peer = Peer { address: [127, 0, 0, 1].into(), tls: true };
        let mut line = begun(&head, &peer);
        account(&mut line, "AKIA");
        lines.add(&line, Timestamp::from_micros(5_000_001), 200, 10, 20, 3_000);
        lines.flush();
        let text = from.recv().expect("a line");
        let read: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(read["path"], "/b/\"\\\u{1}é");
        assert_eq!(read["query"], "X-Amz-Signature&X-Amz-Security-Token&uploads&a=b");
        assert_eq!((&read["micros"], &read["account"]), (&3.into(), &"AKIA".into()));
        assert_eq!(read["time"], 5.000_001);
    }
}
