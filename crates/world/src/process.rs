//! Child processes: started, watched and ended by their own id and no other's.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use thiserror::Error;
use tokio::process::Command;

use model::Duration;

/// Why a program did not do its work.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// It is not there.
    #[error("{program} is not installed; install it with: apt-get install {package}")]
    Missing {
        /// Its name.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// It could not be started.
    #[error("{program} could not be started: {source}")]
    Start {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It ended badly.
    #[error("{program} failed ({status}): {said}")]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        said: String,
    },
    /// It did not end in time, and was killed.
    #[error("{program} did not end within {limit} and was killed")]
    Late {
        /// Its name.
        program: String,
        /// How long it had.
        limit: Duration,
    },
}

/// Debian's packages for the programs that Bedplate runs.
const PACKAGES: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-img", "qemu-utils"),
    ("swtpm", "swtpm"),
    ("swtpm_setup", "swtpm-tools"),
    ("sbsign", "sbsigntool"),
    ("sbverify", "sbsigntool"),
    ("xorriso", "xorriso"),
    ("mformat", "mtools"),
    ("mcopy", "mtools"),
    ("mmd", "mtools"),
    ("mmdebstrap", "mmdebstrap"),
    ("mke2fs", "e2fsprogs"),
    ("mkfs.ext4", "e2fsprogs"),
    ("ip", "iproute2"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("dpkg-deb", "dpkg"),
    ("apt-get", "apt"),
    ("openssl", "openssl"),
];

/// Debian's package that has a program.
pub fn package_of(program: &str) -> &'static str {
    let known = PACKAGES.iter().find(|(name, _)| *name == program);
    known.map_or("the package that has it", |(_, package)| package)
}

/// Where a program is, by `PATH` and the places of the superuser's programs.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    places.map(|place| place.join(program)).find(|candidate| candidate.is_file())
}

/// A command for a program that must be there.
pub fn command(program: &str) -> Result<Command, ProcessError> {
    let found = find(program).ok_or_else(|| ProcessError::Missing {
        program: program.to_owned(),
        package: package_of(program),
    })?;
    let mut command = Command::new(found);
    command.stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// Runs a program to its end and gives its standard output.
pub async fn run<I, S>(
    program: &str,
    arguments: I,
    limit: Duration,
) -> Result<Vec<u8>, ProcessError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = command(program)?;
    command.args(arguments);
    finish(program, command, limit).await
}

/// Runs a prepared command to its end and gives its standard output.
pub async fn finish(
    program: &str,
    mut command: Command,
    limit: Duration,
) -> Result<Vec<u8>, ProcessError> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = tokio::time::timeout(limit.std(), command.output()).await;
    let output = match ended {
        Err(_) => return Err(ProcessError::Late { program: program.to_owned(), limit }),
        Ok(Err(source)) => return Err(ProcessError::Start { program: program.to_owned(), source }),
        Ok(Ok(output)) => output,
    };
    if output.status.success() {
        return Ok(output.stdout);
    }
    let status = match output.status.signal() {
        Some(signal) => format!("killed by signal {signal}"),
        None => format!("exit status {}", output.status.code().unwrap_or(-1)),
    };
    Err(ProcessError::Failed { program: program.to_owned(), status, said: tail(&output.stderr) })
}

/// The last lines of what a program said, at most 2,000 characters.
fn tail(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let text = text.trim();
    let skip = text.chars().count().saturating_sub(2_000);
    text.chars().skip(skip).collect()
}

/// A process by its id and the moment it started, so that a later process with
/// the same id is not taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProcessId {
    /// The id.
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`: clock ticks after boot.
    pub started: u64,
}

impl ProcessId {
    /// The process that has this id now.
    pub fn of(pid: u32) -> Option<Self> {
        started(Path::new("/proc"), pid).map(|started| Self { pid, started })
    }

    /// Whether it still runs.
    pub fn alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Ends it at once; nothing when it is gone already.
    pub fn kill(self) {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw)
        else {
            return;
        };
        // The descriptor is taken first and the start checked after: from then on
        // the signal can reach no other process.
        let Ok(handle) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
        else {
            return;
        };
        if self.alive() {
            let _ = rustix::process::pidfd_send_signal(&handle, rustix::process::Signal::KILL);
        }
    }
}

fn started(proc: &Path, pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(proc.join(pid.to_string()).join("stat")).ok()?;
    // The name may hold spaces and parentheses: count from the last one.
    let after = &stat[stat.rfind(')')? + 1..];
    let state = after.split_whitespace().next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    after.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_says_what_the_program_said() {
        let script = ["-c", "echo no room >&2; exit 3"];
        let error = run("sh", script, Duration::from_secs(10)).await.unwrap_err();
        assert_eq!(error.to_string(), "sh failed (exit status 3): no room");
    }

    #[tokio::test]
    async fn a_missing_program_names_no_stranger() {
        let error = run("no-such-program", [""; 0], Duration::from_secs(10)).await.unwrap_err();
        assert!(matches!(error, ProcessError::Missing { .. }));
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let id = ProcessId::of(child.id()).unwrap();
        assert!(id.alive());
        let other = ProcessId { started: id.started + 1, ..id };
        other.kill();
        assert!(id.alive());
        id.kill();
        child.wait().unwrap();
        assert!(!id.alive());
    }
}
