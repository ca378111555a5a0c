//! `unwrap` says that something cannot fail and not why. What comes from outside
//! is refused with a reason; what must hold is expected, with the reason in words.

use anyhow::Result;

use super::finding::Finding;
use super::tree::{File, Tree};

/// Uses in what is shipped; tests may.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    Ok(tree.rust().filter(|file| shipped(&file.path)).flat_map(each).collect())
}

fn shipped(path: &str) -> bool {
    // A crate's own tests may stand in files beside it, by the name of tests.
    let tests = path.contains("/tests/") || path.ends_with("/tests.rs");
    path.starts_with("crates/") && path.contains("/src/") && !tests
}

fn each(file: &File) -> Vec<Finding> {
    let source = file.source();
    let lines = source.lines[..source.tests_from()].iter().enumerate();
    let unwraps = lines.filter(|(_, line)| line.code.contains(".unwrap()"));
    let say = |(line, _): (usize, &super::source::Line)| {
        let next = "return an error, or `expect` with the reason why it holds";
        Finding::at(file.path.clone(), line + 1, "an unwrap", next)
    };
    unwraps.map(say).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_says_why_and_tests_need_not() {
        let text = "fn a() {\n    b().unwrap();\n    // c().unwrap()\n}\n#[cfg(test)]\nmod tests { fn d() { e().unwrap(); } }\n";
        let tree = Tree::of(&[
            ("crates/a/src/b.rs", text),
            ("crates/a/tests/b.rs", text),
            ("crates/a/src/b/tests.rs", text),
        ]);
        let found = check(&tree).expect("pure");
        let lines: Vec<(&str, usize)> =
            found.iter().map(|it| (it.path.as_str(), it.line)).collect();
        assert_eq!(lines, [("crates/a/src/b.rs", 2)]);
    }
}
