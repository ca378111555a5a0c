//! The head of a request: `httparse` finds its parts, and here is decided what they
//! mean together (RFC 9112, sections 2 to 6) and what is refused.

use std::mem::MaybeUninit;

use crate::step::{Framing, Head};

/// The most fields that a head may have.
pub const FIELDS: usize = 100;

/// Most heads have fewer fields than this, and take no memory.
const FEW: usize = 20;

/// How much a client may send before it has said what it wants.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a head, with its request line.
    pub head: usize,
}

impl Default for Limits {
    /// Room for the most metadata and a long presigned target.
    fn default() -> Self {
        Self { head: 32 << 10 }
    }
}

/// A request that cannot be understood. The connection ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What to answer with.
    pub status: u16,
    /// Why, for people.
    pub why: &'static str,
}

/// What a mover needs to know of a request after its head is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Another request may follow.
    pub keep_alive: bool,
    /// HTTP/1.0: the client must be told that the connection stays.
    pub old: bool,
    /// HEAD: the reply has no content, whatever it says.
    pub head_only: bool,
    /// The client waits for `100 Continue` before it sends the content.
    pub expects: bool,
    /// How the content is framed.
    pub framing: Framing,
}

const fn broken(status: u16, why: &'static str) -> Broken {
    Broken { status, why }
}

/// Reads a head at the beginning of `bytes`. `None`: more bytes are needed. Else how many
/// bytes it had, and what `take` made of it.
///
/// # Errors
/// When it is no head, is too large, or could be read in two ways.
pub fn read_head<T>(
    bytes: &[u8],
    limits: Limits,
    take: impl FnOnce(&Head<'_>, Manner) -> T,
) -> Result<Option<(usize, T)>, Broken> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length <= limits.head => length,
        Ok(httparse::Status::Partial) if bytes.len() < limits.head => return Ok(None),
        Ok(_) => return Err(broken(431, "the head is too large")),
        Err(error) => return Err(refused(error)),
    };
    if !lines_end_well(&bytes[..length]) {
        return Err(broken(400, "a line of the head does not end with CR LF"));
    }
    let count = request.headers.len();
    let (mut few, mut many): ([(&str, &[u8]); FEW], _) = ([("", &[]); FEW], Vec::new());
    let headers = if count <= FEW {
        &mut few[..count]
    } else {
        many.resize(count, ("", &[][..]));
        &mut many[..]
    };
    for (to, from) in headers.iter_mut().zip(request.headers.iter()) {
        *to = (from.name, from.value.trim_ascii());
    }
    let headers = &headers[..];
    let method = request.method.unwrap_or_default();
    let manner = manner(method, request.version == Some(0), headers)?;
    let (path, query) = target(request.path.unwrap_or_default(), headers)?;
    let head = Head { method, path, query, headers, framing: manner.framing };
    Ok(Some((length, take(&head, manner))))
}

fn refused(error: httparse::Error) -> Broken {
    match error {
        httparse::Error::TooManyHeaders => broken(431, "the head has too many fields"),
        httparse::Error::Version => broken(505, "the version of HTTP is neither 1.0 nor 1.1"),
        httparse::Error::HeaderName => broken(400, "the name of a field is none"),
        httparse::Error::HeaderValue => broken(400, "the value of a field is none"),
        httparse::Error::NewLine => broken(400, "a line of the head does not end with CR LF"),
        httparse::Error::Token | httparse::Error::Status => broken(400, "the request line is none"),
    }
}

/// No LF without a CR before it. (A CR without a LF is refused by the parser.)
fn lines_end_well(head: &[u8]) -> bool {
    // Without a branch in it, so that many bytes are looked at together.
    let pairs = head.iter().zip(head.get(1..).unwrap_or_default());
    let bare =
        pairs.fold(false, |bare, (before, byte)| bare | (*byte == b'\n' && *before != b'\r'));
    !bare && head.first() != Some(&b'\n')
}

/// What the fields say about the message itself.
#[derive(Default)]
struct Said<'a> {
    hosts: usize,
    length: Option<&'a [u8]>,
    lengths: usize,
    coding: Option<&'a [u8]>,
    codings: usize,
    close: bool,
    keep: bool,
    expect: Option<&'a [u8]>,
}

