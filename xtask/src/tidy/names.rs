//! Names that say nothing are not given: what is called so collects everything.

use anyhow::Result;

use super::finding::Finding;
use super::source::word_at;
use super::tree::{File, Tree};

const EMPTY: &[&str] = &[
    "util", "utils", "common", "base", "core", "helper", "helpers", "misc", "manager", "managers",
];

/// Where such a word is a word of the field.
const ALLOWED: &[(&str, &str)] =
    &[("crates/lab/src/bmc/tree/manager.rs", "Redfish calls a BMC's own resource Manager")];

const NEXT: &str = "name it by what it does";

/// Files, folders and modules of such names.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    Ok(tree.rust().flat_map(|file| by_path(file).into_iter().chain(by_module(file))).collect())
}

fn by_path(file: &File) -> Option<Finding> {
    if ALLOWED.iter().any(|(path, _)| *path == file.path) {
        return None;
    }
    let path = file.path.trim_end_matches(".rs");
    let empty = path.split('/').find(|part| EMPTY.contains(part))?;
    Some(Finding::at(file.path.clone(), 1, format!("the name {empty} says nothing"), NEXT))
}

fn by_module(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in file.source().lines.iter().enumerate() {
        let Some(place) = word_at(&text.code, "mod") else { continue };
        let rest = text.code[place + 3..].trim();
        let inline = rest.strip_suffix('{').or(rest.strip_suffix("{}"));
        let Some(name) = inline.map(str::trim) else { continue };
        if EMPTY.contains(&name) {
            let wrong = format!("the name {name} says nothing");
            findings.push(Finding::at(file.path.clone(), line + 1, wrong, NEXT));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_crates_and_modules_are_looked_at() {
        let tree = Tree::of(&[
            ("crates/core/src/lib.rs", ""),
            ("crates/a/src/helpers/b.rs", ""),
            ("crates/a/src/utils.rs", ""),
            ("crates/a/src/c.rs", "\npub(crate) mod misc {\n}\n"),
            ("crates/a/src/score.rs", "// mod base {\nmod corelation {}\n"),
        ]);
        let found = check(&tree).expect("pure");
        let places: Vec<(&str, usize)> =
            found.iter().map(|it| (it.path.as_str(), it.line)).collect();
        let expected = [
            ("crates/core/src/lib.rs", 1),
            ("crates/a/src/helpers/b.rs", 1),
            ("crates/a/src/utils.rs", 1),
            ("crates/a/src/c.rs", 2),
        ];
        assert_eq!(places, expected);
    }

    #[test]
    fn a_word_of_the_field_is_allowed_where_it_is_one() {
        assert_eq!(check(&Tree::of(&[(ALLOWED[0].0, "")])).expect("pure"), []);
    }
}
