//! The parent: starts children, kills them and the database server at random
//! moments, and judges by what it heard and what the tables say.
//!
//! A record lives for a round of kills and then a new one begins, so that the
//! time of a recovery does not grow with the length of the torture.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use record::Store;
use record::store::{postgres::Postgres, sqlite::Sqlite};
use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

use super::Figures;
use super::child::{FLAG, POSTGRES, SQLITE, session_start};
use super::postgres_server::{SKIPPED, Server};
use super::reader::Reader;

/// Clients of a child, each with one order under way.
const CLIENTS: usize = 16;
/// Kills that one record has to bear.
const ROUND: u32 = 20;
/// How long a child may take to be ready, and to end when its server is gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strike {
    /// The child, at work.
    AtWork,
    /// The child, while it starts and recovers.
    AtStart,
    /// The server process that serves the child.
    Backend,
    /// The server as a whole.
    Server,
}

/// Where the record of a round lives.
enum Place<'a> {
    Sqlite(PathBuf),
    Postgres { server: &'a mut Server, schema: String },
}

/// What clients know about a record.
#[derive(Default)]
struct Clients {
    /// The id under which an order was acknowledged, by its name.
    acknowledged: HashMap<String, String>,
    /// The id of an order in the tables, by its name, as far as it was read.
    seen: HashMap<String, String>,
    /// The last order of each client that was acknowledged, or its first.
    last: [u64; CLIENTS],
}

/// A child that runs.
struct Running {
    process: Child,
    started: Instant,
    listener: thread::JoinHandle<Vec<String>>,
    ready: std::sync::mpsc::Receiver<Instant>,
}

