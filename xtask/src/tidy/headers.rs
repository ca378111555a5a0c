//! Every Rust file begins by saying what it is for.

use anyhow::Result;

use super::finding::Finding;
use super::tree::{File, Tree};

const NEXT: &str = "begin it with `//!` and a sentence on what it is for and why it is so";

/// Files without a header.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    Ok(tree.rust().filter_map(wrong).collect())
}

fn wrong(file: &File) -> Option<Finding> {
    let header: Vec<&str> =
        file.text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
    let paragraph: Vec<&str> = header.iter().copied().take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    let wrong = if header.is_empty() {
        "no header"
    } else if paragraph.split_whitespace().count() < 3 || !paragraph.ends_with(['.', ':', '?']) {
        "the header is no sentence"
    } else {
        return None;
    };
    Some(Finding::at(file.path.clone(), 1, wrong, NEXT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_passes_and_nothing_less() {
        let bad =
            ["", "use a;\n//! Too late.\n", "//! Things\n", "//! Machines.\n", "//!\n//! A b c.\n"];
        for text in bad {
            assert_eq!(check(&Tree::of(&[("a.rs", text)])).expect("pure").len(), 1, "{text}");
        }
        let good = "//! What is wrong, where,\n//! and what to do.\n//!\n//! More\nuse a;\n";
        assert_eq!(check(&Tree::of(&[("a.rs", good)])).expect("pure"), []);
    }
}
