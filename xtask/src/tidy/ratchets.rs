//! Counts that may shrink and may not grow. They are kept in a file, so that a
//! tree which is not perfect yet can be held where it is.

use std::fmt;

use anyhow::{Context, Result};

use super::tree::Tree;

/// Where they are kept: lines of `name = number`, and comments.
pub const PATH: &str = "xtask/ratchets.toml";

/// The counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ratchets {
    /// Functions of more than 70 lines.
    pub long_functions: usize,
    /// Rust files of more than 500 lines.
    pub long_files: usize,
    /// 99 of 100 functions have at most so many lines.
    pub function_p99: usize,
}

impl Ratchets {
    /// What the tree allows.
    pub fn of(tree: &Tree) -> Result<Self> {
        let file = tree.file(PATH).with_context(|| format!("{PATH} is missing"))?;
        Self::parse(&file.text)
    }

    fn parse(text: &str) -> Result<Self> {
        let number = |name: &str| {
            let value =
                text.lines().filter_map(|line| line.split_once('=')).find_map(|(key, value)| {
                    (key.trim() == name).then(|| value.trim().parse::<usize>())
                });
            let value = value.with_context(|| format!("{PATH} says nothing about {name}"))?;
            value.with_context(|| format!("{PATH}: {name} is a number"))
        };
        Ok(Self {
            long_functions: number("long_functions")?,
            long_files: number("long_files")?,
            function_p99: number("function_p99")?,
        })
    }

    /// Each the lower of the two.
    pub fn lowered(&self, measured: &Self) -> Self {
        Self {
            long_functions: self.long_functions.min(measured.long_functions),
            long_files: self.long_files.min(measured.long_files),
            function_p99: self.function_p99.min(measured.function_p99),
        }
    }
}

impl fmt::Display for Ratchets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "# Counts that may shrink and may not grow: see xtask/src/tidy/lengths.rs.")?;
        writeln!(out, "# `cargo xtask tidy --lower` writes this file.")?;
        writeln!(out, "long_functions = {}", self.long_functions)?;
        writeln!(out, "long_files = {}", self.long_files)?;
        writeln!(out, "function_p99 = {}", self.function_p99)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_back_as_written_and_only_go_down() {
        let allowed = Ratchets { long_functions: 3, long_files: 1, function_p99: 60 };
        assert_eq!(Ratchets::parse(&allowed.to_string()).expect("as written"), allowed);
        let measured = Ratchets { long_functions: 2, long_files: 4, function_p99: 60 };
        let lowered = Ratchets { long_functions: 2, long_files: 1, function_p99: 60 };
        assert_eq!(allowed.lowered(&measured), lowered);
    }

    #[test]
    fn a_missing_or_wordy_number_is_an_error() {
        assert!(Ratchets::parse("long_functions = 1\nlong_files = 2\n").is_err());
        assert!(
            Ratchets::parse("long_functions = many\nlong_files = 2\nfunction_p99 = 1").is_err()
        );
    }
}
