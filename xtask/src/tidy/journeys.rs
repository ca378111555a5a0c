//! Documents are maps through the code. A map that names what is not there is
//! worse than none: every function that a document names must exist. The journeys
//! are maps of the whole way, so each of their steps names the function that takes it.

use anyhow::Result;

use super::finding::Finding;
use super::functions::defines;
use super::tree::{File, Tree};

const FOLDER: &str = "docs/journeys/";

/// Steps without a function, and functions that are not there.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let pages = tree.files.iter().filter(|file| file.path.ends_with(".md"));
    Ok(pages.flat_map(|page| each(tree, page)).collect())
}

fn each(tree: &Tree, page: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let journey = page.path.starts_with(FOLDER);
    // The line of the step that has named no function yet.
    let mut nameless: Option<usize> = None;
    let lost = |line: usize| {
        let next = "name one: `crates/…/file.rs::function`";
        Finding::at(page.path.clone(), line, "the step names no function", next)
    };
    for (number, text) in page.text.lines().enumerate().map(|(index, text)| (index + 1, text)) {
        if is_step(text) || text.starts_with('#') {
            findings.extend(nameless.take().map(lost));
            nameless = (journey && is_step(text)).then_some(number);
        }
        for (path, function) in references(text) {
            nameless = None;
            findings.extend(wrong(tree, page, number, path, function));
        }
    }
    findings.extend(nameless.map(lost));
    findings
}

/// `12. …`
fn is_step(line: &str) -> bool {
    let digits = line.chars().take_while(char::is_ascii_digit).count();
    digits > 0 && line[digits..].starts_with(". ")
}

/// What is between backticks and looks like `crates/…/file.rs::function`.
fn references(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let spans = line.split('`').skip(1).step_by(2);
    spans.filter_map(|span| {
        let (path, function) = span.split_once("::")?;
        let ours = path.starts_with("crates/") || path.starts_with("xtask/");
        // `Type::method` is looked for by its method.
        (ours && path.ends_with(".rs"))
            .then(|| (path, function.rsplit("::").next().unwrap_or(function)))
    })
}

fn wrong(tree: &Tree, page: &File, line: usize, path: &str, function: &str) -> Option<Finding> {
    let function = function.trim_end_matches("()");
    let wrong = match tree.file(path) {
        None => format!("{path} is not there"),
        Some(file) if !defines(file.source(), function) => {
            format!("{path} defines no function {function}")
        }
        Some(_) => return None,
    };
    Some(Finding::at(page.path.clone(), line, wrong, "name the one that takes this step now"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrongs(page: &str) -> Vec<(usize, String)> {
        let code = "//! A.\nimpl B { pub fn go(&self) {} }\n";
        let tree = Tree::of(&[("docs/journeys/a.md", page), ("crates/a/src/b.rs", code)]);
        let found = check(&tree).expect("pure");
        found.into_iter().map(|finding| (finding.line, finding.wrong)).collect()
    }

    #[test]
    fn a_true_map_passes() {
        let page = "# A\n\n1. It goes: `crates/a/src/b.rs::go`.\n2. Then\n   `crates/a/src/b.rs::B::go`.\n";
        assert_eq!(wrongs(page), []);
    }

    #[test]
    fn steps_without_functions_are_found() {
        let page = "1. It goes.\n2. `crates/a/src/b.rs::go`\n3. And `b.rs` stops.\n";
        let lines: Vec<usize> = wrongs(page).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [1, 3]);
    }

    #[test]
    fn other_documents_may_count_without_naming() {
        let page = "1. It goes.\n2. `crates/a/src/b.rs::gone`\n";
        let tree = Tree::of(&[("README.md", page), ("crates/a/src/b.rs", "fn go() {}\n")]);
        let lines: Vec<usize> = check(&tree).expect("pure").iter().map(|it| it.line).collect();
        assert_eq!(lines, [2]);
    }

    #[test]
    fn what_is_not_there_is_found() {
        let found = wrongs("1. `crates/a/src/b.rs::gone`\n2. `crates/a/src/c.rs::go`\n");
        assert_eq!(found[0], (1, "crates/a/src/b.rs defines no function gone".to_owned()));
        assert_eq!(found[1], (2, "crates/a/src/c.rs is not there".to_owned()));
    }
}
