//! Which part of a file is asked for (RFC 9110, section 14).

use std::ops::Range;

/// What a `Range` field asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it: no range, or one that we may ignore (another unit, several
    /// ranges, not well formed).
    Whole,
    /// These bytes, never none.
    Some(Range<usize>),
    /// Bytes that are not there.
    Unsatisfiable,
}

/// Reads a `Range` field for a file of `length` bytes.
pub fn read(field: &str, length: usize) -> Part {
    let Some(spec) = field.trim().strip_prefix("bytes=") else { return Part::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Part::Whole };
    match (number(first), number(last)) {
        // The last so many bytes.
        (Number::Absent, Number::Is(count)) => {
            let count = count.min(length);
            if count == 0 { Part::Unsatisfiable } else { Part::Some(length - count..length) }
        }
        (Number::Is(first), Number::Absent) => bounded(first, length, length),
        (Number::Is(first), Number::Is(last)) if first <= last => {
            bounded(first, last.saturating_add(1).min(length), length)
        }
        _ => Part::Whole,
    }
}

fn bounded(first: usize, end: usize, length: usize) -> Part {
    if first >= length { Part::Unsatisfiable } else { Part::Some(first..end) }
}

enum Number {
    Absent,
    Is(usize),
    Broken,
}

fn number(text: &str) -> Number {
    let text = text.trim();
    if text.is_empty() {
        return Number::Absent;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Number::Broken;
    }
    // More digits than a number holds: beyond the end of any file.
    Number::Is(text.parse().unwrap_or(usize::MAX))
}
