//! Chooses kernel modules, with what they need.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::ImageError;
use super::modinfo::{self, ModInfo};

/// Deepest folder that is searched.
const DEPTH_MAX: u32 = 16;
/// Largest module, unpacked.
const MODULE_BYTES_MAX: usize = 64 << 20;

/// Lists of modules that come with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleSet {
    /// For QEMU's devices: the virtual rack.
    Lab,
    /// For the network and storage of common servers.
    Hardware,
}

impl ModuleSet {
    /// The names in it; one with `?` before it may be missing from a kernel.
    pub fn names(self) -> Vec<String> {
        let list = match self {
            ModuleSet::Lab => include_str!("modules-lab.txt"),
            ModuleSet::Hardware => include_str!("modules-hardware.txt"),
        };
        let lines = list.lines().map(|line| line.split('#').next().unwrap_or("").trim());
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}

/// A module that goes into the image.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its path below `lib/modules/VERSION`, without a packer's ending.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Its bytes, unpacked, with the signature that the kernel checks.
    pub bytes: Vec<u8>,
    /// What it says of itself.
    pub info: ModInfo,
}

/// What was chosen.
#[derive(Debug, Default)]
pub struct Chosen {
    /// Every module after those that it needs.
    pub modules: Vec<Module>,
    /// Names that were asked for with `?` and are not there.
    pub missing: Vec<String>,
    /// Names that were asked for, without those that are part of the kernel.
    pub asked: Vec<String>,
}

/// Chooses modules by name from `lib/modules/VERSION`, with what they need.
///
/// # Errors
/// When one is missing or cannot be read.
pub fn choose(folder: &Path, names: &[String]) -> Result<Chosen, ImageError> {
    let mut files = BTreeMap::new();
    index(&folder.join("kernel"), &mut files, 0)?;
    let builtin = builtin(folder)?;
    let mut choice =
        Choice { folder, files, builtin, seen: BTreeSet::new(), chosen: Chosen::default() };
    for asked in names {
        let optional = asked.starts_with('?');
        let name = modinfo::name(asked.trim_start_matches('?'));
        if choice.builtin.contains(&name) {
            continue;
        }
        if !choice.files.contains_key(&name) && optional {
            choice.chosen.missing.push(name);
            continue;
        }
        choice.take(&name)?;
        choice.chosen.asked.push(name);
    }
    Ok(choice.chosen)
}

struct Choice<'a> {
    folder: &'a Path,
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
    seen: BTreeSet<String>,
    chosen: Chosen,
}

impl Choice<'_> {
    /// Takes a module after those that it needs. What was seen is not looked at
    /// again, which also ends circles.
    fn take(&mut self, name: &str) -> Result<(), ImageError> {
        if self.builtin.contains(name) || !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let missing = || ImageError::NoModule { name: name.to_owned() };
        let path = self.files.get(name).ok_or_else(missing)?.clone();
        let bytes = unpacked(&path)?;
        let bad = |why| ImageError::BadModule { path: path.clone(), why };
        let info = modinfo::read(&bytes).map_err(bad)?;
        for needed in &info.depends {
            self.take(needed)?;
        }
        for wished in &info.soft {
            if self.files.contains_key(wished) {
                self.take(wished)?;
            }
        }
        let inside =
            path.strip_prefix(self.folder).map_err(|_| bad("it lies outside its folder"))?;
        let inside = inside.to_str().ok_or_else(|| bad("its name is not text"))?;
        let inside = inside.split(".ko").next().unwrap_or(inside);
        let path = format!("{inside}.ko");
        self.chosen.modules.push(Module { path, name: name.to_owned(), bytes, info });
        Ok(())
    }
}

/// All modules below a folder by name.
fn index(
    folder: &Path,
    files: &mut BTreeMap<String, PathBuf>,
    depth: u32,
) -> Result<(), ImageError> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).map_err(ImageError::at(folder))? {
        let entry = entry.map_err(ImageError::at(folder))?;
        let kind = entry.file_type().map_err(ImageError::at(entry.path()))?;
        if kind.is_dir() {
            index(&entry.path(), files, depth + 1)?;
        } else if let Some(name) = entry.file_name().to_str().and_then(module_name) {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

/// The module's name, if a file is a module.
fn module_name(file: &str) -> Option<String> {
    let (stem, packed) = file.split_once(".ko")?;
    matches!(packed, "" | ".xz" | ".zst").then(|| modinfo::name(stem))
}

/// Modules that are part of the kernel.
fn builtin(folder: &Path) -> Result<BTreeSet<String>, ImageError> {
    let path = folder.join("modules.builtin");
    let list = std::fs::read_to_string(&path).map_err(ImageError::at(path))?;
    let files = list.lines().filter_map(|line| line.rsplit('/').next());
    Ok(files.filter_map(module_name).collect())
}

fn unpacked(path: &Path) -> Result<Vec<u8>, ImageError> {
    let bytes = std::fs::read(path).map_err(ImageError::at(path))?;
    let unpacked = match path.extension().and_then(|ending| ending.to_str()) {
        Some("xz") => read_bounded(liblzma::read::XzDecoder::new(&*bytes)),
        Some("zst") => zstd::Decoder::new(&*bytes).and_then(read_bounded),
        _ => Ok(bytes),
    };
    unpacked.map_err(ImageError::at(path))
}

fn read_bounded(reader: impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MODULE_BYTES_MAX).unwrap_or(u64::MAX);
    std::io::Read::read_to_end(&mut std::io::Read::take(reader, limit), &mut bytes)?;
    Ok(bytes)
}
