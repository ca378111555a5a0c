//! Which crate may know which. ARCHITECTURE.md holds the table; the manifests are
//! what is true; and some edges must never be, whatever the table says.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use super::finding::Finding;
use super::tree::Tree;
use crate::run::{command, output};

const TABLE: &str = "ARCHITECTURE.md";
/// From the lowest to the highest.
const FLOORS: &[&str] = &["ground", "engines", "edges", "services", "people"];
/// What serves reads and writes, and goes on when the control plane is dead.
const DATA_PLANE: &[&str] = &["volume", "disk", "object", "gateway"];
const CONTROL_PLANE: &[&str] = &["record", "control"];

/// A crate of the table, or of the workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Crate {
    /// Position in [`FLOORS`]; known from the table only.
    floor: usize,
    /// Line of the table, or of nothing.
    line: usize,
    /// What it is built from.
    needs: BTreeSet<String>,
    /// What its tests need besides.
    tests: BTreeSet<String>,
}

type Crates = BTreeMap<String, Crate>;

/// Differences between table and manifests, and edges that must not be.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let metadata = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let metadata = output(command("cargo", &metadata))?;
    let real = workspace(&serde_json::from_str(&metadata).context("cargo metadata is JSON")?);
    let page = tree.file(TABLE).with_context(|| format!("{TABLE} is missing"))?;
    let (table, mut findings) = table(&page.text);
    findings.extend(differences(&table, &real));
    findings.extend(forbidden(&table, &real));
    Ok(findings)
}

/// The crates below `crates/`, by the names of their folders.
fn workspace(metadata: &Value) -> Crates {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let folder = |path: &str| path.split_once("/crates/").map(|(_, rest)| rest.to_owned());
    let mut crates = Crates::new();
    for package in packages {
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let Some(name) = folder(manifest) else { continue };
        let name = name.trim_end_matches("/Cargo.toml").to_owned();
        let mut one = Crate::default();
        for dependency in package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default()
        {
            let Some(on) = dependency["path"].as_str().and_then(folder) else { continue };
            match dependency["kind"].as_str() {
                Some("dev") => one.tests.insert(on),
                _ => one.needs.insert(on),
            };
        }
        crates.insert(name, one);
    }
    crates
}

/// The rows `| floor | `name` | what | needs |` of the table, and rows that make no
/// sense.
fn table(page: &str) -> (Crates, Vec<Finding>) {
    let (mut crates, mut findings) = (Crates::new(), Vec::new());
    for (index, text) in page.lines().enumerate() {
        let cells: Vec<&str> = text.trim().trim_matches('|').split('|').map(str::trim).collect();
        let [floor, name, _, needs] = cells[..] else { continue };
        let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) else {
            continue;
        };
        let Some(floor) = FLOORS.iter().position(|known| *known == floor) else {
            let wrong = format!("there is no floor {floor}");
            findings.push(Finding::at(TABLE, index + 1, wrong, FLOORS.join(", ")));
            continue;
        };
        let words = needs.split('`').skip(1).step_by(2);
        let needs = words.map(str::to_owned).collect();
        let one = Crate { floor, line: index + 1, needs, tests: BTreeSet::new() };
        crates.insert(name.to_owned(), one);
    }
    (crates, findings)
}

fn differences(table: &Crates, real: &Crates) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, one) in real {
        let Some(row) = table.get(name) else {
            let wrong = format!("crate {name} is not in the table of floors");
            findings.push(Finding::at(TABLE, 1, wrong, "add its row: floor, name, what, needs"));
            continue;
        };
        for on in one.needs.difference(&row.needs) {
            let wrong = format!("{name} needs {on}, and the table does not allow it");
            let next = "do without the edge, or change the design and its table";
            findings.push(Finding::at(manifest(name), 1, wrong, next));
        }
        for on in row.needs.difference(&one.needs) {
            let wrong = format!("the table says that {name} needs {on}, and it does not");
            findings.push(Finding::at(TABLE, row.line, wrong, "take it out of the row"));
        }
    }
    for (name, row) in table {
        if !real.contains_key(name) {
            let wrong = format!("there is no crate {name}");
            findings.push(Finding::at(TABLE, row.line, wrong, "take its row out"));
        }
    }
    findings
}

fn forbidden(table: &Crates, real: &Crates) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, one) in real {
        for on in &one.needs {
            if let Some(wrong) = never(table, name, on) {
                let next = "let the two meet as nouns in model, or one floor above both";
                findings.push(Finding::at(manifest(name), 1, wrong, next));
            }
        }
        // Tests may look anywhere, but not at what is built on them.
        for on in one.tests.iter().filter(|on| reaches(real, on, name)) {
            let wrong = format!("the tests of {name} need {on}, which is built on {name}");
            findings.push(Finding::at(
                manifest(name),
                1,
                wrong,
                "move the test to the upper crate",
            ));
        }
    }
    findings
}

