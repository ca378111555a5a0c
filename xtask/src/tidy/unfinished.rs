//! What is not finished is not in the tree. A note to oneself is an issue, or it
//! is done now.

use anyhow::Result;

use super::finding::Finding;
use super::source::word_at;
use super::tree::{File, Tree};

/// Words of comments and documents. In pieces, so that this file is clean too.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
/// Macros that fail where something is missing.
const MACROS: &[&str] = &[concat!("to", "do!"), concat!("unimple", "mented!")];
const NEXT: &str = "do it now, or write an issue and take this out";

/// Notes and holes.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    Ok(tree.files.iter().filter(|file| written_here(file)).flat_map(each).collect())
}

/// Not the lock, and nothing that was recorded from elsewhere.
fn written_here(file: &File) -> bool {
    let ends = [".rs", ".md", ".toml", ".sh", ".py", ".yaml", ".yml", ".html", ".css", ".js"];
    ends.iter().any(|end| file.path.ends_with(end)) || file.path.starts_with(".ci/")
}

fn each(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in file.text.lines().enumerate() {
        let note = NOTES.iter().find(|note| word_at(text, note).is_some());
        let hole = MACROS.iter().find(|hole| word_at(text, hole).is_some());
        if let Some(word) = note.or(hole) {
            findings.push(Finding::at(file.path.clone(), line + 1, format!("a {word}"), NEXT));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_and_holes_are_found() {
        let text = format!("fn a() {{\n    {}()\n}} // {} later\n", MACROS[0], NOTES[0]);
        let found = check(&Tree::of(&[("a.rs", &text), ("Cargo.lock", NOTES[0])])).expect("pure");
        let lines: Vec<usize> = found.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [2, 3]);
        let fine = Tree::of(&[("a.md", "what is left to do! and MASTODON")]);
        assert_eq!(check(&fine).expect("pure"), []);
    }
}
