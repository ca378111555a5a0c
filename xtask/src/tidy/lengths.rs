//! Functions fit a screen and files a morning. Long ones are counted, and the
//! count is a ratchet.

use anyhow::Result;

use super::finding::Finding;
use super::functions::functions;
use super::ratchets::{PATH, Ratchets};
use super::tree::Tree;

const FUNCTION_MOST: usize = 70;
const FILE_MOST: usize = 500;

/// What is longer than allowed, named one by one when there is more of it than
/// the ratchets allow.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let (allowed, measured) = (Ratchets::of(tree)?, measured(tree));
    let mut findings = Vec::new();
    if measured.long_functions > allowed.long_functions {
        findings.extend(long_functions(tree, allowed.long_functions));
    }
    if measured.long_files > allowed.long_files {
        findings.extend(long_files(tree, allowed.long_files));
    }
    if measured.function_p99 > allowed.function_p99 {
        let (is, was) = (measured.function_p99, allowed.function_p99);
        let wrong = format!("of 100 functions one is longer than {is} lines, and it was {was}");
        findings.push(Finding::at(PATH, 1, wrong, "divide the longest of those that you wrote"));
    }
    Ok(findings)
}

/// Which ratchets can be lowered.
pub fn notes(tree: &Tree) -> Result<Vec<String>> {
    let allowed = Ratchets::of(tree)?;
    let can = allowed.lowered(&measured(tree)) != allowed;
    let note = || format!("{PATH} can be lowered: cargo xtask tidy --lower");
    Ok(can.then(note).into_iter().collect())
}

/// What the tree has.
pub fn measured(tree: &Tree) -> Ratchets {
    let mut lengths: Vec<usize> = tree
        .rust()
        .flat_map(|file| functions(file.source()))
        .map(|function| function.length)
        .collect();
    lengths.sort_unstable();
    let place = (lengths.len() * 99).div_ceil(100).saturating_sub(1);
    Ratchets {
        long_functions: lengths.iter().filter(|length| **length > FUNCTION_MOST).count(),
        long_files: tree.rust().filter(|file| file.text.lines().count() > FILE_MOST).count(),
        function_p99: lengths.get(place).copied().unwrap_or(0),
    }
}

fn long_functions(tree: &Tree, allowed: usize) -> Vec<Finding> {
    let next = format!(
        "divide it: functions have at most {FUNCTION_MOST} lines ({allowed} longer ones are allowed in all)"
    );
    let each = |file: &super::tree::File| {
        let long = functions(file.source()).into_iter().filter(|it| it.length > FUNCTION_MOST);
        let say = |it: super::functions::Function| {
            let wrong = format!("function {} has {} lines", it.name, it.length);
            Finding::at(file.path.clone(), it.line, wrong, next.clone())
        };
        long.map(say).collect::<Vec<_>>()
    };
    tree.rust().flat_map(each).collect()
}

fn long_files(tree: &Tree, allowed: usize) -> Vec<Finding> {
    let next = format!(
        "divide it, one thing a file: files have at most {FILE_MOST} lines ({allowed} longer ones are allowed in all)"
    );
    let lines = tree.rust().map(|file| (file, file.text.lines().count()));
    lines
        .filter(|(_, lines)| *lines > FILE_MOST)
        .map(|(file, lines)| {
            Finding::at(file.path.clone(), lines, format!("{lines} lines"), next.clone())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(function: usize, file: usize) -> Tree {
        let ratchets = Ratchets { long_functions: 0, long_files: 0, function_p99: 70 };
        let long = format!("fn long() {{\n{}}}\n", "\n".repeat(function - 2));
        Tree::of(&[(PATH, &ratchets.to_string()), ("a.rs", &long), ("b.rs", &"\n".repeat(file))])
    }

    #[test]
    fn what_is_at_the_limit_passes() {
        assert_eq!(check(&tree(70, 500)).expect("ratchets"), []);
    }

    #[test]
    fn growth_fails_and_is_named() {
        let findings = check(&tree(71, 501)).expect("ratchets");
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert_eq!((findings[0].path.as_str(), findings[0].line), ("a.rs", 1));
        assert_eq!(findings[0].wrong, "function long has 71 lines");
        assert_eq!(findings[1].wrong, "501 lines");
    }

    #[test]
    fn shrinkage_is_told() {
        assert_eq!(notes(&tree(70, 1)).expect("ratchets"), [] as [String; 0]);
        assert_eq!(notes(&tree(69, 1)).expect("ratchets").len(), 1);
    }
}
