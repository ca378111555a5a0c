//! The content coding `aws-chunked`, undone without I/O.
//!
//! `SIZE[;chunk-signature=…] CR LF, that many bytes, CR LF`, …, a chunk of size 0, then
//! trailing headers when they were announced, and an empty line. Each signature is of
//! the chunk's hash and of the signature before it; the first one's is the request's.
//! Content is handed on before its signature is checked: who takes it keeps nothing of
//! a body that does not end well.

use ring::{digest, hmac};

use super::refusal::AuthError;
use super::signing;

/// The longest line before or behind content.
const LINE_LONGEST: usize = 4096;
/// The most trailing headers.
const TRAILERS_MOST: usize = 16;
/// SHA-256 of nothing.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Headers that came behind a body: lower-case names, values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trailers(pub Vec<(Box<str>, Box<str>)>);

impl Trailers {
    /// A trailing header by its lower-case name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| &**known == name).map(|(_, value)| &**value)
    }
}

/// The signatures of chunks.
pub(super) struct Signatures {
    key: hmac::Key,
    /// The moment and the scope, as lines.
    begin: Box<str>,
    previous: [u8; 64],
    hash: digest::Context,
}

impl std::fmt::Debug for Signatures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signatures").field("begin", &self.begin).finish_non_exhaustive()
    }
}

impl Signatures {
    /// `seed`: the request's signature, which is a good one.
    pub fn new(key: &hmac::Key, stamp: &str, scope: &str, seed: &str) -> Self {
        let previous = seed.as_bytes().try_into().expect("a good signature has 64 digits");
        let begin = format!("{stamp}\n{scope}\n").into();
        Self { key: key.clone(), begin, previous, hash: digest::Context::new(&digest::SHA256) }
    }

    fn check(
        &mut self,
        kind: &str,
        middle: &str,
        hashed: &[u8],
        signature: &str,
    ) -> Result<(), AuthError> {
        let mut text = Vec::with_capacity(384);
        for piece in [kind.as_bytes(), b"\n", self.begin.as_bytes(), &self.previous, b"\n"] {
            text.extend_from_slice(piece);
        }
        text.extend_from_slice(middle.as_bytes());
        signing::hexadecimal(hashed, &mut text);
        if !signing::matches(&self.key, &text, signature) {
            return Err(AuthError::new(
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you \
                 provided. Check your key and signing method.",
            )
            .with("StringToSign", String::from_utf8_lossy(&text))
            .with("SignatureProvided", signature));
        }
        self.previous = signature.as_bytes().try_into().expect("a good signature has 64 digits");
        Ok(())
    }

    fn chunk(&mut self, signature: &str) -> Result<(), AuthError> {
        let new = digest::Context::new(&digest::SHA256);
        let hash = std::mem::replace(&mut self.hash, new).finish();
        let middle = format!("{NOTHING}\n");
        self.check("AWS4-HMAC-SHA256-PAYLOAD", &middle, hash.as_ref(), signature)
    }

    fn trailer(&mut self, trailers: &Trailers, signature: &str) -> Result<(), AuthError> {
        let text: String =
            trailers.0.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        self.check("AWS4-HMAC-SHA256-TRAILER", "", hash.as_ref(), signature)
    }
}

enum State {
    /// A line with a size.
    Size,
    /// So many more bytes of a chunk.
    Content(u64),
    /// The end of a chunk's last line; the value is the first byte to come.
    Gap(u8),
    /// Trailing headers.
    Trailer,
    /// Nothing more.
    Over,
}

/// Undoes the coding.
pub(super) struct Decoder {
    state: State,
    signatures: Option<Signatures>,
    trailer: bool,
    left: u64,
    line: Vec<u8>,
    /// Where in the line its chunk's signature was.
    signature: Option<[u8; 64]>,
    trailers: Trailers,
    trailer_signed: bool,
}

fn malformed() -> AuthError {
    AuthError::incomplete("The request body is not correctly encoded in aws-chunked.")
}

impl Decoder {
    /// `length`: how long the content is, as the request says it.
    pub fn new(signatures: Option<Signatures>, trailer: bool, length: u64) -> Self {
        Self {
            state: State::Size,
            signatures,
            trailer,
            left: length,
            line: Vec::new(),
            signature: None,
            trailers: Trailers::default(),
            trailer_signed: false,
        }
    }

