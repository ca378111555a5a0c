//! A client that asks one thing after the other over one connection: for filling, and for
//! what `wrk` cannot time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::sign::Signer;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest answer that is read.
const ANSWER: usize = 64 << 20;

/// A connection.
pub struct Client {
    signer: Signer,
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to a host with its port.
    pub fn new(host: &str) -> Result<Self> {
        let stream = TcpStream::connect(host).with_context(|| format!("nobody at {host}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let stream = BufReader::with_capacity(256 << 10, stream);
        Ok(Self { signer: Signer::new(host)?, stream })
    }

    /// Asks, signed; the content of the answer, which must be a good one.
    pub fn ask(&mut self, method: &str, path: &str, query: &str, content: &[u8]) -> Result<String> {
        let length = (method == "PUT").then_some(content.len());
        let mut request = self.signer.head(method, path, query, length).into_bytes();
        request.extend_from_slice(content);
        self.stream.get_mut().write_all(&request)?;
        let (status, answer) = self.answer()?;
        ensure!((200..300).contains(&status), "{method} {path}?{query}: {status} {answer}");
        Ok(answer)
    }

    fn answer(&mut self) -> Result<(u16, String)> {
        let (mut status, mut length) = (0, None);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the server ended the connection");
            }
            let line = line.trim_end();
            if status == 0 {
                let word = line.split(' ').nth(1).context("no status")?;
                status = word.parse()?;
            } else if line.is_empty() {
                break;
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse::<usize>()?);
            }
        }
        let length = match length {
            None if status == 204 => 0,
            None => bail!("an answer without a length"),
            Some(length) => length,
        };
        ensure!(length <= ANSWER, "an answer of {length} bytes");
        let mut content = vec![0; length];
        self.stream.read_exact(&mut content)?;
        Ok((status, String::from_utf8_lossy(&content).into_owned()))
    }
}

/// Puts many objects by 64 connections: `object` says the path and the content of each.
pub fn fill(
    host: &str,
    count: usize,
    object: impl Fn(usize) -> (String, Vec<u8>) + Sync,
) -> Result<()> {
    const CONNECTIONS: usize = 64;
    let next = AtomicUsize::new(0);
    let fill_some = || -> Result<()> {
        let mut client = Client::new(host)?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            let (path, content) = object(number);
            client.ask("PUT", &path, "", &content)?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(fill_some)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done,
            Err(_) => bail!("a thread that puts objects ended"),
        })
    })
}
