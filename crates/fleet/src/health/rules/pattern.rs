//! Patterns of lines and names: `*` stands for anything, everything else for itself. Matching
//! takes time in proportion to line times pattern at most, whatever the line is: lines come
//! from outside.

use serde::{Deserialize, Serialize};

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// From its text.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether all of a text is like it.
    pub fn matches(&self, text: &str) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let mut pieces: Vec<&str> = pieces.collect();
        let Some(last) = pieces.pop() else { return rest.is_empty() };
        for piece in pieces {
            // The earliest place leaves the most for what follows.
            let Some(at) = rest.find(piece) else { return false };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_stand_for_anything() {
        let yes =
            [("", ""), ("*", ""), ("a*", "a"), ("*a*b*", "xxayyb"), ("a*a", "aa"), ("a", "a")];
        for (pattern, text) in yes {
            assert!(Pattern::new(pattern).matches(text), "{pattern} {text}");
        }
        let no = [("", "a"), ("a*a", "a"), ("a", "ab"), ("*ab", "abc"), ("a*b", "xab")];
        for (pattern, text) in no {
            assert!(!Pattern::new(pattern).matches(text), "{pattern} {text}");
        }
    }

    /// The obvious way, to judge by.
    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.first(), text.first()) {
            (None, _) => text.is_empty(),
            (Some(b'*'), _) => {
                slow(&pattern[1..], text) || !text.is_empty() && slow(pattern, &text[1..])
            }
            (Some(one), Some(other)) => one == other && slow(&pattern[1..], &text[1..]),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn as_the_obvious_way(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
            let is = Pattern::new(&pattern).matches(&text);
            prop_assert_eq!(is, slow(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn never_panics(pattern in ".*", text in ".*") {
            Pattern::new(&pattern).matches(&text);
        }
    }
}
