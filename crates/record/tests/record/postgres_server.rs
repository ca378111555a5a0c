//! A PostgreSQL server of our own, in a folder that goes away with it: for the
//! contract test and for the torture. It listens on a socket in that folder and
//! nowhere else, and it is ended by the id of its process.
#![allow(clippy::disallowed_methods, reason = "a server that runs beside us keeps real time")]

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};

/// What to say when there is no server to be started.
pub const SKIPPED: &str = "skipped: PostgreSQL is not installed (apt-get install postgresql)";
/// How long a server may take to come up, also when it has to recover.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    folder: PathBuf,
    /// PostgreSQL does not run as root: its user and group then.
    user: Option<(u32, u32)>,
    process: Option<Child>,
}

impl Server {
    /// Makes a database cluster in a new folder and starts a server on it. `None`
    /// when PostgreSQL, or a user that it could run as, is not there.
    pub fn start(label: &str) -> io::Result<Option<Server>> {
        let Some(programs) = find_programs() else { return Ok(None) };
        let user = match geteuid().is_root() {
            false => None,
            true => match find_user("postgres") {
                None => return Ok(None),
                user => user,
            },
        };
        let name = format!("bedplate-{label}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder)?;
        let mut server = Server { programs, folder, user, process: None };
        if let Some((user, group)) = user {
            chown(&server.folder, Some(user), Some(group))?;
        }
        server.initialise()?;
        server.launch()?;
        Ok(Some(server))
    }

    /// Where to connect to, with the tables in a schema of their own.
    pub fn url(&self, schema: &str) -> String {
        let socket = self.folder.display();
        format!("host={socket} user=bedplate dbname=postgres options='-c search_path={schema}'")
    }

    /// A plain connection.
    pub fn connect(&self, schema: &str) -> Result<postgres::Client, postgres::Error> {
        postgres::Client::connect(&self.url(schema), postgres::NoTls)
    }

    /// Makes a schema for tables.
    pub fn create_schema(&self, schema: &str) -> Result<(), postgres::Error> {
        self.connect("public")?.batch_execute(&format!("CREATE SCHEMA {schema}"))
    }

    /// Kills the server without a warning and starts it again. Its children see
    /// that it is gone and go too; only then will a new one start.
    #[allow(dead_code, reason = "only the torture kills")]
    pub fn kill_and_restart(&mut self) -> io::Result<()> {
        if let Some(process) = &mut self.process {
            process.kill()?;
            process.wait()?;
        }
        self.launch()
    }

    fn initialise(&self) -> io::Result<()> {
        let data = self.data();
        let mut initdb = self.command("initdb");
        initdb.arg("--pgdata").arg(&data);
        initdb.args(["--auth=trust", "--username=bedplate", "--encoding=UTF8", "--no-locale"]);
        // What is not synced here is a new and empty cluster.
        initdb.arg("--no-sync");
        let output = initdb.output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(())
    }

    /// Starts the server and waits until it answers. A server that was killed may
    /// still have children that keep a new one out for a moment.
    fn launch(&mut self) -> io::Result<()> {
        let until = Instant::now() + START_LIMIT;
        loop {
            self.process = Some(self.spawn()?);
            while Instant::now() < until {
                let process = self.process.as_mut().expect("just started");
                if process.try_wait()?.is_some() {
                    break;
                }
                if self.connect("public").is_ok() {
                    return Ok(());
                }
                thread::sleep(Duration::from_millis(5));
            }
            if Instant::now() >= until {
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                return Err(io::Error::other(format!("PostgreSQL does not start: {log}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn spawn(&self) -> io::Result<Child> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut server = self.command("postgres");
        server.arg("-D").arg(self.data()).arg("-k").arg(&self.folder);
        server.args(["-c", "listen_addresses=", "-c", "shared_buffers=32MB"]);
        server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        server.spawn()
    }

    /// One of its programs, as a user that may run it.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match self.user {
            None => Command::new(program),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={user}")).arg(format!("--regid={group}"));
                command.arg("--clear-groups").arg("--").arg(program);
                command
            }
        };
        command.current_dir(&self.folder).env_remove("PGDATA").env_remove("PGPORT");
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // SIGQUIT: at once, without a last checkpoint.
            let _ = kill_process(Pid::from_child(&process), Signal::QUIT);
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The newest `initdb` of Debian's folders, or the one in the path.
fn find_programs() -> Option<PathBuf> {
    let holds =
        |folder: &Path| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| holds(folder))
        .collect();
    versions.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = || std::env::split_paths(&path).find(|folder| holds(folder));
    versions.pop().map(|(_, folder)| folder).or_else(in_path)
}

/// The numbers of a user, by the program `id`.
fn find_user(name: &str) -> Option<(u32, u32)> {
    let ask = |flag: &str| -> Option<u32> {
        let output = Command::new("id").args([OsStr::new(flag), OsStr::new(name)]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    Some((ask("-u")?, ask("-g")?))
}
