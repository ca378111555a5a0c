//! Every endpoint of the API is in its documentation for people.

use anyhow::Result;
use model::api::ENDPOINTS;

use super::finding::Finding;
use super::source::word_at;
use super::tree::Tree;

const PAGE: &str = "docs/api.md";

/// Endpoints that the page leaves out. Without the page there is nothing to check.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let Some(page) = tree.file(PAGE) else { return Ok(Vec::new()) };
    let missing = ENDPOINTS.iter().filter(|endpoint| word_at(&page.text, endpoint.name).is_none());
    let say = |endpoint: &model::api::EndpointInfo| {
        let wrong =
            format!("{} ({} {}) is left out", endpoint.name, endpoint.method.name(), endpoint.path);
        Finding::at(PAGE, 1, wrong, "describe it: what it does, its reply, and its verb")
    };
    Ok(missing.map(say).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_is_missed() {
        let names: Vec<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.name).collect();
        let whole = Tree::of(&[(PAGE, &names.join("\n"))]);
        assert_eq!(check(&whole).expect("pure"), []);
        let most = Tree::of(&[(PAGE, &names[1..].join("\n"))]);
        let found = check(&most).expect("pure");
        assert_eq!(found.len(), 1);
        assert!(found[0].wrong.starts_with(names[0]));
        assert_eq!(check(&Tree::of(&[])).expect("pure"), [], "there may be no page yet");
    }
}
