//! Sessions against VMMs that speak well, badly, and on after a change of processes.

mod client;
mod hostile;
mod succession;
mod vmm;

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, eventfd};

use super::{Description, Ended, QueueStart, Session, Sink};
use crate::guest::GuestMemory;
use crate::ring::{Position, Queue, Scratch};
use crate::virtio_blk::Device;

/// What a keeper was given last.
type Deposit = Option<(Description, Vec<OwnedFd>)>;

/// A reactor that serves when the test says so, and a keeper.
#[derive(Clone, Debug, Default)]
struct Reactor {
    queues: Arc<Mutex<HashMap<u16, Queue>>>,
    kept: Arc<Mutex<Deposit>>,
    memories: Arc<Mutex<usize>>,
}

impl Reactor {
    /// Fetches all that is there and answers it; how many.
    fn serve(&self, queue: u16) -> usize {
        let mut queues = self.queues.lock().unwrap();
        queues.get_mut(&queue).map_or(0, serve)
    }
    fn serves(&self, queue: u16) -> bool {
        self.queues.lock().unwrap().contains_key(&queue)
    }
}

fn serve(queue: &mut Queue) -> usize {
    let (mut scratch, mut count) = (Scratch::default(), 0);
    while let Some(Ok(fetched)) = queue.fetch(&mut scratch) {
        queue.finish(fetched.head, Ok(()));
        count += 1;
    }
    if queue.publish() {
        queue.notify();
    }
    count
}

impl Sink for Reactor {
    fn attach(&mut self, start: QueueStart) {
        let index = start.config.index;
        if let Ok(queue) = Queue::new(start.config, start.memory, start.record) {
            assert!(self.queues.lock().unwrap().insert(index, queue).is_none(), "attached once");
        }
    }
    fn stop(&mut self, queue: u16) -> Option<Position> {
        let mut queue = self.queues.lock().unwrap().remove(&queue)?;
        while queue.has_left_over() {
            serve(&mut queue);
        }
        Some(queue.close())
    }
    fn memory(&mut self, memory: Arc<GuestMemory>) {
        *self.memories.lock().unwrap() += 1;
        for queue in self.queues.lock().unwrap().values_mut() {
            let _ = queue.set_memory(Arc::clone(&memory));
        }
    }
    fn call(&mut self, queue: u16, call: Option<OwnedFd>) {
        if let Some(queue) = self.queues.lock().unwrap().get_mut(&queue) {
            queue.set_call(call);
        }
    }
    fn deposit(
        &mut self,
        description: &Description,
        files: &[BorrowedFd<'_>],
    ) -> std::io::Result<()> {
        let files =
            files.iter().map(BorrowedFd::try_clone_to_owned).collect::<Result<Vec<_>, _>>()?;
        let text = serde_json::to_string(description)?;
        *self.kept.lock().unwrap() = Some((serde_json::from_str(&text)?, files));
        Ok(())
    }
}

fn event() -> OwnedFd {
    eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap()
}
fn device() -> Arc<Device> {
    Arc::new(Device::new(1 << 20, 2, false, "serial"))
}

/// A session that goes on from what a predecessor deposited.
trait ResumedFrom {
    fn resumed(&self, next: &Reactor) -> Result<Session<Reactor>, super::ResumeError>;
}

/// A session on a thread.
struct Running {
    thread: JoinHandle<(Session<Reactor>, Ended)>,
    stop: OwnedFd,
}

impl Running {
    fn new(mut session: Session<Reactor>, socket: &UnixStream) -> Self {
        let (socket, stop) = (socket.try_clone().unwrap(), event());
        let stopped = stop.try_clone().unwrap();
        let thread = std::thread::spawn(move || {
            let ended = session.run(socket.as_fd(), stopped.as_fd());
            (session, ended)
        });
        Running { thread, stop }
    }
    fn stop(self) -> (Session<Reactor>, Ended) {
        rustix::io::write(&self.stop, &1u64.to_ne_bytes()).unwrap();
        self.thread.join().unwrap()
    }
    fn join(self) -> (Session<Reactor>, Ended) {
        self.thread.join().unwrap()
    }
}
