//! Forms (`multipart/form-data`, RFC 7578), read without I/O as they come: the fields
//! before the file are kept, within bounds; the file's content is handed on; what
//! comes behind the file is ignored, as the real service does.

use super::refusal::AuthError;
use crate::step::Head;

/// The most bytes of all fields before the file.
const FIELDS_LARGEST: usize = 20 * 1024;
/// The most fields.
const FIELDS_MOST: usize = 200;
/// The longest header of a part, with its name.
const HEADER_LARGEST: usize = 8 * 1024;
/// The longest boundary (RFC 2046).
const BOUNDARY_LONGEST: usize = 70;

/// The fields of a form that come before its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Names as they came, and values, in order.
    pub fields: Vec<(Box<str>, Box<str>)>,
    /// The name that the file has at the client.
    pub file_name: Option<Box<str>>,
    /// The type that the client says the file is of.
    pub file_type: Option<Box<str>>,
}

impl Fields {
    /// The first value of a field. Names have no case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.fields.iter();
        all.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }
}

/// What a form consists of.
#[derive(Debug)]
pub enum Event<'a> {
    /// The file begins: all fields before it.
    File(Fields),
    /// Content of the file.
    Content(&'a [u8]),
}

enum State {
    /// Before the first boundary.
    Preamble,
    /// Behind a boundary: the end of its line, or two dashes.
    Boundary,
    /// Headers of a part.
    Headers,
    /// A field's value.
    Value,
    /// The file's content.
    File,
    /// Behind the file, or behind the last boundary.
    Over,
}

/// Reads a form.
pub struct FormParser {
    state: State,
    /// `CR LF -- boundary`.
    delimiter: Vec<u8>,
    /// Bytes that may be the beginning of a delimiter.
    tail: Vec<u8>,
    /// A line or value that is not yet whole.
    held: Vec<u8>,
    name: Box<str>,
    size: usize,
    fields: Fields,
    file_seen: bool,
}

fn malformed() -> AuthError {
    let message = "The body of your POST request is not well-formed multipart/form-data.";
    AuthError::new(400, "MalformedPOSTRequest", message)
}

