//! `bedplate lab disk-client`: a client as a program. It prints a table and a line of
//! JSON; or, for whoever tortures a disk, takes orders from its standard input and
//! tells what it sees, a JSON object a line:
//!
//! | order | answer |
//! |---|---|
//! | `begin NAME` | `{"begun": NAME}`: a snapshot may be asked for from now on |
//! | `end NAME` | `{"ended": NAME}`: it was acknowledged |
//! | `check NAME SOCKET` | `{"checked": NAME, …}`: what is served there is that snapshot |
//! | `report` | `{"report": …}` |
//! | `stop`, or the end | the last line |

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};

use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};

use super::ledger::Moment;
use super::nbd::NbdClient;
use super::plan::MOST_BLOCKS;
use super::target::{Behaviour, Target};
use super::{BLOCK, Client, Connection, Ledger, Measured, Pattern, Plan, Shape, Wish};

/// What the program is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's socket; without one, a target in this process that does nothing.
    pub socket: Option<PathBuf>,
    /// The socket is of NBD, and this is the export.
    pub nbd: Option<String>,
    /// Queues.
    pub queues: u16,
    /// What each queue is like.
    pub shape: Shape,
    /// What to do. A range of no blocks is the whole disk.
    pub plan: Plan,
    /// Check everything, as the volume of this number.
    pub verify: Option<u64>,
    /// Write the whole range once before.
    pub fill: bool,
    /// Take orders from the standard input.
    pub orders: bool,
    /// The processor to stay on.
    pub cpu: Option<usize>,
}

/// Runs a client as it is told. The value is the last line; whether all was well is
/// in it, as `wrong`.
pub fn run(options: &Options) -> io::Result<Value> {
    stay(options.cpu)?;
    let Some(socket) = &options.socket else { return ceiling(options) };
    let mut shape = options.shape;
    shape.most_blocks = shape.most_blocks.max(MOST_BLOCKS);
    let (mut client, plan, started) = open(options, socket, shape)?;
    let pass = pass(&plan);
    if options.fill {
        client.run(&Plan { writes: 1000, ..pass.clone() }, &mut |_, _| true)?;
    }
    let mut orders = options.orders.then(|| Orders::listen(shape, plan.clone()));
    if options.orders {
        say(&json!({ "started": started }));
    }
    let measured = client.run(&plan, &mut |ledger, measured| match &mut orders {
        Some(orders) => orders.attend(ledger, measured),
        None => true,
    })?;
    let mut line = measured.json();
    if client.ledger().is_some() {
        // At the end everything is read once.
        let read = client.run(&Plan { writes: 0, ..pass }, &mut |_, _| true)?;
        line["scan"] = json!({ "requests": read.requests, "errors": read.errors });
    }
    if let Some(orders) = orders {
        orders.finish();
    } else {
        print!("{}", measured.table());
    }
    if let Some(ledger) = client.ledger() {
        tell(&mut line, ledger);
    }
    if let Disk::Nbd(client) = &client {
        line["hung_up"] = json!(client.hung_up);
    }
    client.close()?;
    line["name"] = json!("disk client");
    Ok(line)
}

/// A client of either kind.
enum Disk {
    Rings(Box<Client>),
    Nbd(Box<NbdClient>),
}

impl Disk {
    fn run(
        &mut self,
        plan: &Plan,
        attend: &mut dyn FnMut(Option<&Ledger>, &Measured) -> bool,
    ) -> io::Result<Measured> {
        match self {
            Disk::Rings(client) => client.run(plan, attend),
            Disk::Nbd(client) => client.run(plan, attend),
        }
    }
    fn ledger(&self) -> Option<&Ledger> {
        match self {
            Disk::Rings(client) => client.ledger.as_ref(),
            Disk::Nbd(client) => client.ledger.as_ref(),
        }
    }
    fn close(self) -> io::Result<()> {
        match self {
            Disk::Rings(client) => client.close(),
            Disk::Nbd(client) => client.close(),
        }
    }
}

