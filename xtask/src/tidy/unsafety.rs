//! `unsafe` is in few files, and each use of it says why it is sound.

use anyhow::Result;

use super::finding::Finding;
use super::source::Source;
use super::tree::{File, Tree};

/// Where it may be: files, and folders that end with `/`. Each with its reason.
const ALLOWED: &[(&str, &str)] = &[
    ("crates/disk/src/guest/", "memory of guests, mapped from descriptors they hand over"),
    ("crates/disk/src/ring/", "rings in the memory of guests"),
    ("crates/disk/src/shared/", "memory that outlives a process"),
    ("crates/lab/src/disk_client/", "the guest's side of those rings"),
    (
        "crates/lab/src/simulated_disk/memory.rs",
        "the memory that a simulated lane and its clients share",
    ),
    ("crates/volume/src/memory.rs", "guest memory and shared regions"),
    ("crates/volume/src/seal/", "ciphers and checksums by the instructions of the processor"),
    ("crates/volume/tests/volume/", "the tests' side of segments and regions"),
    ("crates/world/src/disk/", "io_uring, whose buffers must outlive the call"),
    ("crates/world/src/memory.rs", "the allocator is told to give memory back"),
    ("crates/deploy/src/kernel/", "system calls that nobody has wrapped"),
    ("crates/record/tests/record/on_sqlite.rs", "a full disk in a mount namespace of the test's"),
];

/// So many lines of code may stand between the comment and the word.
const NEAR: usize = 3;

/// Uses in other files, and uses without a reason.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    Ok(tree.rust().flat_map(each).collect())
}

/// How often the word is used.
pub fn count(tree: &Tree) -> usize {
    tree.rust().map(|file| uses(file.source()).count()).sum()
}

fn uses(source: &Source) -> impl Iterator<Item = usize> + '_ {
    (0..source.lines.len()).filter(|line| source.has_word(*line, "unsafe"))
}

fn each(file: &File) -> Vec<Finding> {
    let allowed = ALLOWED.iter().any(|(place, _)| match place.strip_suffix('/') {
        Some(_) => file.path.starts_with(place),
        None => file.path == *place,
    });
    let source = file.source();
    let mut findings = Vec::new();
    for line in uses(source) {
        let at = |wrong: &str, next: &str| Finding::at(file.path.clone(), line + 1, wrong, next);
        if !allowed {
            let next = "do without, or add the file and the reason to xtask/src/tidy/unsafety.rs";
            findings.push(at("unsafe in a file that is not on the list", next));
        }
        if !explained(source, line) {
            let next = "say in a `// SAFETY:` comment above it what makes it so";
            findings.push(at("nothing says why this is sound", next));
        }
    }
    findings
}

/// Whether a comment on the line, or just above it, gives the reason.
fn explained(source: &Source, line: usize) -> bool {
    let mut code = 0;
    for place in (0..=line).rev() {
        let text = &source.lines[place];
        if text.comment.contains("SAFETY:") || text.comment.contains("# Safety") {
            return true;
        }
        let other = place < line && source.has_word(place, "unsafe");
        code += usize::from(place < line && !text.code.trim().is_empty());
        if other || code > NEAR {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrongs(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).expect("pure").len()
    }

    #[test]
    fn it_is_allowed_where_it_is_listed_and_explained() {
        let text = "// SAFETY: the size is\n// that of the buffer.\nlet a =\n    unsafe { b() };\n";
        assert_eq!(wrongs("crates/deploy/src/kernel/block.rs", text), 0);
        assert_eq!(wrongs("crates/deploy/src/disks.rs", text), 1);
        assert_eq!(wrongs("crates/deploy/src/kernels.rs", text), 1);
    }

    #[test]
    fn each_use_has_its_own_reason() {
        let path = "crates/deploy/src/kernel/block.rs";
        assert_eq!(wrongs(path, "let a = unsafe { b() };\n"), 1);
        let text = "// SAFETY: yes.\nunsafe { a() };\nunsafe { b() };\n";
        assert_eq!(wrongs(path, text), 1);
        let far = format!("// SAFETY: yes.\n{}unsafe {{ a() }};\n", "let x = 1;\n".repeat(4));
        assert_eq!(wrongs(path, &far), 1);
    }

    #[test]
    fn words_in_comments_and_strings_and_lints_are_no_use() {
        let text = "// unsafe\nlet a = \"unsafe\";\n#![deny(unsafe_code)]\n";
        assert_eq!(wrongs("a.rs", text), 0);
    }
}
