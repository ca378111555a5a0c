//! XML, as far as S3 needs it: a writer that escapes, and a reader that makes a small
//! tree. The reader knows no document types and no entities but the five of the
//! standard, and bounds depth and number of elements: nothing a client sends grows.

use std::fmt::Write as _;

use quick_xml::Reader;
use quick_xml::events::Event;
use thiserror::Error;

/// The name space of S3's documents.
pub const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
/// The name space of types in lists of grants.
pub const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// The deepest document of S3 has seven levels.
const DEPTH: usize = 20;
/// A completed upload lists 10,000 parts with up to nine elements each.
const ELEMENTS: usize = 120_000;

/// Writes a document.
#[derive(Debug)]
pub struct Xml {
    text: String,
}

impl Xml {
    /// A document whose root has no name space (errors).
    pub fn bare() -> Self {
        Self { text: String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n") }
    }

    /// A document with this root in S3's name space.
    pub fn document(root: &'static str, inside: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self::bare();
        let _ = write!(xml.text, "<{root} xmlns=\"{NAMESPACE}\">");
        inside(&mut xml);
        let _ = write!(xml.text, "</{root}>");
        xml.text
    }

    /// A document that is nothing but text.
    pub fn text_document(root: &'static str, text: &str) -> String {
        Self::document(root, |xml| escape(text, &mut xml.text))
    }

    /// An element with elements inside.
    pub fn element(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.begin(name);
        inside(self);
        self.end(name);
    }

    // Pushed, not formatted: a page of a list has ten thousand of them.
    fn begin(&mut self, name: &str) {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
    }

    fn end(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    /// A grantee: an element whose type is told by an attribute.
    pub fn typed(&mut self, name: &str, kind: &str, inside: impl FnOnce(&mut Self)) {
        let _ = write!(self.text, "<{name} xmlns:xsi=\"{XSI}\" xsi:type=\"{kind}\">");
        inside(self);
        let _ = write!(self.text, "</{name}>");
    }

    /// An element with text.
    pub fn leaf(&mut self, name: &str, text: &str) {
        self.begin(name);
        escape(text, &mut self.text);
        self.end(name);
    }

    /// An element with text that needs no escaping: a number, a truth.
    pub fn plain(&mut self, name: &str, value: impl std::fmt::Display) {
        self.begin(name);
        let _ = write!(self.text, "{value}");
        self.end(name);
    }

    /// An element with text, when there is one.
    pub fn maybe(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.leaf(name, text);
        }
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }
}

/// Escapes text. What XML 1.0 has no character for becomes a reference, as the real
/// service does; clients that care ask for `encoding-type=url`.
fn escape(text: &str, into: &mut String) {
    let stays = |byte: &u8| matches!(byte, b' '..=b'~') && !b"<>&\"".contains(byte);
    if text.as_bytes().iter().all(stays) {
        return into.push_str(text);
    }
    for character in text.chars() {
        match character {
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '&' => into.push_str("&amp;"),
            '"' => into.push_str("&quot;"),
            '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => {
                into.push(character);
            }
            other => {
                let _ = write!(into, "&#x{:x};", u32::from(other));
            }
        }
    }
}

/// Why a document is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum XmlError {
    /// Not well formed.
    #[error("the document is not well formed")]
    Malformed,
    /// A document type, or an entity that is none of the five.
    #[error("document types and entities are not read")]
    Entity,
    /// Too deep, or too many elements.
    #[error("the document is too deep or has too many elements")]
    TooLarge,
}

/// An element that was read. Name spaces are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name without prefix.
    pub name: String,
    /// The attribute `type` of the name space of instances.
    pub kind: Option<String>,
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
}

