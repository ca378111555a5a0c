//! What the builder needs of the host, checked before anything is touched.

use model::Duration;
use world::process;

use super::SystemError;

/// Programs and the packages that have them.
const PROGRAMS: [(&str, &str); 8] = [
    ("mmdebstrap", "mmdebstrap"),
    ("dpkg-deb", "dpkg"),
    ("mke2fs", "e2fsprogs"),
    ("mformat", "mtools"),
    ("mmd", "mtools"),
    ("mcopy", "mtools"),
    ("sfdisk", "fdisk"),
    ("zstd", "zstd"),
];

/// Longest that any program but the package manager takes.
pub(super) const LIMIT: Duration = Duration::from_secs(600);

/// Whether an image can be built here; the error says what to install or how to run.
pub(super) fn check() -> Result<(), SystemError> {
    check_with(|program| process::find(program).is_some(), rustix::process::geteuid().is_root())
}

fn check_with(has: impl Fn(&str) -> bool, root: bool) -> Result<(), SystemError> {
    let absent = || PROGRAMS.iter().filter(|(program, _)| !has(program));
    let what: Vec<_> = absent().map(|(program, _)| *program).collect();
    let mut packages: Vec<_> = absent().map(|(_, package)| *package).collect();
    packages.dedup();
    if !what.is_empty() {
        return Err(SystemError::Missing { what, packages });
    }
    if root { Ok(()) } else { Err(SystemError::NotRoot) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let error = check_with(|program| !program.starts_with('m'), true).unwrap_err();
        assert_eq!(
            error.to_string(),
            "mmdebstrap, mke2fs, mformat, mmd, mcopy not found; \
             install with: apt-get install mmdebstrap e2fsprogs mtools"
        );
    }

    #[test]
    fn whoever_is_not_root_is_told() {
        let error = check_with(|_| true, false).unwrap_err();
        assert!(error.to_string().contains("sudo"), "{error}");
        check_with(|_| true, true).unwrap();
    }
}
