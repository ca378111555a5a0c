//! The head of a reply, written into a buffer.

use std::borrow::Cow;

use super::date::http_date;
use super::head::Manner;
use crate::step::Stored;

/// What is said about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// It stays, as the client expects.
    Stays,
    /// It stays, and a client of HTTP/1.0 must be told.
    StaysOld,
    /// It ends after this reply.
    Ends,
}

impl Closing {
    /// By what the client asked for, and whether it must end anyhow.
    pub fn of(manner: Manner, ends: bool) -> Self {
        match (manner.keep_alive && !ends, manner.old) {
            (false, _) => Self::Ends,
            (true, true) => Self::StaysOld,
            (true, false) => Self::Stays,
        }
    }
}

/// Writes the status line, the fields and the length. `length` is not written for a
/// status that has none. The fields of [`write_end`] must follow.
pub fn write_head(
    into: &mut Vec<u8>,
    status: u16,
    headers: &[(Cow<'static, str>, Cow<'static, str>)],
    length: u64,
) {
    write_status(into, status);
    for (name, value) in headers {
        write_field(into, name, value);
    }
    // RFC 9110, section 8.6: these have no content and say no length.
    if status != 204 && status != 304 && status >= 200 {
        into.extend_from_slice(b"Content-Length: ");
        write_number(into, length);
        into.extend_from_slice(b"\r\n");
    }
}

fn write_status(into: &mut Vec<u8>, status: u16) {
    into.extend_from_slice(b"HTTP/1.1 ");
    write_number(into, u64::from(status));
    into.push(b' ');
    into.extend_from_slice(reason(status).as_bytes());
    into.extend_from_slice(b"\r\n");
}

const TAG: &str = "ETag";
const MODIFIED: &str = "Last-Modified";

/// Writes what a good reply says of any content, without what [`write_stored`] writes.
/// False: the fields say something else than that of this content.
pub fn write_fields(
    into: &mut Vec<u8>,
    headers: &[(Cow<'static, str>, Cow<'static, str>)],
    stored: &Stored,
) -> bool {
    write_status(into, 200);
    let (mut tags, mut dates) = (0, 0);
    for (name, value) in headers {
        if name.eq_ignore_ascii_case(TAG) {
            tags += 1;
            if value.as_bytes() != quoted(&stored.md5) {
                return false;
            }
        } else if name.eq_ignore_ascii_case(MODIFIED) {
            dates += 1;
            if **value != *modified(stored) {
                return false;
            }
        } else {
            write_field(into, name, value);
        }
    }
    (tags, dates) == (1, 1)
}

/// Writes what is said of stored content and of no other: its tag, its date, its length.
/// What [`write_fields`] writes goes before it, the fields of [`write_end`] behind it.
pub fn write_stored(into: &mut Vec<u8>, stored: &Stored) {
    for piece in [TAG.as_bytes(), b": ", &quoted(&stored.md5), b"\r\n"] {
        into.extend_from_slice(piece);
    }
    for piece in [MODIFIED, ": ", &modified(stored), "\r\nContent-Length: "] {
        into.extend_from_slice(piece.as_bytes());
    }
    write_number(into, u64::from(stored.length));
    into.extend_from_slice(b"\r\n");
}

fn modified(stored: &Stored) -> String {
    http_date(model::Timestamp::from_micros(stored.modified.saturating_mul(1_000_000)))
}

/// An entity tag: hexadecimal digits in quotation marks.
fn quoted(md5: &[u8; 16]) -> [u8; 34] {
    let mut text = [b'"'; 34];
    for (pair, byte) in text[1..33].chunks_exact_mut(2).zip(md5) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    text
}

/// Writes the date, what happens to the connection, and the empty line.
pub fn write_end(into: &mut Vec<u8>, date: &str, closing: Closing) {
    into.extend_from_slice(b"Date: ");
    into.extend_from_slice(date.as_bytes());
    into.extend_from_slice(match closing {
        Closing::Stays => b"\r\n\r\n",
        Closing::StaysOld => b"\r\nConnection: keep-alive\r\n\r\n",
        Closing::Ends => &b"\r\nConnection: close\r\n\r\n"[..],
    });
}

/// Writes one field. Whatever could end the line is written as a blank: a value that came
/// from a client must not begin another field.
pub fn write_field(into: &mut Vec<u8>, name: &str, value: &str) {
    into.extend_from_slice(name.as_bytes());
    into.extend_from_slice(b": ");
    let from = into.len();
    into.extend_from_slice(value.as_bytes());
    for byte in &mut into[from..] {
        if matches!(*byte, b'\r' | b'\n' | 0) {
            *byte = b' ';
        }
    }
    into.extend_from_slice(b"\r\n");
}

fn write_number(into: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    into.extend_from_slice(&digits[at..]);
}

/// The reason phrase of a status (RFC 9110, section 15).
fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_written() {
        let mut text = Vec::new();
        let headers = [(Cow::Borrowed("ETag"), Cow::Borrowed("\"x\""))];
        write_head(&mut text, 200, &headers, 1_234_567_890_123);
        write_end(&mut text, "D", Closing::Stays);
        let expected =
            "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 1234567890123\r\nDate: D\r\n\r\n";
        assert_eq!(String::from_utf8(text).expect("text"), expected);
    }

    #[test]
    fn what_many_replies_say_and_what_one_says_make_a_head() {
        let stored =
            Stored { length: 5, md5: [0xa1; 16], modified: 784_111_777, ..Stored::default() };
        let tag = format!("\"{}\"", "a1".repeat(16));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let fields = |tag: &str, date: &str| {
            [("A", "b"), ("etag", tag), ("Last-Modified", date), ("C", "d")]
                .map(|(name, value)| (Cow::Owned(name.to_owned()), Cow::Owned(value.to_owned())))
        };
        let mut text = Vec::new();
        assert!(write_fields(&mut text, &fields(&tag, date), &stored));
        write_stored(&mut text, &stored);
        let expected = format!(
            "HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\nETag: {tag}\r\nLast-Modified: {date}\r\n\
             Content-Length: 5\r\n"
        );
        assert_eq!(String::from_utf8(text).expect("text"), expected);
        let mut other = Vec::new();
        assert!(!write_fields(&mut other, &fields("\"another\"", date), &stored));
        assert!(!write_fields(&mut other, &fields(&tag, "another"), &stored));
        assert!(!write_fields(&mut other, &fields(&tag, date)[..2], &stored));
    }

    #[test]
    fn some_replies_have_no_length_and_some_end_the_connection() {
        for status in [204, 304] {
            let mut text = Vec::new();
            write_head(&mut text, status, &[], 0);
            write_end(&mut text, "D", Closing::Ends);
            let text = String::from_utf8(text).expect("text");
            assert!(!text.contains("Length") && text.ends_with("\r\nConnection: close\r\n\r\n"));
        }
    }

    #[test]
    fn a_value_cannot_begin_a_field() {
        let mut text = Vec::new();
        write_field(&mut text, "a", "b\r\nSet-Cookie: c\0");
        assert_eq!(text, b"a: b  Set-Cookie: c \r\n");
    }
}
