//! Patterns of policies: `*` is any text, `?` is one character, and `${name}` is a value
//! of the request, `${name, 'else'}` with one for when there is none, `${*}`, `${?}` and
//! `${$}` the characters themselves.

use super::conditions::Values;

/// A piece of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// Any text.
    Any,
    /// One character.
    One,
    /// This byte.
    Byte(u8),
}

/// A pattern whose variables have been put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

impl Pattern {
    /// Puts variables in. `None` when the request has no value for one: nothing fits
    /// such a pattern.
    pub fn expand(pattern: &str, values: &dyn Values) -> Option<Self> {
        let mut pieces = Vec::with_capacity(pattern.len());
        let mut rest = pattern;
        while let Some(at) = rest.find("${") {
            pieces.extend(rest[..at].bytes().map(plain));
            let behind = &rest[at + 2..];
            let Some(end) = behind.find('}') else {
                rest = &rest[at..];
                break;
            };
            variable(&behind[..end], values, &mut pieces)?;
            rest = &behind[end + 1..];
        }
        pieces.extend(rest.bytes().map(plain));
        Some(Self(pieces))
    }

    /// Whether a text fits.
    pub fn matches(&self, text: &str) -> bool {
        search(self.0.len(), |at| self.0[at], text.as_bytes())
    }
}

fn plain(byte: u8) -> Piece {
    match byte {
        b'*' => Piece::Any,
        b'?' => Piece::One,
        other => Piece::Byte(other),
    }
}

fn variable(inside: &str, values: &dyn Values, pieces: &mut Vec<Piece>) -> Option<()> {
    if matches!(inside, "*" | "?" | "$") {
        pieces.extend(inside.bytes().map(Piece::Byte));
        return Some(());
    }
    let (name, default) = match inside.split_once(',') {
        None => (inside, None),
        Some((name, default)) => (name, Some(default.trim().trim_matches('\''))),
    };
    let found = values.values(name.trim());
    // A variable of several values has no meaning as one text.
    let value = match found.as_slice() {
        [one] => one,
        _ => default?,
    };
    pieces.extend(value.bytes().map(Piece::Byte));
    Some(())
}

/// Whether a text fits a pattern without variables.
pub fn matches(pattern: &str, text: &str) -> bool {
    let bytes = pattern.as_bytes();
    search(bytes.len(), |at| plain(bytes[at]), text.as_bytes())
}

/// As [`matches`], letters of either case being alike.
pub(super) fn matches_ignoring_case(pattern: &str, text: &str) -> bool {
    let (bytes, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    search(bytes.len(), |at| plain(bytes.as_bytes()[at]), text.as_bytes())
}

/// Goes through a text with one place to come back to (the last `*`), so that the time
/// is at most the product of the lengths, however hostile the pattern.
fn search(length: usize, piece: impl Fn(usize) -> Piece, text: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        let step = if at == length { None } else { Some(piece(at)) };
        match step {
            Some(Piece::Any) => {
                at += 1;
                back = Some((at, seen));
                continue;
            }
            Some(Piece::One) if seen < text.len() => {
                at += 1;
                seen += character(&text[seen..]);
                continue;
            }
            Some(Piece::Byte(byte)) if text.get(seen) == Some(&byte) => {
                at += 1;
                seen += 1;
                continue;
            }
            None if seen == text.len() => return true,
            _ => {}
        }
        match &mut back {
            Some((place, from)) if *from < text.len() => {
                *from += 1;
                (at, seen) = (*place, *from);
            }
            _ => return false,
        }
    }
}

/// The length of the first character of a text in UTF-8.
fn character(text: &[u8]) -> usize {
    1 + text[1..].iter().take_while(|byte| **byte & 0xC0 == 0x80).count()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    struct One;
    impl Values for One {
        fn values(&self, key: &str) -> Vec<Cow<'_, str>> {
            match key {
                "user" => vec!["a*b".into()],
                "two" => vec!["x".into(), "y".into()],
                _ => Vec::new(),
            }
        }
    }

    #[test]
    fn stars_and_question_marks_fit_as_said() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*", "a", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("a?c", "aüc", true),
            ("a?c", "ac", false),
            ("*/*", "bucket", false),
            ("", "", true),
            ("", "x", false),
            ("**a**", "a", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn values_are_put_in_as_they_are_and_missing_ones_fit_nothing() {
        let fits = |pattern, text| Pattern::expand(pattern, &One).is_some_and(|p| p.matches(text));
        assert!(fits("home/${user}/*", "home/a*b/x"));
        assert!(!fits("home/${user}/*", "home/axb/x"), "a star of a value is only a star");
        assert!(!fits("${nobody}", ""));
        assert!(!fits("${two}", "x"));
        assert!(fits("${nobody, 'else'}", "else"));
        assert!(fits("${*}${?}${$}", "*?$"));
        assert!(!fits("${*}", "x"));
        assert!(fits("${unclosed", "${unclosed"));
    }

    /// What a pattern means, said in the plainest way.
    fn plainly(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => (0..=text.len()).any(|cut| plainly(rest, &text[cut..])),
            ['?', rest @ ..] => !text.is_empty() && plainly(rest, &text[1..]),
            [one, rest @ ..] => text.first() == Some(one) && plainly(rest, &text[1..]),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn the_search_finds_what_is_plainly_so(pattern in "[aü*?]{0,8}", text in "[aüb]{0,8}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(
                matches(&pattern, &text),
                plainly(&letters(&pattern), &letters(&text))
            );
        }
    }
}