    pub fn take<E: From<AuthError>>(
        &mut self,
        mut bytes: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while let [first, rest @ ..] = bytes {
            match self.state {
                State::Content(0) => {
                    self.end_of_chunk()?;
                    self.state = State::Gap(b'\r');
                }
                State::Content(left) => {
                    let fits =
                        usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    let (content, behind) = bytes.split_at(fits);
                    if let Some(signatures) = &mut self.signatures {
                        signatures.hash.update(content);
                    }
                    self.state = State::Content(left - fits as u64);
                    sink(content)?;
                    bytes = behind;
                }
                State::Gap(expected) if *first == expected => {
                    self.state = if expected == b'\r' { State::Gap(b'\n') } else { State::Size };
                    bytes = rest;
                }
                State::Gap(_) | State::Over => return Err(malformed().into()),
                State::Size | State::Trailer => bytes = self.collect(bytes)?,
            }
        }
        Ok(())
    }

    /// Collects a line, and acts on it when it is whole; the bytes behind it.
    fn collect<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], AuthError> {
        let cut = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        if self.line.len() + cut > LINE_LONGEST {
            return Err(malformed());
        }
        self.line.extend_from_slice(&bytes[..cut]);
        if self.line.last() == Some(&b'\n') {
            let mut line = std::mem::take(&mut self.line);
            let text = line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n"));
            let text = std::str::from_utf8(text.unwrap_or(&[])).map_err(|_| malformed())?;
            match self.state {
                State::Size => self.size(text)?,
                _ => self.trailer(text)?,
            }
            line.clear();
            self.line = line;
        }
        Ok(&bytes[cut..])
    }

    fn size(&mut self, line: &str) -> Result<(), AuthError> {
        let (size, signature) = match line.split_once(';') {
            None => (line, None),
            Some((size, rest)) => {
                (size, Some(rest.strip_prefix("chunk-signature=").ok_or_else(malformed)?))
            }
        };
        let digits =
            (1..=16).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = u64::from_str_radix(size, 16).ok().filter(|_| digits).ok_or_else(malformed)?;
        if self.signatures.is_some() {
            let signature = signature.ok_or_else(malformed)?;
            self.signature = Some(signature.as_bytes().try_into().map_err(|_| malformed())?);
        }
        self.left = self.left.checked_sub(size).ok_or_else(too_long)?;
        if size > 0 {
            self.state = State::Content(size);
            return Ok(());
        }
        if self.left > 0 {
            return Err(too_short());
        }
        self.end_of_chunk()?;
        self.state = State::Trailer;
        Ok(())
    }

    fn end_of_chunk(&mut self) -> Result<(), AuthError> {
        let Some(signatures) = &mut self.signatures else { return Ok(()) };
        let signature = self.signature.take().expect("a signed chunk's line has a signature");
        let signature = std::str::from_utf8(&signature).map_err(|_| malformed())?;
        signatures.chunk(signature)
    }

    fn trailer(&mut self, line: &str) -> Result<(), AuthError> {
        let needs_signature = self.trailer && self.signatures.is_some() && !self.trailer_signed;
        if line.is_empty() {
            // Some clients put an empty line before the signature of the trailer.
            if !needs_signature {
                self.state = State::Over;
            }
            return Ok(());
        }
        let (name, value) = line.split_once(':').ok_or_else(malformed)?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if !self.trailer || self.trailer_signed || self.trailers.0.len() >= TRAILERS_MOST {
            return Err(malformed());
        }
        if name == "x-amz-trailer-signature" {
            let Some(signatures) = &mut self.signatures else { return Err(malformed()) };
            signatures.trailer(&self.trailers, value)?;
            self.trailer_signed = true;
            return Ok(());
        }
        self.trailers.0.push((name.into(), value.into()));
        Ok(())
    }

    /// All of it came: the trailing headers.
    pub fn end(self) -> Result<Trailers, AuthError> {
        match self.state {
            State::Over => Ok(self.trailers),
            State::Trailer if self.line.is_empty() => {
                // The last empty line is missing, which takes nothing from the content.
                let needs_signature = self.trailer && self.signatures.is_some();
                let whole = !needs_signature || self.trailer_signed;
                whole.then_some(self.trailers).ok_or_else(malformed)
            }
            _ => Err(too_short()),
        }
    }
}

fn too_long() -> AuthError {
    AuthError::incomplete("The request body has more bytes than x-amz-decoded-content-length says.")
}

fn too_short() -> AuthError {
    AuthError::incomplete(
        "You did not provide the number of bytes specified by the x-amz-decoded-content-length \
         HTTP header",
    )
}
