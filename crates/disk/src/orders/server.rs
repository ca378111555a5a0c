//! The service's end: a thread that accepts, and a thread for each client.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use model::volume::{DISK_LINE, DiskOrder, DiskProblem, DiskReply};

use crate::listening::{Stop, accept};

/// Clients at the same time. More are hung up on.
const CLIENTS: usize = 64;
/// A client that says nothing for so long is hung up on.
const SILENCE: Duration = Duration::from_secs(60);

/// Orders whose answers are not written yet. A process that was replaced ends when there
/// are none: who asked for the replacement is to hear of it.
#[derive(Debug, Default)]
pub struct Underway {
    count: Mutex<usize>,
    fewer: Condvar,
}

/// One of them, until this is dropped.
struct Answering<'a>(&'a Underway);

impl Underway {
    fn begin(&self) -> Answering<'_> {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Answering(self)
    }
    /// Waits until all are answered, for so long at most. `false`: some are not.
    pub fn answered(&self, patience: Duration) -> bool {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.fewer.wait_timeout_while(count, patience, |count| *count > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.fewer.notify_all();
    }
}

/// Carries orders out.
pub type CarryOut = dyn Fn(DiskOrder) -> Result<serde_json::Value, DiskProblem> + Send + Sync;

/// The socket is served until this ends.
#[derive(Debug)]
pub struct Serving {
    stop: Stop,
    thread: JoinHandle<()>,
}

impl Serving {
    /// Accepts nobody any more. Orders under way go on.
    pub fn end(self) {
        self.stop.now();
        if self.thread.join().is_err() {
            tracing::error!("the thread of the control socket panicked");
        }
    }
}

/// Serves orders on a socket.
pub fn serve(
    listener: UnixListener,
    carry_out: Arc<CarryOut>,
    underway: Arc<Underway>,
) -> io::Result<Serving> {
    let stop = Stop::new()?;
    let ours = stop.clone();
    let clients = Arc::new(AtomicUsize::new(0));
    let each = move |stream: UnixStream| {
        if clients.fetch_add(1, Ordering::Relaxed) >= CLIENTS {
            clients.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let (carry_out, counted) = (Arc::clone(&carry_out), Arc::clone(&clients));
        let underway = Arc::clone(&underway);
        let run = move || {
            if let Err(error) = converse(&stream, &*carry_out, &underway) {
                tracing::debug!(%error, "a client of the control socket went away");
            }
            counted.fetch_sub(1, Ordering::Relaxed);
        };
        if std::thread::Builder::new().name("orders".into()).spawn(run).is_err() {
            clients.fetch_sub(1, Ordering::Relaxed);
        }
    };
    let thread = std::thread::Builder::new()
        .name("orders-accept".into())
        .spawn(move || accept(&listener, &ours, each))?;
    Ok(Serving { stop, thread })
}

fn converse(stream: &UnixStream, carry_out: &CarryOut, underway: &Underway) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        reader.by_ref().take(DISK_LINE as u64).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        let _answering = underway.begin();
        let mut reply = serde_json::to_vec(&answer(&line, carry_out))?;
        reply.push(b'\n');
        (&*stream).write_all(&reply)?;
        if line.last() != Some(&b'\n') {
            return Ok(());
        }
    }
}

fn answer(line: &[u8], carry_out: &CarryOut) -> DiskReply {
    match serde_json::from_slice(line) {
        Ok(order) => carry_out(order).map_or_else(DiskReply::Error, DiskReply::Ok),
        Err(error) => DiskReply::Error(DiskProblem {
            code: "order_not_understood".into(),
            what: format!("the order is not understood: {error}"),
            next: "send one JSON object with a `verb` on a line; see docs/disk.md".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refuse(_: DiskOrder) -> Result<serde_json::Value, DiskProblem> {
        Ok(serde_json::Value::Null)
    }

    #[test]
    fn an_order_is_a_line() {
        let reply = answer(br#"{"verb":"volume_show","volume":"a"}"#, &refuse);
        assert_eq!(reply, DiskReply::Ok(serde_json::Value::Null));
        let DiskReply::Error(problem) = answer(b"{}", &refuse) else { panic!("refused") };
        assert_eq!(problem.code, "order_not_understood");
    }

    #[test]
    fn an_order_is_under_way_until_its_answer_is_written() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let underway = Arc::new(Underway::default());
        let seen = Arc::clone(&underway);
        let during = move |_: DiskOrder| {
            assert!(!seen.answered(Duration::ZERO), "it is not answered yet");
            Ok(serde_json::Value::Null)
        };
        let theirs_too = Arc::clone(&underway);
        let serving = std::thread::spawn(move || converse(&ours, &during, &theirs_too));
        theirs.write_all(b"{\"verb\":\"status\"}\n").unwrap();
        let mut reply = String::new();
        BufReader::new(&theirs).read_line(&mut reply).unwrap();
        assert!(underway.answered(SILENCE) && reply.contains("null"), "{reply}");
        drop(theirs);
        serving.join().unwrap().unwrap();
    }

    proptest! {
        #[test]
        fn noise_is_answered(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = answer(&noise, &refuse);
        }
    }
}
