//! What is wrong, where, and what to do about it.

use std::fmt;

/// One thing that is wrong. Sorted by where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Path from the top of the repository.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub wrong: String,
    /// What to do.
    pub next: String,
}

impl Finding {
    /// A finding at a line, from 1.
    pub fn at(
        path: impl Into<String>,
        line: usize,
        wrong: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        assert!(line > 0, "lines are counted from 1");
        Self { path: path.into(), line, wrong: wrong.into(), next: next.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, wrong, next } = self;
        write!(out, "{path}:{line}: {wrong}; {next}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where_what_and_what_to_do() {
        let finding = Finding::at("a/b.rs", 7, "it is red", "paint it green");
        assert_eq!(finding.to_string(), "a/b.rs:7: it is red; paint it green");
    }
}
