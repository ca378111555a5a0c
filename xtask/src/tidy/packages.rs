//! Every package that somebody else wrote is trusted with everything, so there are
//! few, and their number is bounded.

use anyhow::Result;

use super::finding::Finding;
use super::tree::Tree;

const LOCK: &str = "Cargo.lock";
const MOST: usize = 400;

/// Too many packages.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let count = count(tree);
    if count <= MOST {
        return Ok(Vec::new());
    }
    let wrong = format!("{count} packages, and at most {MOST} are allowed");
    Ok(vec![Finding::at(LOCK, 1, wrong, "do without one, or turn off features that bring others")])
}

/// Packages in the lock, ours included.
pub fn count(tree: &Tree) -> usize {
    let lock = tree.file(LOCK).map_or("", |file| file.text.as_str());
    lock.lines().filter(|line| *line == "[[package]]").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_is_found() {
        let lock = |count: usize| Tree::of(&[(LOCK, &"[[package]]\nname = \"a\"\n".repeat(count))]);
        assert_eq!(check(&lock(MOST)).expect("pure"), []);
        assert_eq!(check(&lock(MOST + 1)).expect("pure").len(), 1);
    }
}
