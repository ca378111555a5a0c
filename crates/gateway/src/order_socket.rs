//! The socket for administrators: a line of JSON there, one back. It belongs to the
//! gateway's user: the kernel says who asks, and others are not answered. One thread, one
//! order at a time: there are a few a day.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use model::gateway::{GATEWAY_LINE, GatewayOrder, GatewayProblem, GatewayReply};

use crate::administer::Answered;

/// Nobody may keep the socket from others for longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What carries orders out.
pub type Carries = Box<dyn Fn(GatewayOrder) -> Answered + Send>;

/// A socket that is listened at until this is dropped.
pub struct OrderSocket {
    listener: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl OrderSocket {
    /// Listens there. What was there is of a process that is gone: the directory is ours.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn start(path: &Path, carries: Carries) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let again = OwnedFd::from(listener.try_clone()?);
        let thread = std::thread::Builder::new().name("orders".to_owned()).spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                // Who asked badly is gone.
                let _ = answer(stream, &carries);
            }
        })?;
        Ok(Self { listener: again, thread: Some(thread) })
    }
}

impl Drop for OrderSocket {
    fn drop(&mut self) {
        // Wakes the thread; the name may be a successor's already, and stays.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(stream: UnixStream, carries: &Carries) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(&stream)?;
    if !peer.uid.is_root() && peer.uid != rustix::process::geteuid() {
        return Ok(());
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = Vec::new();
    BufReader::new((&stream).take(GATEWAY_LINE as u64)).read_until(b'\n', &mut line)?;
    let reply = match serde_json::from_slice::<GatewayOrder>(&line) {
        Ok(order) => match carries(order) {
            Ok(value) => GatewayReply::Ok(value),
            Err(problem) => GatewayReply::Error(problem),
        },
        Err(error) => GatewayReply::Error(GatewayProblem {
            code: "order-strange".to_owned(),
            what: format!("the order is not understood: {error}"),
            next: "Compare the versions: bedplate gateway status, bedplate --version".to_owned(),
        }),
    };
    let mut text = serde_json::to_vec(&reply)?;
    text.push(b'\n');
    (&stream).write_all(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(path: &Path, line: &str) -> String {
        let mut stream = UnixStream::connect(path).expect("it listens");
        stream.write_all(line.as_bytes()).expect("it is taken");
        stream.shutdown(std::net::Shutdown::Write).expect("that is all");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("it answers");
        reply
    }

    #[test]
    fn orders_are_answered_and_nonsense_is_refused() {
        let name = format!("bedplate-orders-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let carries: Carries = Box::new(|order| {
            assert_eq!(order, GatewayOrder::Status);
            Ok("well".into())
        });
        let socket = OrderSocket::start(&path, carries).expect("it starts");
        assert_eq!(ask(&path, "\"status\"\n"), "{\"ok\":\"well\"}\n");
        assert!(ask(&path, "nonsense\n").contains("order-strange"));
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(socket);
        UnixStream::connect(&path).expect_err("nobody listens");
        std::fs::remove_file(&path).expect("it can go");
    }
}
