//! Checksums in the words of S3: names of headers and elements, and what a request
//! says about its content.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use object::entry::{Algorithm, Checksum, Coverage};

use super::error::{Code, Outcome};
use super::fields::Fields;
use super::xml::{Element, Xml};
use crate::checksum;

/// By its name.
///
/// # Errors
/// When there is none of this name.
pub fn parse(text: &str) -> Outcome<Algorithm> {
    let message = "Checksum algorithm provided is unsupported. Please try again with any of the \
                   valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]";
    checksum::parse(text).ok_or_else(|| Code::InvalidRequest.saying(message))
}

/// What it covers, by name.
pub fn coverage_name(coverage: Coverage) -> &'static str {
    match coverage {
        Coverage::Whole => "FULL_OBJECT",
        Coverage::Composite => "COMPOSITE",
    }
}

/// As text: with the number of parts when it covers their checksums.
fn text(checksum: &Checksum, parts: usize) -> String {
    let text = BASE64.encode(&checksum.value);
    match checksum.coverage {
        Coverage::Composite if parts > 0 => format!("{text}-{parts}"),
        _ => text,
    }
}

/// As a header: its name and value.
pub fn header(checksum: &Checksum, parts: usize) -> (&'static str, String) {
    (checksum::header(checksum.algorithm), text(checksum, parts))
}

/// As an element, when there is one.
pub fn leaf(xml: &mut Xml, checksum: Option<&Checksum>) {
    if let Some(checksum) = checksum {
        xml.plain(checksum::element(checksum.algorithm), text(checksum, 0));
    }
}

/// As elements of an object: the value, and what it covers.
pub fn leaves(xml: &mut Xml, checksum: Option<&Checksum>, parts: usize) {
    if let Some(checksum) = checksum {
        xml.plain(checksum::element(checksum.algorithm), text(checksum, parts));
        xml.plain("ChecksumType", coverage_name(checksum.coverage));
    }
}

/// A checksum as a client says it. A composite one may end with `-PARTS`.
fn value(algorithm: Algorithm, text: &str) -> Outcome<Checksum> {
    let (plain, coverage) = match text.split_once('-') {
        Some((plain, _)) => (plain, Coverage::Composite),
        None => (text, Coverage::Whole),
    };
    let value = BASE64.decode(plain.trim()).ok();
    let value = value.filter(|value| value.len() == checksum::length(algorithm));
    let value = value.ok_or_else(|| {
        let name = checksum::name(algorithm);
        Code::BadDigest
            .saying(format!("The {name} you specified did not match the calculated checksum."))
    })?;
    Ok(Checksum { algorithm, coverage, value })
}

/// The checksum that headers, or trailing headers, say.
///
/// # Errors
/// When there are several, or one is none.
pub fn said(fields: &Fields) -> Outcome<Option<Checksum>> {
    let mut found = None;
    for algorithm in checksum::ALGORITHMS {
        if let Some(text) = fields.filled(checksum::header(algorithm)) {
            if found.is_some() {
                return Err(Code::InvalidRequest.saying(
                    "Expecting a single x-amz-checksum- header. Multiple checksum Types are not \
                     allowed.",
                ));
            }
            found = Some(value(algorithm, text)?);
        }
    }
    Ok(found)
}

/// The checksum that an element's children say.
///
/// # Errors
/// When one is none.
pub fn said_in(element: &Element) -> Outcome<Option<Checksum>> {
    let found = checksum::ALGORITHMS.into_iter().find_map(|one| {
        let text = element.text_of(checksum::element(one))?;
        (!text.trim().is_empty()).then_some((one, text))
    });
    found.map(|(algorithm, text)| value(algorithm, text)).transpose()
}

/// The algorithm that a copy or an upload in parts asks for.
///
/// # Errors
/// When there is none of this name.
pub fn wanted(headers: &Fields) -> Outcome<Option<Algorithm>> {
    headers.filled("x-amz-checksum-algorithm").map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_read_and_written() {
        let mut fields = Fields::default();
        fields.push("x-amz-checksum-crc32", "q83vAA==");
        let found = said(&fields).unwrap().unwrap();
        assert_eq!(found.value, [0xab, 0xcd, 0xef, 0]);
        assert_eq!(header(&found, 0), ("x-amz-checksum-crc32", "q83vAA==".to_owned()));
        fields.push("x-amz-checksum-sha1", "x");
        assert!(said(&fields).is_err());
    }

    #[test]
    fn a_checksum_of_another_length_is_refused() {
        let mut fields = Fields::default();
        fields.push("x-amz-checksum-crc32", "q83v");
        assert_eq!(said(&fields).unwrap_err().code, Code::BadDigest);
    }
}
