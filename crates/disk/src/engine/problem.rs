//! Why orders are not carried out, in the one shape that people see.

use std::io;

use model::volume::DiskProblem;

use crate::reactor::Gone;

/// A problem.
pub fn problem(code: &str, what: impl Into<String>, next: impl Into<String>) -> DiskProblem {
    DiskProblem { code: code.into(), what: what.into(), next: next.into() }
}

/// The system refused something.
pub fn system(what: &str, error: &io::Error) -> DiskProblem {
    problem("system_error", format!("{what}: {error}"), "see the log of `bedplate disk up`")
}

/// There is no such volume.
pub fn unknown_volume(name: &str) -> DiskProblem {
    problem(
        "volume_unknown",
        format!("there is no volume `{name}`"),
        "list them: bedplate volume list",
    )
}

/// There is no such pool.
pub fn unknown_pool(name: &str) -> DiskProblem {
    problem("pool_unknown", format!("there is no pool `{name}`"), "list them: bedplate pool list")
}

/// Another name is needed.
pub fn name_taken(what: &str, name: &str) -> DiskProblem {
    problem("name_taken", format!("there is a {what} `{name}` already"), "choose another name")
}

/// The lane has ended: the service is on its way out.
pub fn gone(_: Gone) -> DiskProblem {
    problem("ending", "the service is ending", "start it again: bedplate disk up")
}

/// Names are in paths of sockets and in `NAME@SNAPSHOT`.
pub fn check_name(name: &str) -> Result<(), DiskProblem> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.len() <= 63 && name.chars().all(allowed) {
        return Ok(());
    }
    Err(problem(
        "name_not_allowed",
        format!("`{name}` is no name"),
        "use 1 to 63 letters, digits, `-`, `_` and `.`, beginning with a letter or digit",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_a_directory() {
        for good in ["a", "db-1.data", "0"] {
            check_name(good).expect(good);
        }
        for bad in ["", "..", "a/b", "a@b", "-x", &"n".repeat(64), "ä"] {
            assert_eq!(check_name(bad).expect_err(bad).code, "name_not_allowed");
        }
    }
}
