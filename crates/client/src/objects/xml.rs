//! The little XML that S3 speaks: elements and text.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Map, Value};

/// No document of S3 is deeper.
const DEPTH: usize = 24;

/// An element. Name spaces and attributes are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// What is inside.
    pub children: Vec<Element>,
}

impl Element {
    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }
    /// All children of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> + 'a {
        self.children.iter().filter(move |child| child.name == name)
    }
    /// The text of the first child of this name.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }
    /// Its content as JSON: text, or an object by the children's names. A name that is
    /// there several times has a list.
    pub fn to_json(&self) -> Value {
        if self.children.is_empty() {
            return Value::String(self.text.clone());
        }
        let mut object = Map::new();
        for child in &self.children {
            let value = child.to_json();
            match object.get_mut(&child.name) {
                None => drop(object.insert(child.name.clone(), value)),
                Some(Value::Array(several)) => several.push(value),
                Some(one) => *one = Value::Array(vec![one.take(), value]),
            }
        }
        Value::Object(object)
    }
}

/// Reads a document; `None` when it is none.
pub fn parse(bytes: &[u8]) -> Option<Element> {
    let mut reader = Reader::from_reader(bytes);
    let mut stack = vec![Element::default()];
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) if stack.len() < DEPTH => stack.push(begun(&start)?),
            Event::Empty(start) => stack.last_mut()?.children.push(begun(&start)?),
            Event::End(_) => {
                let element = stack.pop()?;
                stack.last_mut()?.children.push(element);
            }
            Event::Text(text) => stack.last_mut()?.text.push_str(std::str::from_utf8(&text).ok()?),
            Event::CData(text) => stack.last_mut()?.text.push_str(std::str::from_utf8(&text).ok()?),
            Event::GeneralRef(name) => stack.last_mut()?.text.push(reference(&name)?),
            Event::Start(_) | Event::DocType(_) => return None,
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
    let document = stack.pop().filter(|_| stack.is_empty())?;
    document.children.into_iter().next()
}

fn begun(start: &quick_xml::events::BytesStart<'_>) -> Option<Element> {
    let name = std::str::from_utf8(start.local_name().into_inner()).ok()?.to_owned();
    Some(Element { name, ..Element::default() })
}

fn reference(name: &[u8]) -> Option<char> {
    match std::str::from_utf8(name).ok()? {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        name => {
            let (digits, radix) = match name.strip_prefix("#x") {
                Some(digits) => (digits, 16),
                None => (name.strip_prefix('#')?, 10),
            };
            char::from_u32(u32::from_str_radix(digits, radix).ok()?)
        }
    }
}

/// Text as it stands in a document.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() => safe.push_str(&format!("&#x{:x};", u32::from(c))),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_and_told_as_json() {
        let text = "<?xml version=\"1.0\"?><R xmlns=\"x\"><A>1</A><B><C>a&amp;&#x41;</C></B><A>2</A><D/></R>";
        let read = parse(text.as_bytes()).expect("it is one");
        assert_eq!(read.text_of("A"), Some("1"));
        let told = read.to_json().to_string();
        assert_eq!(told, r#"{"A":["1","2"],"B":{"C":"a&A"},"D":""}"#);
    }

    #[test]
    fn what_is_none_is_none() {
        for bad in ["", "text", "<a>", "<a></b>", "<!DOCTYPE x><a/>", "<a>&b;</a>"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(parse("<a>".repeat(99).as_bytes()), None);
    }

    #[test]
    fn what_is_escaped_is_read_alike() {
        let text = "<&>\"'\u{1}é";
        let read = parse(format!("<K>{}</K>", escaped(text)).as_bytes()).expect("it is one");
        assert_eq!(read.text, text);
    }
}