impl FormParser {
    /// Begins a form.
    ///
    /// # Errors
    /// When the request is no form, or says no boundary.
    pub fn new(head: &Head<'_>) -> Result<Self, AuthError> {
        let not_a_form = || {
            let message = "Bucket POST must be of the enclosure-type multipart/form-data";
            AuthError::new(412, "PreconditionFailed", message).with("Condition", message)
        };
        let kind = head.header("content-type").ok_or_else(not_a_form)?;
        let (kind, rest) = kind.split_once(';').unwrap_or((kind, ""));
        if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            return Err(not_a_form());
        }
        let boundary = parameter(rest, "boundary").ok_or_else(malformed)?;
        if boundary.is_empty() || boundary.len() > BOUNDARY_LONGEST {
            return Err(malformed());
        }
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        Ok(Self {
            state: State::Preamble,
            delimiter,
            // The first boundary may come without a line's end before it.
            tail: b"\r\n".to_vec(),
            held: Vec::new(),
            name: Box::default(),
            size: 0,
            fields: Fields::default(),
            file_seen: false,
        })
    }

    /// Takes what came.
    ///
    /// # Errors
    /// When it is no form, or too large before the file, or when `sink` says so.
    pub fn take<E: From<AuthError>>(
        &mut self,
        mut bytes: &[u8],
        sink: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Over => return Ok(()),
                State::Boundary => self.boundary(bytes)?,
                State::Headers => self.headers(bytes, sink)?,
                State::Preamble | State::Value | State::File => self.content(bytes, sink)?,
            };
        }
        Ok(())
    }

    /// All of it came.
    ///
    /// # Errors
    /// When there was no file, or not all of it.
    pub fn end(self) -> Result<(), AuthError> {
        match self.state {
            State::Over if self.file_seen => Ok(()),
            State::Over => {
                Err(AuthError::argument("POST requires exactly one file upload per request.")
                    .with("ArgumentName", "file")
                    .with("ArgumentValue", "0"))
            }
            _ => Err(malformed()),
        }
    }

    fn boundary<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], AuthError> {
        // Blanks may stand between a boundary and its line's end.
        let [first, rest @ ..] = bytes else { return Ok(bytes) };
        match (*first, self.held.as_slice()) {
            (b'-', b"-") => self.state = State::Over,
            (b'\n', b"\r") => {
                self.held.clear();
                self.state = State::Headers;
                self.size = 0;
                self.name = Box::default();
            }
            (b' ' | b'\t', b"") => {}
            (byte @ (b'-' | b'\r'), b"") => self.held.push(byte),
            _ => return Err(malformed()),
        }
        Ok(rest)
    }

    fn headers<'b, E: From<AuthError>>(
        &mut self,
        bytes: &'b [u8],
        sink: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<&'b [u8], E> {
        let cut = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        self.size += cut;
        if self.size > HEADER_LARGEST {
            return Err(malformed().into());
        }
        self.held.extend_from_slice(&bytes[..cut]);
        let rest = &bytes[cut..];
        let Some(line) = self.held.strip_suffix(b"\n") else { return Ok(rest) };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line).map_err(|_| malformed())?.to_owned();
        self.held.clear();
        if line.is_empty() {
            self.begin_value(sink)?;
        } else {
            self.header(&line)?;
        }
        Ok(rest)
    }

    fn header(&mut self, line: &str) -> Result<(), AuthError> {
        let (name, value) = line.split_once(':').ok_or_else(malformed)?;
        if name.eq_ignore_ascii_case("content-disposition") {
            let rest = value.split_once(';').map_or("", |(_, rest)| rest);
            self.name = parameter(rest, "name").ok_or_else(malformed)?.into();
            self.fields.file_name = parameter(rest, "filename").map(Into::into);
        } else if name.eq_ignore_ascii_case("content-type") {
            self.fields.file_type = Some(value.trim().into());
        }
        Ok(())
    }

    fn begin_value<E: From<AuthError>>(
        &mut self,
        sink: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.name.is_empty() {
            return Err(malformed().into());
        }
        self.tail.clear();
        if self.name.eq_ignore_ascii_case("file") {
            self.state = State::File;
            self.file_seen = true;
            return sink(Event::File(std::mem::take(&mut self.fields)));
        }
        self.fields.file_name = None;
        self.fields.file_type = None;
        self.state = State::Value;
        Ok(())
    }

    /// Content until the next delimiter; the bytes behind it.
    fn content<'b, E: From<AuthError>>(
        &mut self,
        bytes: &'b [u8],
        sink: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<&'b [u8], E> {
        if !self.tail.is_empty() {
            return self.tail(bytes, sink);
        }
        let mut from = 0;
        while let Some(at) = bytes[from..].iter().position(|byte| *byte == b'\r') {
            let at = from + at;
            let (before, rest) = bytes.split_at(at);
            if rest.starts_with(&self.delimiter) {
                let behind = &rest[self.delimiter.len()..];
                self.some(before, sink)?;
                self.delimited()?;
                return Ok(behind);
            }
            if self.delimiter.starts_with(rest) {
                self.some(before, sink)?;
                self.tail.extend_from_slice(rest);
                return Ok(&[]);
            }
            from = at + 1;
        }
        self.some(bytes, sink)?;
        Ok(&[])
    }

    /// Goes on where bytes that may be the beginning of a delimiter are held.
    fn tail<'b, E: From<AuthError>>(
        &mut self,
        bytes: &'b [u8],
        sink: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<&'b [u8], E> {
        let (first, rest) = bytes.split_at(1);
        self.tail.extend_from_slice(first);
        if self.tail == self.delimiter {
            self.tail.clear();
            self.delimited()?;
            return Ok(rest);
        }
        let fits = |tail: &[u8]| self.delimiter.starts_with(tail);
        let cut =
            (0..self.tail.len()).find(|at| fits(&self.tail[*at..])).unwrap_or(self.tail.len());
        if cut > 0 {
            let tail = std::mem::take(&mut self.tail);
            self.some(&tail[..cut], sink)?;
            self.tail.extend_from_slice(&tail[cut..]);
        }
        Ok(rest)
    }

    fn some<E: From<AuthError>>(
        &mut self,
        bytes: &[u8],
        sink: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.state {
            State::File if !bytes.is_empty() => sink(Event::Content(bytes)),
            State::Value => {
                self.held.extend_from_slice(bytes);
                let known: usize =
                    self.fields.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
                if known + self.held.len() > FIELDS_LARGEST {
                    let message = "Your POST request fields preceding the upload file were too \
                                   large.";
                    return Err(AuthError::new(400, "MaxPostPreDataLengthExceeded", message).into());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn delimited(&mut self) -> Result<(), AuthError> {
        match self.state {
            State::File => self.state = State::Over,
            State::Value => {
                let value = String::from_utf8(std::mem::take(&mut self.held));
                let value = value.map_err(|_| malformed())?.into();
                if self.fields.fields.len() >= FIELDS_MOST {
                    return Err(malformed());
                }
                self.fields.fields.push((std::mem::take(&mut self.name), value));
                self.state = State::Boundary;
            }
            _ => self.state = State::Boundary,
        }
        Ok(())
    }
}

/// A parameter of a header's value: `; name=value; other="quoted \" value"`.
fn parameter(rest: &str, name: &str) -> Option<String> {
    let mut rest = rest;
    loop {
        rest = rest.trim_start_matches([';', ' ', '\t']);
        let (known, value) = rest.split_once('=')?;
        let (value, behind) = match value.trim_start().strip_prefix('"') {
            None => {
                let cut = value.find(';').unwrap_or(value.len());
                (value[..cut].trim().to_owned(), &value[cut..])
            }
            Some(quoted) => unquote(quoted)?,
        };
        if known.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = behind;
    }
}

/// The text up to the closing quotation mark, and what is behind it. Only an escaped
/// quotation mark is undone: browsers send paths with plain backslashes.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = quoted.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' if letters.peek().is_some_and(|(_, next)| *next == '"') => {
                value.extend(letters.next().map(|(_, next)| next));
            }
            other => value.push(other),
        }
    }
    None
}
