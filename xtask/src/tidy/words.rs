//! Words that have no place in the tree: folders of the machine on which it was
//! written, and where that machine gets its packages from. With them a clone
//! would work there and nowhere else.

use anyhow::Result;

use super::finding::Finding;
use super::tree::Tree;

/// The word, and what to do about it. In pieces, so that this file is clean too.
const WORDS: &[(&str, &str)] = &[
    (concat!("/wo", "rk/"), "write the path from the top of the repository"),
    (concat!("/ro", "ot/"), "write the path from the top of the repository, or find it"),
    (concat!("replace", "-with"), "leave the choice of a registry to each machine"),
    (concat!("index", "-url"), "leave the choice of an index to each machine"),
    (concat!("registry = \"spar", "se+"), "leave the choice of a registry to each machine"),
];

/// Lines with such words.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (line, text) in file.text.lines().enumerate() {
            for (word, next) in WORDS {
                if text.contains(word) {
                    let wrong = format!("`{word}` belongs to one machine");
                    findings.push(Finding::at(file.path.clone(), line + 1, wrong, *next));
                }
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_found_in_any_file() {
        for (word, _) in WORDS {
            let text = format!("fine\nsee {word}here\n");
            let found = check(&Tree::of(&[("docs/a.md", &text)])).expect("pure");
            assert_eq!(found.len(), 1, "{word}");
            assert_eq!(found[0].line, 2);
        }
        let clean = Tree::of(&[("a.md", "network/ and chroots/, rootfs/")]);
        assert_eq!(check(&clean).expect("pure"), []);
    }
}
