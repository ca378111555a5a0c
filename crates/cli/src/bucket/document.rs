//! Documents that say how a bucket behaves: shown, set and removed alike.

use std::path::Path;

use client::objects::{Objects, xml};
use serde_json::{Value, json};

use crate::Failure;
use crate::session::Session;

/// Shows a document as it is, or as JSON.
pub async fn show(
    session: &Session,
    objects: &Objects,
    (bucket, name): (&str, &str),
    none: &str,
) -> Result<(), Failure> {
    let document = objects.bucket_document(bucket, name).await?;
    if session.json {
        return session.print_json(&as_json(document.as_deref().unwrap_or_default()));
    }
    match document {
        Some(document) => session.print(&format!("{}\n", lines(&document).trim_end())),
        None => session.say(none),
    }
}

/// Changes a document.
pub async fn set(
    session: &Session,
    objects: &Objects,
    (bucket, name): (&str, &str),
    document: Vec<u8>,
    done: &str,
) -> Result<(), Failure> {
    objects.set_bucket_document(bucket, name, document).await?;
    session.show(&json!({ "bucket": bucket, "set": name }), |_| format!("{done}\n"))
}

/// Removes a document.
pub async fn remove(
    session: &Session,
    objects: &Objects,
    (bucket, name): (&str, &str),
    done: &str,
) -> Result<(), Failure> {
    objects.remove_bucket_document(bucket, name).await?;
    session.show(&json!({ "bucket": bucket, "removed": name }), |_| format!("{done}\n"))
}

/// A document from a file; `-` is standard input.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = match path == Path::new("-") {
        true => {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).map(|_| bytes)
        }
        false => std::fs::read(path),
    };
    read.map_err(|error| Failure::file(path, &error))
}

/// JSON as it is; XML by its elements; nothing as `null`.
pub fn as_json(document: &[u8]) -> Value {
    if let Ok(value) = serde_json::from_slice(document) {
        return value;
    }
    xml::parse(document).map_or(Value::Null, |root| json!({ root.name.clone(): root.to_json() }))
}

/// For people: JSON and XML with an element a line.
fn lines(document: &[u8]) -> String {
    if let Ok(value) = serde_json::from_slice::<Value>(document) {
        return serde_json::to_string_pretty(&value).expect("it was JSON");
    }
    let mut text = String::new();
    if let Some(root) = xml::parse(document) {
        write(&mut text, &root, 0);
    }
    text
}

fn write(text: &mut String, element: &xml::Element, depth: usize) {
    let (name, indent) = (&element.name, "  ".repeat(depth));
    if element.children.is_empty() {
        let content = xml::escaped(&element.text);
        return text.push_str(&format!("{indent}<{name}>{content}</{name}>\n"));
    }
    text.push_str(&format!("{indent}<{name}>\n"));
    element.children.iter().for_each(|child| write(text, child, depth + 1));
    text.push_str(&format!("{indent}</{name}>\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_shown_by_lines_and_as_json() {
        let xml = b"<A><B>1</B><C><D>&lt;</D></C></A>";
        assert_eq!(lines(xml), "<A>\n  <B>1</B>\n  <C>\n    <D>&lt;</D>\n  </C>\n</A>\n");
        assert_eq!(as_json(xml), json!({ "A": { "B": "1", "C": { "D": "<" } } }));
        assert_eq!(as_json(b"{\"a\":1}"), json!({ "a": 1 }));
        assert_eq!(as_json(b""), Value::Null);
    }
}
