//! The packages, installed into a folder by mmdebstrap.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Stdio;

use model::{Bytes, Duration};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use world::process::{self, ProcessError};

use super::error::file;
use super::recipe::{LEFT_OUT, LOADERS, Recipe};
use super::{SystemError, blocking};

/// Where the boot loaders' packages lie in the tree until they are unpacked.
pub(super) const LOADERS_AT: &str = "var/lib/bedplate-loaders";

/// mmdebstrap's hook that lays out a merged `/usr` before the first package.
const MERGED: &str = "/usr/share/mmdebstrap/hooks/merged-usr";
/// Longest for all packages, over a slow line.
const LONGEST: Duration = Duration::from_secs(1800);
/// Lines of what mmdebstrap said that are kept for an error.
const LINES_KEPT: usize = 12;
/// Longest line that is taken.
const LINE_LONGEST: u64 = 4096;

/// Installs the packages of the recipe into `root`.
pub(super) async fn install(
    recipe: &Recipe,
    root: &Path,
    progress: &(impl Fn(&str) + Send + Sync),
) -> Result<(), SystemError> {
    let program = "mmdebstrap";
    // In a mount namespace of its own: what it mounts below the folder goes with it,
    // also when it is killed.
    let mut command = process::command("unshare")?;
    command.args(["--mount", "--propagation", "private", program]);
    command.args(arguments(recipe)).arg(recipe.suite()).arg(root).args(recipe.mirror());
    command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8");
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let start = |source| ProcessError::Start { program: program.into(), source };
    let mut child = command.spawn().map_err(start)?;
    let said = child.stderr.take().expect("it was asked for");
    let ended = tokio::time::timeout(LONGEST.std(), async {
        let kept = follow(said, progress).await;
        child.wait().await.map(|status| (status, kept))
    });
    match ended.await {
        Err(_) => Err(ProcessError::Late { program: program.into(), limit: LONGEST }.into()),
        Ok(Err(source)) => Err(start(source).into()),
        Ok(Ok((status, _))) if status.success() => Ok(()),
        Ok(Ok((_, kept))) => Err(SystemError::Packages { said: Vec::from(kept).join("\n") }),
    }
}

/// Passes on what mmdebstrap says of its steps; the last lines.
async fn follow(
    said: impl AsyncRead + Unpin,
    progress: &(impl Fn(&str) + Send + Sync),
) -> VecDeque<String> {
    let mut reader = BufReader::new(said);
    let mut kept = VecDeque::new();
    let mut line = Vec::new();
    // An error here is the end of the program: its status says more.
    while let Ok(1..) = (&mut reader).take(LINE_LONGEST).read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        if let Some(step) = text.strip_prefix("I: ").and_then(for_people) {
            progress(step);
        }
        kept.push_back(text);
        if kept.len() > LINES_KEPT {
            kept.pop_front();
        }
        line.clear();
    }
    kept
}

/// The steps that take their time, in our words.
fn for_people(step: &str) -> Option<&'static str> {
    Some(match step {
        "running apt-get update..." => "reading Debian's lists of packages",
        "downloading packages with apt..." => "downloading the packages",
        "extracting archives..." => "unpacking the first packages",
        "installing essential packages..." => "configuring the first packages",
        "installing remaining packages inside the chroot..." => {
            "installing the kernel, cloud-init and the rest"
        }
        _ => return None,
    })
}

fn arguments(recipe: &Recipe) -> Vec<String> {
    let mut arguments = vec![
        "--mode=root".to_owned(),
        "--variant=apt".to_owned(),
        "--format=directory".to_owned(),
        format!("--include={}", recipe.packages().join(",")),
        "--aptopt=APT::Install-Recommends \"false\"".to_owned(),
        // Nobody needs half a tree after a power cut.
        "--dpkgopt=force-unsafe-io".to_owned(),
    ];
    if Path::new(MERGED).is_dir() {
        arguments.push(format!("--hook-dir={MERGED}"));
        let pin = "Package: usrmerge\\nPin: release *\\nPin-Priority: -1\\n";
        arguments.push(format!(
            "--setup-hook=mkdir -p \"$1/etc/apt/preferences.d\" && \
             printf '{pin}' > \"$1/etc/apt/preferences.d/usrmerge\""
        ));
    }
    arguments.extend(LEFT_OUT.iter().map(|pattern| format!("--dpkgopt=path-exclude={pattern}")));
    arguments.push("--dpkgopt=path-include=/usr/share/doc/*/copyright".to_owned());
    // By the host's apt with the tree's settings: names cannot be resolved inside,
    // now that the tree has a resolver of its own, which does not run. The folder is
    // root's and closed, hence not the user that apt would take.
    arguments.push(format!(
        "--customize-hook=mkdir -p \"$1/{LOADERS_AT}\" && cd \"$1/{LOADERS_AT}\" && \
         APT_CONFIG=\"$MMDEBSTRAP_APT_CONFIG\" apt-get -q -o APT::Sandbox::User=root download {}",
        LOADERS.join(" ")
    ));
    arguments
}

/// Bytes of blocks that the files take in a file system of 4 KiB blocks.
pub(super) fn weigh(folder: &Path) -> Result<Bytes, SystemError> {
    let (mut total, mut folders) = (0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(file(&folder))? {
            let entry = entry.map_err(file(&folder))?;
            let path = entry.path();
            let metadata = entry.metadata().map_err(file(&path))?;
            // A hard link counts each time: the guess may be high, never low.
            total += metadata.size().next_multiple_of(4096) + 256;
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(Bytes(total))
}

/// Removes a folder of an earlier build, or of this one.
pub(super) async fn remove(folder: &Path) -> Result<(), SystemError> {
    let folder = folder.to_owned();
    blocking(move || match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(file(&folder)(error)),
        _ => Ok(()),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::Order;
    use super::*;

    #[tokio::test]
    async fn what_mmdebstrap_says_is_told_and_the_end_of_it_kept() {
        let mut said = String::from("I: running apt-get update...\nI: nobody needs this\n");
        for line in 0..40 {
            said.push_str(&format!("E: line {line}\n"));
        }
        said.push_str(&"x".repeat(10_000));
        let told = Mutex::new(Vec::new());
        let kept =
            follow(said.as_bytes(), &|line: &str| told.lock().unwrap().push(line.to_owned())).await;
        assert_eq!(*told.lock().unwrap(), ["reading Debian's lists of packages"]);
        assert_eq!(kept.len(), LINES_KEPT);
        assert!(kept.iter().all(|line| line.len() as u64 <= LINE_LONGEST));
        assert_eq!(kept[0], "E: line 31");
    }

    #[test]
    fn extra_packages_are_asked_for() {
        let order = Order { extra_packages: vec!["htop".into()], ..Order::new("/o", "/w") };
        let arguments = arguments(&Recipe::of(&order).unwrap());
        assert!(arguments.iter().any(|it| it.starts_with("--include=") && it.ends_with(",htop")));
    }
}