impl<'a> Said<'a> {
    fn of(headers: &[(&str, &'a [u8])]) -> Self {
        let mut said = Self::default();
        for (name, value) in headers {
            said.field(name, value);
        }
        said
    }
    // By length first: most fields are none of these.
    fn field(&mut self, name: &str, value: &'a [u8]) {
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => self.hosts += 1,
            6 if name.eq_ignore_ascii_case("expect") => self.expect = Some(value),
            10 if name.eq_ignore_ascii_case("connection") => {
                for word in value.split(|byte| *byte == b',') {
                    let word = word.trim_ascii();
                    self.close |= word.eq_ignore_ascii_case(b"close");
                    self.keep |= word.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                self.lengths += 1;
                self.length = Some(value);
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                self.codings += 1;
                self.coding = Some(value);
            }
            _ => {}
        }
    }
}

fn manner(method: &str, old: bool, headers: &[(&str, &[u8])]) -> Result<Manner, Broken> {
    let said = Said::of(headers);
    if said.hosts > 1 || (said.hosts == 0 && !old) {
        return Err(broken(400, "there must be one Host"));
    }
    let framing = framing(&said, old)?;
    let expects = match said.expect {
        // A client of HTTP/1.0 would not understand the interim reply.
        Some(_) if old => false,
        Some(word) if word.eq_ignore_ascii_case(b"100-continue") => true,
        // What else may be expected nobody has ever said; to refuse it is allowed, and
        // helps nobody (RFC 9110, section 10.1.1).
        Some(_) | None => false,
    };
    let keep_alive = !said.close && (!old || said.keep);
    Ok(Manner { keep_alive, old, head_only: method == "HEAD", expects, framing })
}

/// RFC 9112, section 6: and what it lets a server refuse is refused.
fn framing(said: &Said<'_>, old: bool) -> Result<Framing, Broken> {
    match (said.length, said.coding) {
        (None, None) => Ok(Framing::None),
        (Some(_), Some(_)) => {
            Err(broken(400, "a length and a transfer coding say different things"))
        }
        (Some(length), None) if said.lengths == 1 => match decimal(length) {
            Some(0) => Ok(Framing::None),
            Some(length) => Ok(Framing::Length(length)),
            None => Err(broken(400, "the length of the content is no number")),
        },
        (Some(_), None) => Err(broken(400, "there are several lengths of the content")),
        (None, Some(_)) if old => Err(broken(400, "HTTP/1.0 has no transfer codings")),
        (None, Some(coding)) if said.codings == 1 && coding.eq_ignore_ascii_case(b"chunked") => {
            Ok(Framing::Chunked)
        }
        (None, Some(_)) => Err(broken(501, "the only transfer coding is chunked")),
    }
}

/// Digits and nothing else, within 63 bits.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'))
    })
}

/// The path and the query. An absolute form must name the host that `Host` names.
fn target<'a>(target: &'a str, headers: &[(&str, &[u8])]) -> Result<(&'a str, &'a str), Broken> {
    let origin = if target.starts_with('/') { target } else { absolute(target, headers)? };
    Ok(match origin.as_bytes().iter().position(|byte| *byte == b'?') {
        Some(at) => (&origin[..at], &origin[at + 1..]),
        None => (origin, ""),
    })
}

fn absolute<'a>(target: &'a str, headers: &[(&str, &[u8])]) -> Result<&'a str, Broken> {
    let scheme = target.find("://").filter(|at| {
        let scheme = &target[..*at];
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    });
    let Some(scheme) = scheme else {
        return Err(broken(400, "the target of the request is no path"));
    };
    let rest = &target[scheme + 3..];
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let same = |value: &[u8]| value.eq_ignore_ascii_case(&rest.as_bytes()[..end]);
    if !headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("host") && same(value)) {
        return Err(broken(400, "the target names another host than Host does"));
    }
    match &rest[end..] {
        path if path.starts_with('/') => Ok(path),
        "" => Ok("/"),
        _ => Err(broken(400, "the target of the request is no path")),
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
