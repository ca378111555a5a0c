//! Names and values of a request, kept in one piece of memory: the query, decoded, and
//! the headers by lower-case name. Requests have few, so they are searched in order.

use std::fmt::Write as _;

use super::error::{Code, Outcome};
use crate::step::Head;

/// Names and values.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    text: String,
    /// Where each name ends and where its value ends; it begins where the one before
    /// ended.
    ends: Vec<(u32, u32)>,
}

impl Fields {
    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts.zip(&self.ends).map(|(start, (name, end))| {
            (&self.text[start as usize..*name as usize], &self.text[*name as usize..*end as usize])
        })
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The first value of a name, when it is not empty.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// There is one.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Adds one.
    pub fn push(&mut self, name: &str, value: &str) {
        self.text.push_str(name);
        let middle = self.text.len();
        self.text.push_str(value);
        self.ends.push((middle as u32, self.text.len() as u32));
    }
}

/// The headers of a request. Names in lower case; values that are no UTF-8 are taken as
/// Latin-1, as HTTP once said.
pub fn of_headers(head: &Head<'_>) -> Fields {
    let bytes = head.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let mut text = String::with_capacity(bytes);
    let mut ends = Vec::with_capacity(head.headers.len());
    for (name, value) in head.headers {
        text.extend(name.chars().map(|character| character.to_ascii_lowercase()));
        let middle = text.len();
        match std::str::from_utf8(value) {
            Ok(value) => text.push_str(value),
            Err(_) => text.extend(value.iter().map(|byte| char::from(*byte))),
        }
        ends.push((middle as u32, text.len() as u32));
    }
    Fields { text, ends }
}

/// Decodes a query.
///
/// # Errors
/// When an escape is none, or what it says is no UTF-8.
pub fn decode_query(query: &str) -> Outcome<Fields> {
    let mut fields = Fields::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields.push(&decode(name, true)?, &decode(value, true)?);
    }
    Ok(fields)
}

/// Decodes a path, or a piece of one.
///
/// # Errors
/// When an escape is none, or what it says is no UTF-8.
pub fn decode_path(path: &str) -> Outcome<String> {
    decode(path, false)
}

fn decode(text: &str, plus: bool) -> Outcome<String> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: Option<&u8>| {
                    byte.and_then(|byte| char::from(*byte).to_digit(16)).ok_or(Code::InvalidURI)
                };
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                bytes.push((high * 16 + low) as u8);
            }
            b'+' if plus => bytes.push(b' '),
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).map_err(|_| Code::InvalidURI.into())
}

/// Escapes text as `encoding-type=url` does: a slash stays.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' | b'*' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_searched() {
        let query = decode_query("acl&prefix=a%2Fb+c&empty=&acl=2").unwrap();
        assert_eq!(query.get("acl"), Some(""));
        assert_eq!(query.get("prefix"), Some("a/b c"));
        assert_eq!(query.filled("empty"), None);
        assert_eq!(query.iter().count(), 4);
        assert!(decode_query("a=%f").is_err());
        assert!(decode_query("a=%ff").is_err());
    }

    #[test]
    fn what_is_escaped_is_decoded_alike() {
        let text = "a b/c+d%e\u{e9}~";
        assert_eq!(escape(text), "a%20b/c%2Bd%25e%C3%A9%7E");
        assert_eq!(decode_path(&escape(text)).unwrap(), text);
    }
}
