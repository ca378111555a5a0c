//! The disk: the root file system straight from the folder (no loop devices, no
//! mounts), the partition table, and both partitions in their places.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use world::process::{self, ProcessError};

use super::error::file;
use super::layout::{JOURNAL_MIB, Layout};
use super::recipe::Recipe;
use super::tools::LIMIT;
use super::{SystemError, blocking};

/// Features of the root file system, all named: the defaults of newer tools are more
/// than the GRUB of this release can read.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,\
     64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum";
/// Bytes that are copied, or left out when they are zero, at a time.
const PIECE: usize = 64 << 10;

/// Makes the whole disk.
pub(super) async fn make(
    recipe: &Recipe,
    layout: &Layout,
    root: &Path,
    boot: &Path,
    out: &Path,
) -> Result<(), SystemError> {
    let disk = File::create(out).map_err(file(out))?;
    disk.set_len(layout.size().0).map_err(file(out))?;
    divide(recipe, layout, out).await?;
    let system = out.with_extension("ext4");
    fill(recipe, layout, root, &system).await?;
    let places = [(boot.to_owned(), layout.boot()), (system, layout.root())];
    let out = out.to_owned();
    blocking(move || {
        for (from, (at, length)) in places {
            copy(&from, &disk, at, length).map_err(file(&out))?;
            fs::remove_file(&from).map_err(file(&from))?;
        }
        Ok(())
    })
    .await
}

async fn divide(recipe: &Recipe, layout: &Layout, disk: &Path) -> Result<(), SystemError> {
    let script =
        layout.script(&recipe.uuid("disk").to_string(), &recipe.uuid("partition").to_string());
    let mut command = process::command("sfdisk")?;
    command.args(["--quiet", "--no-reread", "--no-tell-kernel"]).arg(disk);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = |source| ProcessError::Start { program: "sfdisk".into(), source };
    let mut child = command.spawn().map_err(start)?;
    let mut stdin = child.stdin.take().expect("it was asked for");
    // It reads all of a few lines before it does anything: no deadlock.
    stdin.write_all(script.as_bytes()).await.map_err(start)?;
    drop(stdin);
    let output = child.wait_with_output().await.map_err(start)?;
    if output.status.success() {
        return Ok(());
    }
    Err(ProcessError::Failed {
        program: "sfdisk".into(),
        status: output.status.to_string(),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    }
    .into())
}

async fn fill(
    recipe: &Recipe,
    layout: &Layout,
    root: &Path,
    out: &Path,
) -> Result<(), SystemError> {
    let made = File::create(out).map_err(file(out))?;
    made.set_len(layout.root().1).map_err(file(out))?;
    let uuid = recipe.uuid("root").to_string();
    let journal = format!("size={JOURNAL_MIB}");
    // Written at once, so that the first boot has nothing to finish behind our back.
    let options =
        format!("lazy_itable_init=0,lazy_journal_init=0,hash_seed={}", recipe.uuid("hash"));
    let (root, out) = (root.display().to_string(), out.display().to_string());
    let arguments = [
        "-q", "-t", "ext4", "-O", FEATURES, "-m", "1", "-J", &journal, "-E", &options, "-U", &uuid,
        "-L", "root", "-d", &root, &out,
    ];
    process::run("mke2fs", arguments, LIMIT).await?;
    Ok(())
}

/// Copies a file to its place; what is zero stays a hole.
fn copy(from: &Path, disk: &File, at: u64, length: u64) -> io::Result<()> {
    let source = File::open(from)?;
    assert_eq!(source.metadata()?.len(), length, "a partition is as long as its place");
    let mut source = source.take(length);
    let mut disk = disk;
    let mut piece = vec![0; PIECE];
    let mut done = 0;
    while done < length {
        let part = &mut piece[..PIECE.min((length - done) as usize)];
        source.read_exact(part)?;
        if part.iter().any(|byte| *byte != 0) {
            disk.seek(SeekFrom::Start(at + done))?;
            disk.write_all(part)?;
        }
        done += part.len() as u64;
    }
    Ok(())
}
