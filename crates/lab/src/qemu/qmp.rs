//! QEMU's control channel (QMP): JSON lines over a unix socket; commands are answered
//! in order, events come in between.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

/// The longest line that QEMU is believed.
const LINE_MAX: u64 = 256 << 10;
/// QEMU answers within milliseconds, unless the host is drowning.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

type Request = (Value, oneshot::Sender<Result<Value, String>>);

/// A channel to a running QEMU.
#[derive(Clone)]
pub(crate) struct Qmp {
    requests: mpsc::Sender<Request>,
}

impl Qmp {
    /// Greets QEMU and begins to serve the channel. The receiver gets every event;
    /// it ends when QEMU hangs up.
    pub(crate) async fn open(stream: UnixStream) -> io::Result<(Self, mpsc::Receiver<Value>)> {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        read_line(&mut read).await?;
        send(&mut write, &json!({"execute": "qmp_capabilities"})).await?;
        let answer = read_line(&mut read).await?;
        if answer.get("return").is_none() {
            return Err(io::Error::other(format!("QMP refused: {answer}")));
        }
        let (requests, queue) = mpsc::channel(16);
        let (events, receiver) = mpsc::channel(256);
        tokio::spawn(serve(read, write, queue, events));
        Ok((Self { requests }, receiver))
    }

    /// Has QEMU do something.
    pub(crate) async fn execute(&self, command: &str, arguments: Value) -> Result<Value, String> {
        let gone = || "QEMU has ended".to_owned();
        let (sender, receiver) = oneshot::channel();
        let request = json!({"execute": command, "arguments": arguments});
        self.requests.send((request, sender)).await.map_err(|_| gone())?;
        match tokio::time::timeout(ANSWER_LIMIT, receiver).await {
            Ok(answer) => answer.map_err(|_| gone())?,
            Err(_) => Err(format!("no answer to {command} within {ANSWER_LIMIT:?}")),
        }
    }
}

async fn serve(
    mut read: BufReader<OwnedReadHalf>,
    mut write: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Request>,
    events: mpsc::Sender<Value>,
) {
    let (lines, mut incoming) = mpsc::channel(16);
    // Reading a line must not be cancelled half-way, so it has a task of its own.
    let reader = tokio::spawn(async move {
        while let Ok(line) = read_line(&mut read).await {
            if lines.send(line).await.is_err() {
                return;
            }
        }
    });
    let mut waiting: Option<oneshot::Sender<Result<Value, String>>> = None;
    loop {
        tokio::select! {
            line = incoming.recv() => {
                let Some(line) = line else { break };
                if line.get("event").is_some() {
                    // A slow listener loses events rather than stopping the channel.
                    let _ = events.try_send(line);
                } else if let Some(waiter) = waiting.take() {
                    let _ = waiter.send(answer(line));
                }
            }
            request = queue.recv(), if waiting.is_none() => {
                let Some((request, waiter)) = request else { break };
                if send(&mut write, &request).await.is_err() { break }
                waiting = Some(waiter);
            }
        }
    }
    reader.abort();
}

fn answer(mut line: Value) -> Result<Value, String> {
    if let Some(value) = line.get_mut("return") {
        return Ok(value.take());
    }
    let said = line.pointer("/error/desc").and_then(Value::as_str);
    Err(said.unwrap_or("an answer without sense").to_owned())
}

async fn send(write: &mut OwnedWriteHalf, request: &Value) -> io::Result<()> {
    let mut line = request.to_string();
    line.push('\n');
    write.write_all(line.as_bytes()).await
}

async fn read_line(read: &mut BufReader<OwnedReadHalf>) -> io::Result<Value> {
    let mut line = Vec::new();
    read.take(LINE_MAX).read_until(b'\n', &mut line).await?;
    if line.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&line).map_err(io::Error::other)
}
