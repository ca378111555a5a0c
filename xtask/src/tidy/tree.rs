//! The tree as git would take it: every file that is tracked, and every new one
//! that is not ignored, so that a finding comes before the commit and not after.

use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result};

use super::source::Source;
use crate::run::{command, output};

/// A text file.
pub struct File {
    /// Path from the top of the repository, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
    source: OnceLock<Source>,
}

impl File {
    /// A file; also for tests.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into(), source: OnceLock::new() }
    }

    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The same without strings and comments.
    pub fn source(&self) -> &Source {
        self.source.get_or_init(|| Source::of(&self.text))
    }
}

/// Every text file of the repository.
pub struct Tree {
    /// In the order of their paths.
    pub files: Vec<File>,
    /// Paths of the files that are not text, for links.
    pub binaries: Vec<String>,
}

impl Tree {
    /// A made-up tree, for tests.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| File::new(*path, *text)).collect();
        Self { files, binaries: Vec::new() }
    }

    /// Reads the repository at `top`.
    pub fn read(top: &Path) -> Result<Self> {
        let listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listed = output(command("git", &listed)).context("tidy asks git which files count")?;
        let mut paths: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
        paths.sort_unstable();
        paths.dedup();
        let (mut files, mut binaries) = (Vec::new(), Vec::new());
        for path in paths {
            // A link or a folder of another repository; and what was removed, but
            // not yet for git.
            if !top.join(path).is_file() {
                continue;
            }
            let bytes = std::fs::read(top.join(path)).with_context(|| format!("reading {path}"))?;
            match String::from_utf8(bytes) {
                Ok(text) => files.push(File::new(path, text)),
                Err(_) => binaries.push(path.to_owned()),
            }
        }
        Ok(Self { files, binaries })
    }

    /// The Rust files.
    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    /// The file of a path.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether there is a file or a folder of this path.
    pub fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        let paths = self.files.iter().map(|file| &file.path).chain(&self.binaries);
        path.is_empty()
            || paths.into_iter().any(|known| known == path || known.starts_with(&folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_there_when_something_is_in_them() {
        let tree = Tree::of(&[("docs/journeys/a.md", "")]);
        assert!(tree.has("docs/journeys/a.md") && tree.has("docs/journeys/") && tree.has("docs"));
        assert!(!tree.has("docs/journey") && !tree.has("docs/journeys/a"));
    }

    #[test]
    fn this_repository_holds_this_file() {
        let tree = Tree::read(&crate::run::top()).expect("a repository");
        assert!(tree.file("xtask/src/tidy/tree.rs").is_some_and(File::is_rust));
        assert!(!tree.has("target"), "what git ignores does not count");
    }
}
