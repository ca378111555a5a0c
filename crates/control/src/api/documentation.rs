//! The table of endpoints as the documentation shows it. A test compares it with
//! `docs/api.md`, so that no endpoint goes undocumented.

use std::fmt::Write as _;

use model::api::ENDPOINTS;
use model::verbs;

use super::authorise::word;

/// A Markdown table of every endpoint: what it does, method and path, permission,
/// query parameters, and the verb of the command line.
pub fn endpoint_table() -> String {
    let mut table = String::from(
        "| endpoint | request | permission | query | `bedplate …` | what it does |\n\
         |---|---|---|---|---|---|\n",
    );
    for info in ENDPOINTS {
        let query: Vec<String> = info.query.iter().map(|(name, _)| format!("`{name}`")).collect();
        let verb = match verbs::verb(info.name) {
            Some(verbs::MACHINE_ONLY) => "(machines only)".to_owned(),
            Some(verb) => format!("`{verb}`"),
            None => "(none)".to_owned(),
        };
        // Writing into a string cannot fail.
        let _ = writeln!(
            table,
            "| `{}` | `{} {}` | {} | {} | {} | {} |",
            info.name,
            info.method.name(),
            info.path,
            word(info.permission),
            query.join(" "),
            verb,
            info.summary.trim(),
        );
    }
    table
}