/// Connects: the client, the plan as it fits the disk, and what is said of it.
fn open(options: &Options, socket: &Path, shape: Shape) -> io::Result<(Disk, Plan, Value)> {
    let ledger = |plan: &Plan| {
        options.verify.map(|volume| Ledger::new(volume, (plan.first + plan.blocks) as usize))
    };
    if let Some(export) = &options.nbd {
        let mut client = NbdClient::open(socket, export, shape.depth)?;
        let plan = ranged(&options.plan, client.bytes / 512)?;
        client.ledger = ledger(&plan);
        let started = json!({ "sectors": client.bytes / 512 });
        return Ok((Disk::Nbd(Box::new(client)), plan, started));
    }
    let wish = Wish { socket: socket.to_owned(), queues: options.queues, shape };
    let connection = Connection::open(&wish)?;
    let plan = fitted(&options.plan, &connection)?;
    let started = json!({ "sectors": connection.sectors, "features": connection.features });
    let client = Client::new(connection, shape.depth, ledger(&plan));
    Ok((Disk::Rings(Box::new(client)), plan, started))
}

/// Stays on a processor. Threads made from here on stay there as well.
fn stay(cpu: Option<usize>) -> io::Result<()> {
    let Some(cpu) = cpu else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// A pass over the range of a plan, in large requests.
fn pass(plan: &Plan) -> Plan {
    let (pattern, request) = (Pattern::Once, MOST_BLOCKS);
    let (zeroes, discards, flushes) = (0, 0, 0);
    Plan { pattern, nanos: None, request, sizes: false, zeroes, discards, flushes, ..plan.clone() }
}

fn refuse<T>(why: &str) -> io::Result<T> {
    Err(io::Error::other(format!("the disk {why}")))
}

/// The plan for a disk of so many sectors.
fn ranged(plan: &Plan, sectors: u64) -> io::Result<Plan> {
    let disk = u32::try_from(sectors * 512 / BLOCK as u64).unwrap_or(u32::MAX);
    let mut plan = plan.clone();
    if plan.blocks == 0 {
        plan.blocks = disk.saturating_sub(plan.first);
    }
    if plan.blocks == 0 || plan.first.checked_add(plan.blocks).is_none_or(|end| end > disk) {
        return refuse(&format!("has {disk} blocks"));
    }
    Ok(plan)
}

/// The plan for this disk: what it cannot do is refused.
fn fitted(plan: &Plan, connection: &Connection) -> io::Result<Plan> {
    let plan = ranged(plan, connection.sectors)?;
    if connection.read_only() && plan.writes + plan.zeroes + plan.discards > 0 {
        return refuse("is read-only");
    }
    if plan.discards > 0 && !connection.discards() || plan.zeroes > 0 && !connection.zeroes() {
        return refuse("does not discard or zero ranges");
    }
    if plan.flushes > 0 && !connection.flushes() {
        return refuse("does not flush");
    }
    Ok(plan)
}

/// What this client reaches against the least that can be served.
fn ceiling(options: &Options) -> io::Result<Value> {
    let mut plan = options.plan.clone();
    plan.blocks = if plan.blocks == 0 { 1 << 18 } else { plan.blocks };
    let (blocks, ledger) = ((plan.first + plan.blocks) as usize, options.verify);
    let ledger = ledger.map(|volume| Ledger::new(volume, blocks));
    let behaviour = if ledger.is_some() { Behaviour::Memory } else { Behaviour::Nothing };
    let (mut client, _target) = Target::pair(options.shape, behaviour, blocks, ledger)?;
    let measured = client.run(&plan, |_, _| true)?;
    print!("{}", measured.table());
    let mut line = measured.json();
    if let Some(ledger) = &client.ledger {
        tell(&mut line, ledger);
    }
    line["name"] = json!("disk client");
    Ok(line)
}

fn tell(line: &mut Value, ledger: &Ledger) {
    let of = |wrong| ledger.wrongs.get(&wrong).copied().unwrap_or(0);
    use super::ledger::Wrong::{Doubled, Foreign, Garbage, Lost, Reordered, Torn};
    for (name, wrong) in [
        ("lost", Lost),
        ("reordered", Reordered),
        ("doubled", Doubled),
        ("torn", Torn),
        ("foreign", Foreign),
        ("garbage", Garbage),
    ] {
        line[name] = json!(of(wrong));
    }
    line["wrong"] = json!(ledger.wrongs.values().sum::<u64>());
    line["told"] = json!(ledger.told);
}

fn say(value: &Value) {
    let mut out = io::stdout().lock();
    // Nobody listens any more: the orders have ended too, and so will we.
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}

/// Orders, and what they began.
struct Orders {
    lines: Receiver<String>,
    moments: HashMap<String, Moment>,
    checks: Vec<JoinHandle<()>>,
    pauses: usize,
    shape: Shape,
    plan: Plan,
}

impl Orders {
    fn listen(shape: Shape, plan: Plan) -> Self {
        let (send, lines) = channel();
        thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                let Ok(line) = line else { break };
                if send.send(line).is_err() {
                    return;
                }
            }
            // The end is an order to stop; nobody there means that we did.
            let _ = send.send("stop".to_owned());
        });
        Self { lines, moments: HashMap::new(), checks: Vec::new(), pauses: 0, shape, plan }
    }

    /// Tells what is new and carries out what is ordered; whether to go on.
    fn attend(&mut self, ledger: Option<&Ledger>, measured: &Measured) -> bool {
        for pause in &measured.pauses[self.pauses..] {
            say(&json!({ "pause": { "from": pause.from, "to": pause.to } }));
        }
        self.pauses = measured.pauses.len();
        let Ok(line) = self.lines.try_recv() else { return true };
        let words: Vec<&str> = line.split_whitespace().collect();
        match (words.as_slice(), ledger) {
            (["stop"], _) => return false,
            (["report"], ledger) => {
                let mut report = json!({
                    "requests": measured.requests, "errors": measured.errors,
                    "acknowledged": measured.acknowledged,
                });
                if let Some(ledger) = ledger {
                    tell(&mut report, ledger);
                }
                say(&json!({ "report": report }));
            }
            (["begin", name], Some(ledger)) => {
                self.moments.insert((*name).to_owned(), ledger.begin_moment());
                say(&json!({ "begun": name }));
            }
            (["end", name], Some(ledger)) => {
                if let Some(moment) = self.moments.get_mut(*name) {
                    ledger.end_moment(moment);
                }
                say(&json!({ "ended": name }));
            }
            (["check", name, socket], Some(ledger)) => match self.moments.remove(*name) {
                Some(moment) => self.check(name, Path::new(socket), ledger.at(&moment)),
                None => say(&json!({ "refused": line })),
            },
            _ => say(&json!({ "refused": line })),
        }
        true
    }

    /// Reads a snapshot beside the load.
    fn check(&mut self, name: &str, socket: &Path, ledger: Ledger) {
        let (name, socket) = (name.to_owned(), socket.to_owned());
        let (shape, plan) = (self.shape, self.plan.clone());
        self.checks.push(thread::spawn(move || {
            let mut line = match compare(&socket, ledger, shape, &plan) {
                Ok(line) => line,
                Err(error) => json!({ "error": error.to_string() }),
            };
            line["checked"] = json!(name);
            say(&line);
        }));
    }

    fn finish(self) {
        for check in self.checks {
            // A check that fell has said so.
            let _ = check.join();
        }
    }
}

/// Reads a disk once and checks it by a ledger.
fn compare(socket: &Path, ledger: Ledger, shape: Shape, plan: &Plan) -> io::Result<Value> {
    let shape = Shape { depth: 8, ..shape };
    let wish = Wish { socket: socket.to_owned(), queues: 1, shape };
    let blocks = u32::try_from(ledger.len()).map_err(io::Error::other)?;
    let mut client = Client::new(Connection::open(&wish)?, shape.depth, Some(ledger));
    let plan = Plan { writes: 0, first: 0, blocks, polling: false, ..pass(plan) };
    let measured = client.run(&plan, |_, _| true)?;
    let mut line = json!({ "requests": measured.requests, "errors": measured.errors });
    if let Some(ledger) = &client.ledger {
        tell(&mut line, ledger);
    }
    client.close()?;
    Ok(line)
}
