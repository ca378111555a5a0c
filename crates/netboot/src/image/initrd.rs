//! Puts the initial ramdisk together.

use std::collections::BTreeMap;

use super::cpio::Archive;
use super::modules::{Chosen, Module};

/// Folders that are there when the agent starts.
const FOLDERS: [&str; 6] = ["dev", "etc/bedplate", "proc", "run", "sys", "tmp"];

/// The archive, not yet packed: the agent as `/init`, how it finds the control
/// plane, and the modules below `/lib/modules/VERSION` with the indexes that
/// `modprobe` reads (`modules.dep`, `modules.alias`) and `modules.load`: those that no
/// device asks for, in the order in which they are to be loaded.
pub(super) fn archive(agent: &[u8], control: &[u8], version: &str, chosen: &Chosen) -> Vec<u8> {
    let mut archive = Archive::default();
    for folder in FOLDERS {
        archive.directory(folder);
    }
    // Without it the first process has no console to speak to.
    archive.device("dev/console", 5, 1);
    archive.file("etc/bedplate/control.json", 0o644, control);
    let folder = format!("lib/modules/{version}");
    archive.directory(&folder);
    for module in &chosen.modules {
        archive.file(&format!("{folder}/{}", module.path), 0o644, &module.bytes);
    }
    archive.file(&format!("{folder}/modules.alias"), 0o644, aliases(chosen).as_bytes());
    archive.file(&format!("{folder}/modules.dep"), 0o644, dependencies(chosen).as_bytes());
    archive.file(&format!("{folder}/modules.load"), 0o644, load(chosen).as_bytes());
    archive.file("init", 0o755, agent);
    archive.finish()
}

/// `alias PATTERN MODULE`, as `depmod` writes it.
fn aliases(chosen: &Chosen) -> String {
    let mut lines = String::new();
    for module in &chosen.modules {
        for pattern in &module.info.aliases {
            lines.push_str(&format!("alias {pattern} {}\n", module.name));
        }
    }
    lines
}

/// Names of modules that were asked for and that no device names: aliases of devices
/// have their bus before a colon, those of file systems have none.
fn load(chosen: &Chosen) -> String {
    let for_devices = |module: &Module| module.info.aliases.iter().any(|a| a.contains(':'));
    let asked = chosen.modules.iter().filter(|module| chosen.asked.contains(&module.name));
    asked.filter(|module| !for_devices(module)).map(|module| format!("{}\n", module.name)).collect()
}

/// `PATH: PATH PATH`, the nearest dependency first, as `depmod` writes it.
fn dependencies(chosen: &Chosen) -> String {
    let by_name: BTreeMap<&str, usize> =
        chosen.modules.iter().enumerate().map(|(index, m)| (m.name.as_str(), index)).collect();
    let mut lines = String::new();
    for module in &chosen.modules {
        let mut needed = Vec::new();
        gather(chosen, &by_name, module, &mut needed);
        // What was chosen later needs what was chosen earlier: it comes first here.
        needed.sort_unstable_by(|a, b| b.cmp(a));
        let paths = needed.iter().map(|index| format!(" {}", chosen.modules[*index].path));
        lines.push_str(&format!("{}:{}\n", module.path, paths.collect::<String>()));
    }
    lines
}

fn gather(
    chosen: &Chosen,
    by_name: &BTreeMap<&str, usize>,
    module: &Module,
    needed: &mut Vec<usize>,
) {
    for name in module.info.depends.iter().chain(&module.info.soft) {
        if let Some(index) = by_name.get(name.as_str())
            && !needed.contains(index)
            && chosen.modules[*index].name != module.name
        {
            needed.push(*index);
            gather(chosen, by_name, &chosen.modules[*index], needed);
        }
    }
}