/// A folder that goes away with it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Kills so many times.
pub fn torture(on_postgres: bool, kills: u32, seed: u64) -> Result<Figures> {
    let folder = std::env::temp_dir().join(format!("bedplate-torture-work-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let folder = Folder(folder);
    let mut server = match on_postgres {
        true => Some(Server::start("torture")?.context(SKIPPED)?),
        false => None,
    };
    let mut chance = Chance(seed);
    let mut figures = Figures::default();
    let name = if on_postgres { "postgres" } else { "sqlite" };
    for round in 0..kills.div_ceil(ROUND) {
        let place = match &mut server {
            None => Place::Sqlite(folder.0.join(format!("record-{round}.sqlite"))),
            Some(server) => {
                let schema = format!("round_{round}");
                server.create_schema(&schema)?;
                Place::Postgres { server, schema }
            }
        };
        let kills = ROUND.min(kills - round * ROUND);
        bear(place, kills, &folder.0.join("child.log"), &mut chance, &mut figures)?;
        println!(
            "{name}: {} kills, {} acknowledged, {} lost, {} doubled, recovery p99 {} ms",
            figures.kills,
            figures.acknowledged,
            figures.lost,
            figures.doubled,
            figures.recovery_p99_ms()
        );
    }
    Ok(figures)
}

/// One record and its kills.
fn bear(
    mut place: Place<'_>,
    kills: u32,
    log: &Path,
    chance: &mut Chance,
    figures: &mut Figures,
) -> Result<()> {
    let mut clients = Clients::default();
    let mut restart = Duration::ZERO;
    for session in 1..=u64::from(kills) {
        // The first child makes the tables, which is no recovery.
        let strike = if session == 1 { Strike::AtWork } else { place.choose(chance) };
        let running = Running::start(&place, session, &clients.last, log)?;
        if strike != Strike::AtStart {
            let ready = running.ready.recv_timeout(PATIENCE);
            let Ok(ready) = ready else {
                bail!("a child is not ready: {}", fs::read_to_string(log)?);
            };
            if session > 1 {
                let recovery = restart + (ready - running.started);
                figures.recoveries_ms.push(recovery.as_secs_f64() * 1e3);
            }
        }
        thread::sleep(chance.moment(strike));
        let lines = running.end(strike, &mut place, &mut restart)?;
        figures.kills += 1;
        let oldest = clients.hear(&lines, session_start(session), figures)?;
        clients.judge(&mut place.reader()?, oldest, figures)?;
    }
    clients.judge_all(&mut place.reader()?, figures)?;
    let mut store = place.open()?;
    let (loaded, replayed) = (store.load()?, store.replay()?);
    ensure!(loaded == replayed, "the events do not fold to the tables");
    Ok(())
}

impl Running {
    fn start(place: &Place<'_>, session: u64, last: &[u64], log: &Path) -> Result<Running> {
        let started = Instant::now();
        let mut process = Command::new(std::env::current_exe()?)
            .args(["torture", "record", FLAG, &place.address(), &session.to_string()])
            .args(last.iter().map(u64::to_string))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()?;
        let out = process.stdout.take().context("the child has no output")?;
        let (say_ready, ready) = channel();
        let listener = thread::spawn(move || listen(out, &say_ready));
        Ok(Running { process, started, listener, ready })
    }

    /// Strikes, waits for the end of the child, and gives all that it said. The
    /// server is up again afterwards.
    fn end(
        mut self,
        strike: Strike,
        place: &mut Place<'_>,
        restart: &mut Duration,
    ) -> Result<Vec<String>> {
        *restart = Duration::ZERO;
        match (strike, place) {
            (Strike::Backend, Place::Postgres { server, schema }) => {
                kill_backend(server, schema)?;
                self.wait()?;
            }
            (Strike::Server, Place::Postgres { server, .. }) => {
                let started = Instant::now();
                server.kill_and_restart()?;
                *restart = started.elapsed();
                self.wait()?;
            }
            _ => self.process.kill()?,
        }
        self.process.wait()?;
        self.listener.join().map_err(|_| anyhow::anyhow!("the listener panicked"))
    }

    /// A child that has lost its server ends by itself.
    fn wait(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while self.process.try_wait()?.is_none() {
            if Instant::now() > until {
                self.process.kill()?;
                bail!("a child went on without its database server");
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Collects the whole lines of a child. What it did not end with a line feed it
/// did not say.
fn listen(out: ChildStdout, ready: &Sender<Instant>) -> Vec<String> {
    let mut out = BufReader::new(out);
    let mut lines = Vec::new();
    let mut line = String::new();
    while out.read_line(&mut line).is_ok_and(|bytes| bytes > 0) && line.ends_with('\n') {
        if line.starts_with("ready ") {
            let _ = ready.send(Instant::now());
        } else {
            lines.push(line.trim_end().to_owned());
        }
        line.clear();
    }
    lines
}

/// Kills the server process to which the child is connected, and waits until the
/// server has noticed: it puts everybody out then, us as well, and recovers.
fn kill_backend(server: &Server, schema: &str) -> Result<()> {
    let query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'bedplate'";
    let mut witness = server.connect(schema)?;
    for row in witness.query(query, &[])? {
        let pid = Pid::from_raw(row.get(0)).context("a backend without a process")?;
        kill_process(pid, Signal::KILL)?;
    }
    let until = Instant::now() + PATIENCE;
    while witness.simple_query("SELECT 1").is_ok() {
        ensure!(Instant::now() < until, "the server does not mind that a backend was killed");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

impl Place<'_> {
    fn choose(&self, chance: &mut Chance) -> Strike {
        match (chance.below(10), self) {
            (0, _) => Strike::AtStart,
            (1 | 2, Place::Postgres { .. }) => Strike::Backend,
            (3, Place::Postgres { .. }) => Strike::Server,
            _ => Strike::AtWork,
        }
    }

    fn address(&self) -> String {
        match self {
            Place::Sqlite(path) => format!("{SQLITE}{}", path.display()),
            Place::Postgres { server, schema } => format!("{POSTGRES}{}", server.url(schema)),
        }
    }

    /// A fresh connection. A server that recovers is asked again.
    fn reader(&self) -> Result<Reader> {
        let Place::Postgres { server, schema } = self else {
            let Place::Sqlite(path) = self else { unreachable!("there are two kinds") };
            return Reader::sqlite(path);
        };
        let until = Instant::now() + PATIENCE;
        loop {
            match server.connect(schema) {
                Ok(client) => return Ok(Reader::Postgres(client)),
                Err(error) if Instant::now() > until => return Err(error.into()),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn open(&self) -> Result<Box<dyn Store>> {
        Ok(match self {
            Place::Sqlite(path) => Box::new(Sqlite::open(path)?),
            Place::Postgres { server, schema } => Box::new(Postgres::connect(&server.url(schema))?),
        })
    }
}

impl Clients {
    /// Takes in what a child acknowledged, and gives the lowest id that was named,
    /// or `oldest` where that is lower. A server may finish what a dead child had
    /// asked for after its tables were read: the next child names it then.
    fn hear(&mut self, lines: &[String], oldest: Uuid, figures: &mut Figures) -> Result<Uuid> {
        let mut oldest = oldest;
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let ["ack", client, number, id] = words[..] else { bail!("a child said {line:?}") };
            let (place, number): (usize, u64) = (client.parse()?, number.parse()?);
            let last = self.last.get_mut(place).context("a client that we do not have")?;
            *last = number;
            oldest = oldest.min(id.parse()?);
            let name = format!("{client}-{number}");
            match self.acknowledged.insert(name, id.to_owned()) {
                None => figures.acknowledged += 1,
                Some(before) if before == id => {}
                Some(_) => figures.doubled += 1,
            }
        }
        Ok(oldest)
    }

    /// Reads what the last session left, and looks for all that was acknowledged.
    fn judge(&mut self, reader: &mut Reader, oldest: Uuid, figures: &mut Figures) -> Result<()> {
        for (id, name) in reader.orders(&oldest.to_string())? {
            if self.seen.get(&name).is_some_and(|before| *before != id) {
                figures.doubled += 1;
            }
            self.seen.insert(name, id);
        }
        figures.lost += self.missing();
        Ok(())
    }

    /// Reads everything once more, for nothing old may have gone either.
    fn judge_all(&mut self, reader: &mut Reader, figures: &mut Figures) -> Result<()> {
        let orders = reader.orders("")?;
        let whole = orders.len() as u64;
        self.seen = orders.into_iter().map(|(id, name)| (name, id)).collect();
        figures.doubled += whole - self.seen.len() as u64;
        figures.lost += self.missing();
        figures.lost += reader.count()? - whole;
        Ok(())
    }

    /// How many acknowledged orders are not in the tables under their id. Each is
    /// counted once: it is taken as settled afterwards.
    fn missing(&mut self) -> u64 {
        let before = self.acknowledged.len();
        let seen = &self.seen;
        self.acknowledged.retain(|name, id| seen.get(name) == Some(id));
        (before - self.acknowledged.len()) as u64
    }
}

/// Random numbers from a seed, by SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// How long to wait before a strike.
    fn moment(&mut self, strike: Strike) -> Duration {
        Duration::from_micros(match strike {
            Strike::AtStart => self.below(25_000),
            _ => 2_000 + self.below(150_000),
        })
    }
}
