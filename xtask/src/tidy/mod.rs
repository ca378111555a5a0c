//! `cargo xtask tidy`: what must hold of the tree, checked by reading it. One file
//! a rule; each says what is wrong and what to do, and has a test that it can fail.
//!
//! Read in this order: [`tree`] (what is read), [`source`] (Rust without strings
//! and comments), [`finding`], then the rules in the order of [`RULES`].

mod edges;
mod endpoints;
mod finding;
mod functions;
mod headers;
mod journeys;
mod lengths;
mod links;
mod names;
mod packages;
mod ratchets;
mod source;
mod summary;
mod tree;
mod unfinished;
mod unsafety;
mod unwraps;
mod words;

use anyhow::{Result, bail};

use finding::Finding;
use ratchets::Ratchets;
use tree::Tree;

/// A rule: a look at the tree, and what is wrong with it.
type Rule = fn(&Tree) -> Result<Vec<Finding>>;

const RULES: &[Rule] = &[
    edges::check,
    headers::check,
    names::check,
    words::check,
    unfinished::check,
    unsafety::check,
    unwraps::check,
    lengths::check,
    packages::check,
    endpoints::check,
    links::check,
    journeys::check,
];

/// Checks the tree, prints every finding and one line of figures, and fails when
/// there are findings.
pub fn tidy() -> Result<()> {
    let tree = Tree::read(&crate::run::top())?;
    let mut findings = Vec::new();
    for rule in RULES {
        findings.extend(rule(&tree)?);
    }
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    for note in lengths::notes(&tree)? {
        println!("{note}");
    }
    println!("tidy: {}, {} findings", summary::figures(&tree), findings.len());
    if !findings.is_empty() {
        bail!("the tree is not tidy: {} findings above", findings.len());
    }
    Ok(())
}

/// Lowers the ratchets to what the tree has now. Raises none.
pub fn lower() -> Result<()> {
    let tree = Tree::read(&crate::run::top())?;
    let allowed = Ratchets::of(&tree)?;
    let lowered = allowed.lowered(&lengths::measured(&tree));
    std::fs::write(crate::run::top().join(ratchets::PATH), lowered.to_string())?;
    println!("{} is as low as the tree allows", ratchets::PATH);
    Ok(())
}
