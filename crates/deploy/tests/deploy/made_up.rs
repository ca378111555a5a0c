//! A made-up machine: a folder with `dev` and `sys`, whose disks are files full
//! of old data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use deploy::settings::Roots;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Removed when dropped.
pub struct Machine {
    pub dir: PathBuf,
}

impl Machine {
    pub fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("bedplate-deploy-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(dir.join("dev")).unwrap();
        fs::create_dir_all(dir.join("proc")).unwrap();
        Self { dir }
    }

    pub fn roots(&self) -> Roots {
        Roots::new(&self.dir)
    }

    /// A disk full of old data.
    pub fn disk(&self, name: &str, mib: usize) -> PathBuf {
        let block = self.dir.join("sys/block").join(name);
        fs::create_dir_all(block.join("device")).unwrap();
        fs::write(block.join("size"), format!("{}\n", mib << 11)).unwrap();
        fs::write(block.join("serial"), format!("SER-{name}\n")).unwrap();
        fs::write(block.join("device/model"), "Paper disk\n").unwrap();
        let node = self.dir.join("dev").join(name);
        fs::write(&node, junk(mib << 20, 0xdead)).unwrap();
        node
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Bytes that look random and are the same every time.
pub fn junk(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A disk of an operating system, more or less: data here and there, nothing between.
pub fn system(mib: usize) -> Vec<u8> {
    let mut disk = vec![0; mib << 20];
    for (index, at) in (0..mib).step_by(3).enumerate() {
        let data = junk(300_000 + index * 777, index as u64 + 7);
        let from = (at << 20) + index * 4096 % 700_000;
        let to = (from + data.len()).min(disk.len());
        disk[from..to].copy_from_slice(&data[..to - from]);
    }
    disk
}

/// Whether a program is there; says so when it is not.
pub fn has(program: &str, package: &str) -> bool {
    let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let there = there.is_ok_and(|output| output.status.success());
    if !there {
        println!("skipped: {program} is not installed (apt-get install {package})");
    }
    there
}

/// Runs a program that must succeed; returns what it said.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}{errors}");
    text
}

pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
