//! Keys as paths of files, and files as keys. Keys come from strangers: none may name a
//! file outside the directory that was meant.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;

/// A file to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Where it is.
    pub path: PathBuf,
    /// Its place below the directory, with `/` between names.
    pub name: String,
    /// Its length.
    pub size: u64,
    /// When it was written, in seconds since 1970.
    pub modified: i64,
}

/// All files below a directory, in the order of their names. Links are not followed: they
/// may lead anywhere, and around in circles.
///
/// # Errors
/// When one cannot be looked at, or has a name that is no text.
pub fn below(directory: &Path) -> Result<Vec<Local>, Failure> {
    let mut found = Vec::new();
    gather(directory, "", &mut found)?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn gather(directory: &Path, before: &str, found: &mut Vec<Local>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::file(directory, &error);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        let name = entry.file_name().into_string().map_err(|_| no_text(&path))?;
        if kind.is_dir() {
            gather(&path, &format!("{before}{name}/"), found)?;
        } else if kind.is_file() {
            let metadata = entry.metadata().map_err(|error| Failure::file(&path, &error))?;
            let modified = seconds(&metadata);
            found.push(Local {
                path,
                name: format!("{before}{name}"),
                size: metadata.len(),
                modified,
            });
        }
    }
    Ok(())
}

fn no_text(path: &Path) -> Failure {
    Failure::new("file", format!("{} has a name that is no UTF-8", path.display()))
        .next("Rename it: keys are UTF-8.")
}

/// When a file was written, in seconds since 1970.
pub fn seconds(metadata: &fs::Metadata) -> i64 {
    std::os::unix::fs::MetadataExt::mtime(metadata)
}

/// The file that a key is below a directory; `None` where it would be no file there.
pub fn file(directory: &Path, below: &str) -> Option<PathBuf> {
    let mut path = directory.to_owned();
    for segment in below.split('/') {
        if matches!(segment, "" | "." | "..") || segment.contains('\0') {
            return None;
        }
        path.push(segment);
    }
    Some(path)
}

/// The last name of a key, for a file of its own.
pub fn last(key: &str) -> Option<&str> {
    let name = key.rsplit('/').next().unwrap_or_default();
    (!matches!(name, "" | "." | "..") && !name.contains('\0')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_names_a_file_outside() {
        let at = |key: &str| file(Path::new("d"), key);
        assert_eq!(at("a/b.txt"), Some(PathBuf::from("d/a/b.txt")));
        for bad in ["../a", "a/../../b", "/etc/passwd", "a//b", "a/", "", ".", "a/./b", "a\0b"] {
            assert_eq!(at(bad), None, "{bad:?}");
        }
        assert_eq!(last("a/b"), Some("b"));
        assert_eq!((last("a/"), last("a/..")), (None, None));
    }
}
