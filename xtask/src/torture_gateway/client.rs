//! A client of S3 as small as it can be: one connection, one request after the other,
//! signed by version 4, and nothing of what it says is of the gateway's own code.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::{digest, hmac};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest line of a head.
const LINE: u64 = 16 << 10;
/// The longest body that is read.
const BODY: usize = 64 << 20;
const REGION: &str = "us-east-1";

/// Who asks, and whom.
#[derive(Clone, Debug)]
pub struct Account {
    /// Where the gateway is.
    pub address: SocketAddr,
    /// The access key's name…
    pub id: String,
    /// …and what only it knows.
    pub secret: String,
}

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Request<'r> {
    /// The method.
    pub method: &'r str,
    /// The bucket.
    pub bucket: &'r str,
    /// The key; empty for the bucket itself.
    pub key: &'r str,
    /// Parameters, by name.
    pub query: Vec<(&'r str, String)>,
    /// More fields, with names in lower case.
    pub fields: Vec<(&'r str, String)>,
    /// What is sent.
    pub body: &'r [u8],
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its fields, with names in lower case.
    pub fields: Vec<(String, String)>,
    /// Its content.
    pub body: Vec<u8>,
}

impl Answer {
    /// A field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether it says that it was done.
    pub fn good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The content, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client.
pub struct Client {
    account: Account,
    connection: Option<BufReader<TcpStream>>,
    /// The key that signs, and of which day it is.
    signing: (String, Vec<u8>),
}

impl Client {
    /// Of this account.
    pub fn new(account: Account) -> Self {
        Self { account, connection: None, signing: (String::new(), Vec::new()) }
    }

    /// Whether it has a connection already.
    pub fn connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When the connection fails. It is made anew for the next request then.
    pub fn ask(&mut self, request: &Request<'_>) -> io::Result<Answer> {
        let head = self.head(request);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect_timeout(&self.account.address, PATIENCE)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                BufReader::new(stream)
            }
        };
        connection.get_mut().write_all(&[head.as_bytes(), request.body].concat())?;
        let (answer, close) = answer(&mut connection, request.method == "HEAD")?;
        if !close {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    fn head(&mut self, request: &Request<'_>) -> String {
        let path = match request.key {
            "" => format!("/{}", request.bucket),
            key => format!("/{}/{}", request.bucket, encode(key, true)),
        };
        let mut query: Vec<String> = request
            .query
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name, false), encode(value, false)))
            .collect();
        query.sort();
        let query = query.join("&");
        let (day, time) = now();
        let mut fields = request.fields.clone();
        fields.push(("host", self.account.address.to_string()));
        fields.push(("x-amz-content-sha256", "UNSIGNED-PAYLOAD".to_owned()));
        fields.push(("x-amz-date", format!("{day}T{time}Z")));
        fields.sort();
        let signature = self.sign(request.method, (&path, &query), &fields, (&day, &time));
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let mut head = format!("{} {path}?{query} HTTP/1.1\r\n", request.method);
        for (name, value) in &fields {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!(
            "authorization: AWS4-HMAC-SHA256 Credential={}/{day}/{REGION}/s3/aws4_request, \
             SignedHeaders={}, Signature={signature}\r\ncontent-length: {}\r\n\r\n",
            self.account.id,
            names.join(";"),
            request.body.len(),
        );
        head
    }

    fn sign(
        &mut self,
        method: &str,
        (path, query): (&str, &str),
        fields: &[(&str, String)],
        (day, time): (&str, &str),
    ) -> String {
        let lines: String =
            fields.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD");
        let scope = format!("{day}/{REGION}/s3/aws4_request");
        let hashed = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let text = format!("AWS4-HMAC-SHA256\n{day}T{time}Z\n{scope}\n{hashed}");
        if self.signing.0 != day {
            let first = format!("AWS4{}", self.account.secret);
            let parts = [day, REGION, "s3", "aws4_request"];
            let key = parts.iter().fold(first.into_bytes(), |key, part| sum(&key, part));
            self.signing = (day.to_owned(), key);
        }
        hex(&sum(&self.signing.1, &text))
    }
}

/// HMAC-SHA-256.
fn sum(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Escapes what is not plain.
fn encode(text: &str, path: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escaped = |byte: u8| match plain(byte) || (path && byte == b'/') {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}

/// The day and the time, in UTC.
fn now() -> (String, String) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, seconds) = ((since / 86_400).cast_signed(), since % 86_400);
    // Days since 1 March of the year 0, in eras of 400 years.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    (format!("{year:04}{month:02}{day:02}"), format!("{hour:02}{minute:02}{second:02}"))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn line(from: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    from.by_ref().take(LINE).read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Reads an answer; says whether the connection ends with it.
fn answer(from: &mut BufReader<TcpStream>, empty: bool) -> io::Result<(Answer, bool)> {
    loop {
        let first = line(from)?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status: u16 = status.ok_or_else(|| bad("no status"))?;
        let mut fields = Vec::new();
        loop {
            let line = line(from)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| bad("no field"))?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if status == 100 {
            continue;
        }
        let mut answer = Answer { status, fields, body: Vec::new() };
        let length = answer.field("content-length").map_or(Ok(0), str::parse::<usize>);
        let length = length.map_err(|_| bad("no length"))?;
        if length > BODY || answer.field("transfer-encoding").is_some() {
            return Err(bad("a body that is not expected"));
        }
        if !empty && status != 204 && status != 304 {
            answer.body.resize(length, 0);
            from.read_exact(&mut answer.body)?;
        }
        let close = answer.field("connection").is_some_and(|said| said == "close");
        return Ok((answer, close));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_plain_is_escaped() {
        assert_eq!(encode("a b/é~", true), "a%20b/%C3%A9~");
        assert_eq!(encode("a/b", false), "a%2Fb");
    }
}
