//! Links between documents lead somewhere.

use anyhow::Result;

use super::finding::Finding;
use super::tree::{File, Tree};

/// Relative links without a target.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let pages = tree.files.iter().filter(|file| file.path.ends_with(".md"));
    Ok(pages.flat_map(|page| each(tree, page)).collect())
}

fn each(tree: &Tree, page: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fenced = false;
    for (line, text) in page.text.lines().enumerate() {
        if text.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for target in targets(&without_code(text)) {
            if let Some(wrong) = wrong(tree, page, &target) {
                let next = "link to what is there";
                findings.push(Finding::at(page.path.clone(), line + 1, wrong, next));
            }
        }
    }
    findings
}

/// What is between backticks is no link.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("")
}

/// The targets of the links of a line: `[text](target)` and `src="target"`.
fn targets(line: &str) -> Vec<String> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let sources = line.split("src=\"").skip(1).filter_map(|rest| rest.split_once('"'));
    let all = inline.chain(sources).map(|(target, _)| target);
    let word = |target: &str| target.split_whitespace().next().unwrap_or("").to_owned();
    all.map(word).collect()
}

fn wrong(tree: &Tree, page: &File, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { page.path.clone() } else { resolve(&page.path, path)? };
    if !tree.has(&path) {
        return Some(format!("{target} is not there"));
    }
    let there = tree.file(&path).filter(|file| file.path.ends_with(".md"));
    let lost = there.is_some_and(|file| !heading.is_empty() && !has_heading(&file.text, heading));
    lost.then(|| format!("{path} has no heading {heading}"))
}

/// A path from the top of the repository; nothing for one that leads out of it.
fn resolve(page: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

/// Whether a heading becomes this anchor, as the usual renderers make them.
fn has_heading(text: &str, anchor: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| line.trim_start_matches('#').trim().to_lowercase()).any(|heading| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>() == anchor
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrongs(link: &str) -> usize {
        let page = format!("# Title here\n\n{link}\n");
        let tree = Tree::of(&[("docs/a.md", &page), ("README.md", "# A `b`, c\n"), ("x.svg", "")]);
        check(&tree).expect("pure").len()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let good = [
            "[r](../README.md) and [s](a.md#title-here), [t](#title-here)",
            "[web](https://example.org/x.md) `[no](link)`",
            "```\n[no](link)\n```",
            "<img src=\"../x.svg\"> [r](../README.md#a-b-c)",
        ];
        for link in good {
            assert_eq!(wrongs(link), 0, "{link}");
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let bad = [
            "[r](README.md)",
            "[t](#other)",
            "[s](../README.md#nothing)",
            "<img src=\"x.svg\">",
            "![p](pictures/demo.svg \"a title\")",
        ];
        for link in bad {
            assert_eq!(wrongs(link), 1, "{link}");
        }
    }
}