/// Reads a document.
///
/// # Errors
/// When it is not well formed, or is larger than anything S3 has.
pub fn parse(bytes: &[u8]) -> Result<Element, XmlError> {
    let mut reader = Reader::from_reader(bytes);
    reader.config_mut().check_end_names = true;
    let mut stack: Vec<Element> = vec![Element::default()];
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(|_| XmlError::Malformed)?;
        let opens = matches!(event, Event::Start(_));
        match event {
            Event::Start(start) | Event::Empty(start) => {
                elements += 1;
                if stack.len() > DEPTH || elements > ELEMENTS {
                    return Err(XmlError::TooLarge);
                }
                let element = begin(&start)?;
                if opens {
                    stack.push(element);
                } else {
                    top(&mut stack).children.push(element);
                }
            }
            Event::End(_) => {
                let element = stack.pop().ok_or(XmlError::Malformed)?;
                if stack.is_empty() {
                    return Err(XmlError::Malformed);
                }
                top(&mut stack).children.push(element);
            }
            Event::Text(text) => top(&mut stack).text.push_str(utf8(&text)?),
            Event::CData(text) => top(&mut stack).text.push_str(utf8(&text)?),
            Event::GeneralRef(name) => top(&mut stack).text.push(reference(&name)?),
            Event::DocType(_) => return Err(XmlError::Entity),
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
    only_root(stack)
}

fn utf8(bytes: &[u8]) -> Result<&str, XmlError> {
    std::str::from_utf8(bytes).map_err(|_| XmlError::Malformed)
}

/// The one element that the document has.
fn only_root(mut stack: Vec<Element>) -> Result<Element, XmlError> {
    let document = stack.pop().filter(|_| stack.is_empty()).ok_or(XmlError::Malformed)?;
    let blank = |character: char| character.is_whitespace() || character == '\u{feff}';
    let mut roots = document.children;
    match roots.pop() {
        Some(root) if roots.is_empty() && document.text.chars().all(blank) => Ok(root),
        _ => Err(XmlError::Malformed),
    }
}

fn top(stack: &mut [Element]) -> &mut Element {
    stack.last_mut().expect("the stack has the document itself at its bottom")
}

fn begin(start: &quick_xml::events::BytesStart<'_>) -> Result<Element, XmlError> {
    let name = start.local_name();
    let name = utf8(name.as_ref())?;
    let mut element = Element { name: name.to_owned(), ..Element::default() };
    for attribute in start.attributes().take(16) {
        let attribute = attribute.map_err(|_| XmlError::Malformed)?;
        if attribute.key.local_name().as_ref() == b"type" {
            element.kind = Some(utf8(&attribute.value)?.to_owned());
        }
    }
    Ok(element)
}

fn reference(name: &[u8]) -> Result<char, XmlError> {
    let number = |digits: &str, radix| {
        u32::from_str_radix(digits, radix).ok().and_then(char::from_u32).ok_or(XmlError::Malformed)
    };
    match utf8(name)? {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        name => match name.strip_prefix("#x").or(name.strip_prefix("#X")) {
            Some(digits) => number(digits, 16),
            None => number(name.strip_prefix('#').ok_or(XmlError::Entity)?, 10),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_document_is_read_without_its_name_spaces() {
        let read = parse(
            b"<?xml version=\"1.0\"?>\n<s:Delete xmlns:s=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
              <s:Quiet>true</s:Quiet><s:Object><s:Key>a&amp;b&#x41;<![CDATA[<]]></s:Key></s:Object>\
              <Object/></s:Delete>\n",
        )
        .unwrap();
        assert_eq!(read.name, "Delete");
        assert_eq!(read.text_of("Quiet"), Some("true"));
        assert_eq!(read.all("Object").count(), 2);
        assert_eq!(read.child("Object").unwrap().text_of("Key"), Some("a&bA<"));
    }

    #[test]
    fn document_types_and_entities_are_refused() {
        let bomb = b"<!DOCTYPE x [<!ENTITY a \"aaaa\">]><x>&a;</x>";
        assert_eq!(parse(bomb), Err(XmlError::Entity));
        assert_eq!(parse(b"<x>&a;</x>"), Err(XmlError::Entity));
    }

    #[test]
    fn what_is_not_one_document_is_refused() {
        for bad in ["", "text", "<a>", "</a>", "<a></b>", "<a/><b/>", "<a/>x", "<a>&#xd800;</a>"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}{}", "<a>".repeat(1000), "</a>".repeat(1000));
        assert_eq!(parse(deep.as_bytes()), Err(XmlError::TooLarge));
    }

    #[test]
    fn text_is_escaped() {
        let text = Xml::document("R", |xml| xml.leaf("K", "<\u{1}&\">\u{fffe}é"));
        assert!(text.contains("<K>&lt;&#x1;&amp;&quot;&gt;&#xfffe;é</K>"), "{text}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_text_like_xml_makes_the_reader_panic(text in "[<>/a&;#x! \\[\\]\"=-]{0,60}") {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn what_is_written_is_read_alike(text in "[ -~é\u{20ac}\u{1f600}]{0,40}") {
            let written = Xml::document("R", |xml| xml.leaf("K", &text));
            let read = parse(written.as_bytes()).unwrap();
            prop_assert_eq!(read.text_of("K"), Some(text.as_str()));
        }
    }
}
