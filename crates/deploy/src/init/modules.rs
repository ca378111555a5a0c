//! Drivers: every device of the machine names what could drive it (`modalias`);
//! those modules are loaded with what they need. New devices appear behind new
//! drivers, so it goes round until nothing is new.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::system::{finit_module, init_module, uname};

use super::alias::Catalogue;

/// Largest module, unpacked.
const MODULE_MOST: u64 = 256 << 20;
/// How deep the tree of devices is followed.
const DEPTH_MOST: usize = 24;
/// Rounds after which no more new devices are expected.
const ROUNDS_MOST: usize = 8;

/// Loads modules of the running kernel.
#[derive(Debug)]
pub struct Loader {
    dir: PathBuf,
    catalogue: Catalogue,
    tried: BTreeSet<String>,
    known: BTreeSet<String>,
}

impl Loader {
    /// From `/lib/modules/RELEASE`. A kernel without modules is fine.
    pub fn open() -> Self {
        let release = uname().release().to_string_lossy().into_owned();
        let dir = Path::new("/lib/modules").join(release);
        let text = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
        let catalogue = Catalogue::parse(&text("modules.alias"), &text("modules.dep"));
        Self { dir, catalogue, tried: BTreeSet::new(), known: BTreeSet::new() }
    }

    /// Loads what the image lists because no device asks for it (`modules.load`, one name a line).
    pub fn load_listed(&mut self) -> usize {
        let list = fs::read_to_string(self.dir.join("modules.load")).unwrap_or_default();
        list.lines()
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(|name| self.load(name))
            .sum()
    }

    /// Loads a driver for every device; returns how many modules went in.
    pub fn load_for_devices(&mut self) -> usize {
        let mut total = 0;
        for _ in 0..ROUNDS_MOST {
            let mut aliases = BTreeSet::new();
            collect(Path::new("/sys/devices"), DEPTH_MOST, &mut aliases);
            let new: Vec<String> = aliases.difference(&self.known).cloned().collect();
            self.known.extend(aliases);
            let loaded: usize = new.iter().map(|alias| self.load(alias)).sum();
            total += loaded;
            if loaded == 0 {
                break;
            }
        }
        total
    }

    /// Loads what an alias or a name stands for; returns how many modules went in.
    pub fn load(&mut self, alias: &str) -> usize {
        let modules: Vec<String> =
            self.catalogue.modules(alias).into_iter().map(str::to_owned).collect();
        let mut loaded = 0;
        for module in modules {
            let files: Vec<String> =
                self.catalogue.load_order(&module).map(str::to_owned).collect();
            for file in files {
                if !self.tried.insert(file.clone()) {
                    continue;
                }
                match insert(&self.dir.join(&file)) {
                    Ok(true) => loaded += 1,
                    Ok(false) => {}
                    Err(error) => crate::say!("cannot load {file}: {error}"),
                }
            }
        }
        loaded
    }
}

/// Every `modalias` below a folder of sysfs. Links are not followed: no circles.
fn collect(dir: &Path, depth: usize, found: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => collect(&entry.path(), depth - 1, found),
            Ok(kind) if kind.is_file() && entry.file_name() == "modalias" => {
                let text = fs::read_to_string(entry.path()).unwrap_or_default();
                found.insert(text.trim().to_owned());
            }
            _ => {}
        }
    }
}

/// Puts a module into the kernel; `false` when it is there already, or not in the image.
fn insert(path: &Path) -> std::io::Result<bool> {
    let Ok(mut file) = fs::File::open(path) else { return Ok(false) };
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
    let done = match extension {
        // By its file the kernel can see where it came from.
        "ko" => finit_module(&file, c"", 0),
        packed => {
            let mut bytes = Vec::new();
            unpack(packed, &mut file)?.take(MODULE_MOST).read_to_end(&mut bytes)?;
            init_module(&bytes, c"")
        }
    };
    match done {
        Ok(()) => Ok(true),
        // Built in or loaded before; or its device is not there after all.
        Err(Errno::EXIST | Errno::NODEV) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Our kernel may not unpack modules itself, so we do.
fn unpack<'a>(extension: &str, file: &'a mut fs::File) -> std::io::Result<Box<dyn Read + 'a>> {
    use model::image::Compression;
    let compression = match extension {
        "xz" => Compression::Xz,
        "zst" => Compression::Zstd,
        "gz" => Compression::Gzip,
        _ => Compression::None,
    };
    crate::image::unpack::unpack(compression, file)
}
