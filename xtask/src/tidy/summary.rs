//! The figures of the tree, in a line. What is bounded is bounded elsewhere; this
//! is to be read.

use super::functions::functions;
use super::source::word_at;
use super::tree::{File, Tree};
use super::{lengths, packages, unsafety};

/// Crates whose floor is the engines', and whose asserts count.
const ENGINES: &[&str] = &["crates/machine/src/", "crates/record/src/"];
const ASSERTS: &[&str] = &["assert!", "assert_eq!", "assert_ne!", "unreachable!"];

/// Files, lines, functions, asserts, unsafe and packages.
pub fn figures(tree: &Tree) -> String {
    let files = tree.rust().count();
    let lines: usize = tree.rust().map(|file| file.text.lines().count()).sum();
    let all: usize = tree.rust().map(|file| functions(file.source()).len()).sum();
    let p99 = lengths::measured(tree).function_p99;
    format!(
        "{files} files, {lines} lines, {all} functions (p99 {p99} lines), \
         {:.0} asserts per thousand lines in engines, {} uses of unsafe, {} packages",
        asserts_per_thousand(tree),
        unsafety::count(tree),
        packages::count(tree),
    )
}

/// Asserts that run in production, per thousand lines of code and comments.
fn asserts_per_thousand(tree: &Tree) -> f64 {
    let engines = tree.rust().filter(|file| ENGINES.iter().any(|it| file.path.starts_with(it)));
    let (asserts, lines) = engines.map(asserts).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    asserts as f64 * 1_000.0 / lines.max(1) as f64
}

/// Asserts and lines before the tests of a file.
fn asserts(file: &File) -> (usize, usize) {
    let source = file.source();
    let lines = &source.lines[..source.tests_from()];
    let is = |code: &str| ASSERTS.iter().any(|word| word_at(code, word).is_some());
    (lines.iter().filter(|line| is(&line.code)).count(), lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asserts_of_tests_and_of_other_crates_do_not_count() {
        let text = "fn a() {\n    assert!(b);\n    // assert!(c)\n}\n#[cfg(test)]\nmod tests { fn d() { assert!(e); } }\n";
        let tree = Tree::of(&[("crates/machine/src/a.rs", text), ("crates/bmc/src/a.rs", text)]);
        assert_eq!(asserts_per_thousand(&tree), 250.0);
    }
}