/// What is wrong with an edge, whatever the table says.
fn never(table: &Crates, name: &str, on: &str) -> Option<String> {
    let floor = |name: &str| table.get(name).map(|row| row.floor);
    let (from, to) = (floor(name)?, floor(on)?);
    if to > from {
        return Some(format!("{name} needs {on}, which is {}: it points up", FLOORS[to]));
    }
    let beside = !["ground", "people"].contains(&FLOORS[from]);
    if to == from && beside {
        return Some(format!("{name} needs {on}, and both are {}", FLOORS[to]));
    }
    let data = DATA_PLANE.contains(&name) && CONTROL_PLANE.contains(&on);
    data.then(|| format!("{name} is data plane and {on} is control plane"))
}

/// Whether a crate is built from another, at whatever distance. Cargo has made
/// sure that this ends.
fn reaches(real: &Crates, from: &str, to: &str) -> bool {
    let needs = real.get(from).map(|one| &one.needs);
    needs.is_some_and(|needs| needs.iter().any(|on| on == to || reaches(real, on, to)))
}

fn manifest(name: &str) -> String {
    format!("crates/{name}/Cargo.toml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PAGE: &str = "\
| floor | crate | what | needs |
|---|---|---|---|
| ground | `model` | nouns | |
| engines | `machine` | a life | `model` |
| engines | `object` | semantics | `model` |
| services | `gateway` | movers | `object` |
| services | `control` | the API | `machine`, `model` |
";

    fn real(edges: &[(&str, &[&str])]) -> Crates {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let one = |needs: &[&str]| Crate { needs: set(needs), ..Crate::default() };
        edges.iter().map(|(name, needs)| ((*name).to_owned(), one(needs))).collect()
    }

    const AS_TABLED: &[(&str, &[&str])] = &[
        ("model", &[]),
        ("machine", &["model"]),
        ("object", &["model"]),
        ("gateway", &["object"]),
        ("control", &["machine", "model"]),
    ];

    fn found(real: &Crates) -> Vec<String> {
        let (table, mut findings) = table(PAGE);
        findings.extend(differences(&table, real));
        findings.extend(forbidden(&table, real));
        findings.into_iter().map(|finding| finding.wrong).collect()
    }

    fn with(name: &str, needs: &[&str]) -> Crates {
        let mut crates = real(AS_TABLED);
        crates.extend(real(&[(name, needs)]));
        crates
    }

    #[test]
    fn the_tree_as_tabled_passes() {
        assert_eq!(found(&real(AS_TABLED)), [] as [String; 0]);
    }

    #[test]
    fn table_and_tree_may_not_differ() {
        assert_eq!(found(&with("misfit", &[])), ["crate misfit is not in the table of floors"]);
        assert_eq!(found(&real(&AS_TABLED[..4])), ["there is no crate control"]);
        let less = found(&with("control", &["machine"]));
        assert_eq!(less, ["the table says that control needs model, and it does not"]);
        let more = found(&with("control", &["machine", "model", "object"]));
        assert_eq!(more, ["control needs object, and the table does not allow it"]);
    }

    #[test]
    fn some_edges_must_never_be() {
        let wrong = |name: &str, needs: &[&str]| found(&with(name, needs)).join("\n");
        assert!(wrong("machine", &["model", "object"]).contains("both are engines"));
        assert!(wrong("model", &["machine"]).contains("it points up"));
        let (table, _) = table(PAGE);
        let record = Crate { floor: 1, ..Crate::default() };
        let table: Crates = table.into_iter().chain([("record".to_owned(), record)]).collect();
        assert!(
            never(&table, "gateway", "record").is_some_and(|wrong| wrong.contains("data plane"))
        );
        assert_eq!(never(&table, "control", "record"), None);
    }

    #[test]
    fn tests_look_anywhere_but_up() {
        let mut crates = real(AS_TABLED);
        let tests = |name: &str| BTreeSet::from([name.to_owned()]);
        crates.get_mut("object").expect("it is there").tests = tests("machine");
        assert_eq!(found(&crates), [] as [String; 0]);
        crates.get_mut("model").expect("it is there").tests = tests("control");
        assert_eq!(found(&crates), ["the tests of model need control, which is built on model"]);
    }

    #[test]
    fn a_row_on_no_floor_is_found() {
        let (crates, findings) = table("| attic | `a` | things | |\n");
        assert!(crates.is_empty() && findings.len() == 1);
    }

    #[test]
    fn metadata_is_read_by_folder_and_kind() {
        let metadata = json!({ "packages": [
            { "manifest_path": "/x/crates/control/Cargo.toml", "dependencies": [
                { "path": "/x/crates/model", "kind": null },
                { "path": "/x/crates/machine", "kind": "build" },
                { "path": "/x/crates/lab", "kind": "dev" },
                { "kind": null },
            ] },
            { "manifest_path": "/x/xtask/Cargo.toml", "dependencies": [] },
        ] });
        let crates = workspace(&metadata);
        let control = &crates["control"];
        assert_eq!(crates.len(), 1);
        assert!(control.needs.iter().eq(["machine", "model"]) && control.tests.iter().eq(["lab"]));
    }
}
