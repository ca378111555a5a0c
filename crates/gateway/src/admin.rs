//! The administrators' listener: metrics and health, on an address of its own. One thread,
//! one request at a time: it is asked a few times a minute.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::http::{Closing, Limits, read_head, write_end, write_head};

/// Nobody may keep the listener from others for longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes metrics.
pub type Metrics = std::sync::Arc<dyn Fn(&mut String) + Send + Sync>;

/// A listener that runs until it is dropped.
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Admin {
    /// Listens.
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub fn start(address: SocketAddr, metrics: Metrics) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let over = Arc::new(AtomicBool::new(false));
        let ends = over.clone();
        std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
            for socket in listener.incoming() {
                if ends.load(Ordering::Acquire) {
                    return;
                }
                if let Ok(socket) = socket {
                    // Who asked badly is gone.
                    let _ = answer(socket, &metrics);
                }
            }
        })?;
        Ok(Self { address, over })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // The thread looks when somebody comes.
        let _ = TcpStream::connect_timeout(&self.address, PATIENCE);
    }
}

fn answer(mut socket: TcpStream, metrics: &Metrics) -> io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    let (status, body) = loop {
        let count = socket.read(&mut part)?;
        bytes.extend_from_slice(&part[..count]);
        let limits = Limits { head: 8192 };
        match read_head(&bytes, limits, |head, _| page(head.method, head.path, metrics)) {
            Ok(Some((_, page))) => break page,
            Ok(None) if count > 0 => {}
            Ok(None) => return Ok(()),
            Err(broken) => break (broken.status, broken.why.to_owned()),
        }
    };
    let mut reply = Vec::new();
    let kind = ("Content-Type".into(), "text/plain; version=0.0.4; charset=utf-8".into());
    write_head(&mut reply, status, &[kind], body.len() as u64);
    let now = world::clock::Clock::now(&world::clock::SystemClock::default());
    write_end(&mut reply, &crate::http::date::http_date(now), Closing::Ends);
    reply.extend_from_slice(body.as_bytes());
    socket.write_all(&reply)
}

fn page(method: &str, path: &str, metrics: &Metrics) -> (u16, String) {
    match (method, path) {
        ("GET", "/metrics") => {
            let mut text = String::new();
            metrics(&mut text);
            (200, text)
        }
        ("GET", "/healthz") => (200, "ok\n".to_owned()),
        _ => (404, "here are /metrics and /healthz\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_what_it_knows_and_ends() {
        let metrics: Metrics = Arc::new(|into: &mut String| into.push_str("a 1\n"));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let admin = Admin::start(any, metrics).expect("a listener");
        let ask = |request: &str| {
            let mut socket = TcpStream::connect(admin.address).expect("a connection");
            socket.write_all(request.as_bytes()).expect("sent");
            let mut text = String::new();
            socket.read_to_string(&mut text).expect("answered");
            text
        };
        let metrics = ask("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(metrics.starts_with("HTTP/1.1 200 OK") && metrics.ends_with("\r\n\r\na 1\n"));
        assert!(ask("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").ends_with("ok\n"));
        assert!(ask("POST /metrics HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 404"));
        assert!(ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
    }
}
