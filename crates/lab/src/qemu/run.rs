//! One run of QEMU: from its start to its end. Everything that lives exactly as long
//! as the process is here.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use world::process::ProcessId;

use crate::console::Console;
use crate::error::{LabError, file, system};
use crate::keeper::Keeper;
use crate::tpm;

use super::command::Plan;
use super::qmp::Qmp;

/// QEMU dials both sockets within a fraction of a second; under load within seconds.
const DIAL_LIMIT: Duration = Duration::from_secs(60);

/// What the machine said or did, in the order in which it happened.
pub(crate) enum Said {
    /// Bytes on the console.
    Console(Vec<u8>),
    /// An event of QEMU.
    Event(Value),
    /// QEMU has ended.
    Ended,
}

/// A running QEMU.
pub(crate) struct Run {
    pub qmp: Qmp,
    pub process: ProcessId,
    ended: watch::Receiver<bool>,
}

impl Run {
    /// Starts a machine. What it says goes to `said`.
    pub(crate) async fn start(
        plan: &Plan,
        keeper: &Keeper,
        console: &Console,
        media: Option<&Path>,
        said: mpsc::UnboundedSender<Said>,
    ) -> Result<Self, LabError> {
        let serial = listen(&plan.socket("serial"))?;
        let control = listen(&plan.socket("qmp"))?;
        let tpm = tpm::start(keeper, &plan.dir.join("tpm"), &plan.socket("tpm")).await?;
        let log = plan.dir.join("qemu.log");
        let errors = File::create(&log).map_err(file(&log))?;
        let mut child = keeper.spawn("qemu-system-x86_64", plan.arguments(media), errors).await?;
        let process = child.id().and_then(ProcessId::of);
        let dialled = tokio::time::timeout(DIAL_LIMIT, async {
            tokio::select! {
                both = async { tokio::try_join!(accept(&serial), accept_qmp(&control)) } => both,
                ended = child.wait() => Err(io::Error::other(format!("it ended at once: {ended:?}"))),
            }
        })
        .await;
        let failed = |why: String| LabError::Qemu {
            machine: plan.name.clone(),
            said: format!("{why} {}", tail(&log)).trim().to_owned(),
        };
        let (wire, (qmp, events)) = match dialled {
            Ok(Ok(both)) => both,
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed("it did not dial its sockets in time.".into())),
        };
        let process = process.ok_or_else(|| failed("it ended at once.".into()))?;
        let records =
            record(plan, &[("qemu", Some(process)), ("swtpm", tpm.id().and_then(ProcessId::of))])?;
        let (end, ended) = watch::channel(false);
        tokio::spawn(forward(wire, console.connect(), said.clone()));
        tokio::spawn(watch_over(child, tpm, records, events, said, end));
        Ok(Self { qmp, process, ended })
    }

    /// Ends QEMU at once, and waits until it is gone.
    pub(crate) async fn kill(&self) {
        self.process.kill();
        self.wait().await;
    }

    /// Waits for its end.
    pub(crate) async fn wait(&self) {
        // An error means that the watcher is gone, and the process with it.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Whether it still runs.
    pub(crate) fn alive(&self) -> bool {
        !*self.ended.borrow()
    }
}

fn listen(path: &Path) -> Result<UnixListener, LabError> {
    let _ = fs::remove_file(path);
    UnixListener::bind(path).map_err(system(format!("listen on {}", path.display())))
}

async fn accept(listener: &UnixListener) -> io::Result<UnixStream> {
    Ok(listener.accept().await?.0)
}

async fn accept_qmp(listener: &UnixListener) -> io::Result<(Qmp, mpsc::Receiver<Value>)> {
    Qmp::open(accept(listener).await?).await
}

/// Writes down the children, for whoever finds the rack after a crash.
fn record(plan: &Plan, children: &[(&str, Option<ProcessId>)]) -> Result<Vec<PathBuf>, LabError> {
    let mut records = Vec::new();
    for (name, process) in children {
        let Some(process) = process else { continue };
        let path = plan.dir.join(format!("{name}.child"));
        let text = serde_json::to_vec(process).unwrap_or_default();
        fs::write(&path, text).map_err(file(&path))?;
        records.push(path);
    }
    Ok(records)
}

/// Carries bytes between the serial line and the console.
async fn forward(
    wire: UnixStream,
    mut keyboard: mpsc::Receiver<bytes::Bytes>,
    said: mpsc::UnboundedSender<Said>,
) {
    let (mut read, mut write) = wire.into_split();
    let typing = tokio::spawn(async move {
        while let Some(typed) = keyboard.recv().await {
            if write.write_all(&typed).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length) = read.read(&mut buffer).await
        && length > 0
        && said.send(Said::Console(buffer[..length].to_vec())).is_ok()
    {}
    typing.abort();
}

/// Reaps QEMU and its TPM, and tells their end.
async fn watch_over(
    mut child: Child,
    mut tpm: Child,
    records: Vec<PathBuf>,
    mut events: mpsc::Receiver<Value>,
    said: mpsc::UnboundedSender<Said>,
    end: watch::Sender<bool>,
) {
    while let Some(event) = events.recv().await {
        // Nobody pauses machines here: one that stops has met an error inside QEMU.
        if event["event"] == "STOP" {
            let _ = child.start_kill();
        }
        let _ = said.send(Said::Event(event));
    }
    // The channel ends before the process does; a QEMU that hangs on without it is
    // of no use to anybody.
    if tokio::time::timeout(Duration::from_secs(10), child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
    // The TPM ends when QEMU hangs up. A second one must not start on its state before.
    if tokio::time::timeout(Duration::from_secs(5), tpm.wait()).await.is_err() {
        let _ = tpm.kill().await;
    }
    for record in records {
        let _ = fs::remove_file(record);
    }
    let _ = said.send(Said::Ended);
    end.send_replace(true);
}

/// The last lines of a log, at most 2 KiB.
fn tail(log: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut file) = File::open(log) {
        let length = file.metadata().map_or(0, |m| m.len());
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(2048)));
        let mut bytes = Vec::new();
        let _ = file.take(2048).read_to_end(&mut bytes);
        text = String::from_utf8_lossy(&bytes).trim().to_owned();
    }
    text
}
