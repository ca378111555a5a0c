//! A client that shows every byte: one connection, kept as long as the other side keeps it.
//! It does not try again: what fails is to be seen.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;

use crate::process::PATIENCE;
use crate::signature;

/// A connection, plain or by TLS.
trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A client.
pub struct Client {
    stream: BufReader<Box<dyn Stream>>,
    address: SocketAddr,
    tls: Option<Arc<rustls::ClientConfig>>,
    keys: (&'static str, &'static str),
    /// The other side said that it ends the connection.
    over: bool,
    /// Connections that it had.
    pub connections: u64,
}

/// A reply.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    /// A field's value.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
    /// The code in an error's document.
    pub fn code(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let code = text.split("<Code>").nth(1).and_then(|rest| rest.split("</Code>").next());
        code.unwrap_or_default().to_owned()
    }
}

fn open(
    address: SocketAddr,
    tls: Option<&Arc<rustls::ClientConfig>>,
) -> BufReader<Box<dyn Stream>> {
    let socket = TcpStream::connect(address).expect("never refused");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.set_nodelay(true).expect("it is TCP");
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(socket),
        Some(config) => {
            let name = ServerName::try_from("localhost").expect("a name");
            let tls = rustls::ClientConnection::new(config.clone(), name).expect("a client");
            Box::new(rustls::StreamOwned::new(tls, socket))
        }
    };
    BufReader::new(stream)
}

impl Client {
    pub fn connect(address: SocketAddr, keys: (&'static str, &'static str)) -> Self {
        let stream = open(address, None);
        Self { stream, address, tls: None, keys, over: false, connections: 1 }
    }

    pub fn connect_tls(
        address: SocketAddr,
        config: Arc<rustls::ClientConfig>,
        keys: (&'static str, &'static str),
    ) -> Self {
        let stream = open(address, Some(&config));
        Self { stream, address, tls: Some(config), keys, over: false, connections: 1 }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)?;
        self.stream.get_mut().flush()
    }

    /// The head of a signed request.
    pub fn head(&self, method: &str, target: &str, more: &str) -> String {
        let host = self.address.to_string();
        let fields = signature::fields(method, target, &host, self.keys);
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}{more}\r\n")
    }

    /// Begins with a signed request: its head, and what of its content is there.
    pub fn begin(&mut self, method: &str, target: &str, length: Option<usize>) -> io::Result<()> {
        if std::mem::take(&mut self.over) {
            self.stream = open(self.address, self.tls.as_ref());
            self.connections += 1;
        }
        let length = length.map_or(String::new(), |it| format!("Content-Length: {it}\r\n"));
        let head = self.head(method, target, &length);
        self.send(head.as_bytes())
    }

    /// Reads the head of a reply.
    pub fn reply_head(&mut self) -> io::Result<Reply> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                let what = format!("the connection ended after {head:?}");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
            }
        }
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no reply: {head}")))?;
        let reply = Reply { status, head, body: Vec::new() };
        self.over |= reply.field("Connection") == Some("close");
        Ok(reply)
    }

    /// Reads so many bytes of content.
    pub fn read(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a reply.
    pub fn reply(&mut self) -> io::Result<Reply> {
        let mut reply = self.reply_head()?;
        let length = reply.field("Content-Length").and_then(|text| text.parse().ok());
        reply.body = self.read(length.unwrap_or(0))?;
        Ok(reply)
    }

    /// A request, signed, and its reply.
    pub fn ask(&mut self, method: &str, target: &str, content: &[u8]) -> io::Result<Reply> {
        let length =
            (method == "PUT" || method == "POST" || !content.is_empty()).then_some(content.len());
        self.begin(method, target, length)?;
        if !content.is_empty()
            && let Err(error) = self.send(content)
        {
            // It may have been refused before all of it was read.
            return self.reply().map_err(|_| error);
        }
        self.reply()
    }

    /// A request that must be done.
    pub fn done(&mut self, method: &str, target: &str, content: &[u8]) -> Reply {
        let reply = self.ask(method, target, content).expect("it is answered");
        let text = String::from_utf8_lossy(&reply.body[..reply.body.len().min(500)]);
        assert!((200..300).contains(&reply.status), "{method} {target}: {} {text}", reply.status);
        reply
    }

    pub fn put(&mut self, target: &str, content: &[u8]) {
        self.done("PUT", target, content);
    }

    pub fn get(&mut self, target: &str) -> Vec<u8> {
        self.done("GET", target, b"").body
    }

    /// All that still comes, until the other side ends the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A connection that is cut has an end, too.
        let _ = self.stream.read_to_end(&mut rest);
        rest
    }
}

/// What tells which object it is, and where in it.
pub fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while bytes.len() < length {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
