//! Simulated time and the control plane in it: what arrives is decided by the
//! real cell, committed to the simulated store after a while, and only then
//! answered and carried out. Between any two of these the process can be killed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use control::cell::{Ask, Call, Cell, Decided, Reply};
use machine::turn::alarm;
use model::agent::{AgentNews, AgentReport};
use model::effect::{Action, Effect, Outcome};
use model::id::{EffectId, MachineId};
use model::image::{Compression, ImageFormat, ImageSpec};
use model::problem::Problem;
use model::project::ProjectSpec;
use model::{Bytes, Duration, Timestamp};
use record::store::simulated::{Disk, Rates, Simulated};
use record::{Change, Fence, Store};
use world::{Entropy, Schedule, Seeded};

use super::faults::Faults;
use super::matrix::Target;
use super::people::Person;
use super::server::Server;

/// What a run is.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// How many machines.
    pub machines: u32,
    /// How many of a hundred are faulty.
    pub faulty_percent: u32,
    /// Kills of the control plane, per million commits.
    pub kills_ppm: u32,
    /// How long people go on asking, simulated.
    pub span: Duration,
    /// One fault at one step, for the matrix.
    pub target: Option<Target>,
}

impl Options {
    /// A run of a seed at the usual rates.
    pub fn seed(seed: u64, machines: u32) -> Self {
        Self {
            seed,
            machines,
            faulty_percent: 20,
            kills_ppm: 1_000,
            span: Duration::from_secs(8 * 3_600),
            target: None,
        }
    }
}

/// Something that happens at a moment.
pub enum Happening {
    /// The process is started again.
    Start,
    /// The commit under way ends.
    Commit { life: u64 },
    /// A BMC answered the process that asked it.
    BmcAnswered { server: u32, life: u64, effect: EffectId, outcome: Outcome },
    /// The control plane should look at a machine's deadline.
    Alarm { machine: MachineId, at: Timestamp },
    /// Something comes in over the network.
    Arrive { arrival: Box<Arrival>, tries: u32 },
    /// Something happens on a machine, unless it has been restarted since.
    Server { server: u32, boot: u64, what: super::people::ServerEvent },
    /// A person looks at a machine.
    Look { person: u32 },
}

/// Something that comes in, and who waits for the answer.
pub struct Arrival {
    /// What is asked.
    pub ask: Ask,
    /// Who waits.
    pub from: From,
}

/// Who waits for an answer.
#[derive(Clone, Debug)]
pub enum From {
    /// A person, with the number of the request.
    Person(u32),
    /// An agent that says hello.
    Hello { server: u32, boot: u64 },
    /// An agent that reports.
    Report { server: u32, boot: u64 },
    /// A system that calls home.
    Home { server: u32, boot: u64 },
    /// Nobody.
    Nobody,
}

/// The process of the control plane, while it lives.
pub struct Process {
    life: u64,
    /// What is decided.
    pub cell: Cell,
    store: Simulated,
    fence: Fence,
    revision: u64,
    pending: Vec<(Decided, From)>,
    committing: bool,
    queues: BTreeMap<MachineId, Queue>,
}

/// The requests for one BMC: one at a time.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Effect>,
    busy: bool,
}

/// A whole simulated site.
pub struct Site {
    /// What the run is.
    pub options: Options,
    /// Time.
    pub schedule: Schedule<Happening>,
    /// The site's own randomness.
    pub entropy: Seeded,
    /// What survives the process.
    pub disk: Disk,
    /// The process, while it lives.
    pub process: Option<Process>,
    /// The machines.
    pub servers: Vec<Server>,
    /// Whose number is which.
    pub numbers: BTreeMap<MachineId, u32>,
    /// The machine of each server, once its enrolment is recorded.
    ids: BTreeMap<u32, MachineId>,
    /// The people, one a machine.
    pub people: Vec<Person>,
    /// How often the process was killed.
    pub kills: u32,
    /// How many things happened.
    pub happened: u64,
    /// A hash of all that happened.
    pub trace: u64,
    lives: u64,
    /// The fault of the matrix, until it has been used.
    pub target: Option<Target>,
}

const EPOCH: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

impl Site {
    /// A site before its first moment.
    pub fn new(options: Options) -> Self {
        let mut entropy = Seeded::new(options.seed);
        let disk = Disk::new(options.seed);
        let servers = (0..options.machines).map(|number| {
            let mut own = entropy.fork(u64::from(number));
            let faulty = own.below(100) < u64::from(options.faulty_percent);
            let faults = if faulty { Faults::random(&mut own) } else { Faults::default() };
            Server::new(number, faults, own)
        });
        let servers = servers.collect();
        let people = (0..options.machines).map(Person::new).collect();
        let target = options.target.clone();
        let mut site = Self {
            options,
            schedule: Schedule::new(EPOCH),
            entropy,
            disk,
            process: None,
            servers,
            numbers: BTreeMap::new(),
            ids: BTreeMap::new(),
            people,
            kills: 0,
            happened: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            lives: 0,
            target,
        };
        site.start();
        site.found();
        if site.options.kills_ppm > 0 {
            site.disk.set_rates(Rates { full_ppm: 200, unknown_ppm: 200 });
        }
        site
    }

    /// The time.
    pub const fn now(&self) -> Timestamp {
        self.schedule.now()
    }

    /// Until when people go on asking.
    pub fn closing(&self) -> Timestamp {
        EPOCH + self.options.span
    }

    /// Runs until nothing is left to happen.
    pub fn run(&mut self) {
        for person in 0..self.options.machines {
            let after = Duration::from_micros(self.entropy.below(600_000_000));
            self.schedule.after(after, Happening::Look { person });
        }
        while let Some(happening) = self.schedule.next() {
            self.happened += 1;
            self.happen(happening);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Start => self.start(),
            Happening::Commit { life } => self.commit(life),
            Happening::BmcAnswered { server, life, effect, outcome } => {
                self.bmc_answered(server, life, effect, outcome);
            }
            Happening::Alarm { machine, at } => self.alarm(machine, at),
            Happening::Arrive { arrival, tries } => self.arrive(*arrival, tries),
            Happening::Server { server, boot, what } => {
                if self.servers[server as usize].boot == boot {
                    self.note(u64::from(server), what.code());
                    self.server_event(server, what);
                }
            }
            Happening::Look { person } => self.look(person),
        }
    }

    /// Mixes something into the hash of the run (FNV-1a).
    pub fn note(&mut self, a: u64, b: u64) {
        for value in [self.now().micros() as u64, a, b] {
            self.trace = (self.trace ^ value).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// A project and an image, before anybody comes.
    fn found(&mut self) {
        let process = self.process.as_mut().expect("it was just started");
        let create = Call::CreateProject { name: "lab".to_owned(), spec: ProjectSpec::default() };
        let spec =
            ImageSpec { format: ImageFormat::Raw, compression: Compression::Zstd, project: None };
        let image =
            Call::CreateImage { name: "os".to_owned(), spec, checksum: None, labels: [].into() };
        let mut transactions = Vec::new();
        for call in [create, image] {
            let ask = Ask::from("bedplate", call);
            let decided = process.cell.decide(&ask, EPOCH, &mut self.entropy);
            transactions.push(decided.expect("a new site takes them").transaction);
        }
        let id = process.cell.nouns().images.by_name("os").expect("it was just made").id;
        let ready = Call::ImageReady {
            image: id,
            checksum: model::image::Checksum::from_digest([7; 32]),
            stored: Bytes::mib(100),
            size: Bytes::gib(2),
        };
        let decided = process.cell.decide(&Ask::from("bedplate", ready), EPOCH, &mut self.entropy);
        transactions.push(decided.expect("the image is there").transaction);
        process.commit(&transactions).expect("no fault has been ordered yet");
    }

    /// Starts the process: what is on the disk is all that it knows.
    fn start(&mut self) {
        self.lives += 1;
        let mut store = Simulated::open(&self.disk);
        let ttl = Duration::from_secs(10);
        let fence = store.acquire("leader", "control", self.schedule.now(), ttl);
        let fence = fence.expect("the store was just opened").expect("nobody else leads");
        let state = store.load().expect("the store was just opened");
        let settings = Arc::new(machine::Settings {
            agent_url: "https://sim".to_owned(),
            boot_url: "http://sim".to_owned(),
            media_url: "http://sim".to_owned(),
            ..machine::Settings::default()
        });
        let cell = Cell::load(&state, settings).expect("own rows are readable");
        let process = Process {
            life: self.lives,
            revision: state.revision(),
            cell,
            store,
            fence,
            pending: Vec::new(),
            committing: false,
            queues: BTreeMap::new(),
        };
        let outstanding: Vec<Arc<Effect>> = process.cell.nouns().outbox.values().cloned().collect();
        let known: Vec<(MachineId, String)> = process
            .cell
            .nouns()
            .machines
            .iter()
            .map(|(_, machine)| (machine.id, machine.name.clone()))
            .collect();
        let moving: Vec<MachineId> = known.iter().map(|(id, _)| *id).collect();
        self.process = Some(process);
        for (id, name) in known {
            self.recorded(id, &name);
        }
        for effect in outstanding {
            self.carry_out(&effect);
        }
        for machine in moving {
            self.set_alarm(machine);
        }
    }

    /// Kills the process. What was not committed is gone.
    pub fn kill(&mut self) {
        self.kills += 1;
        self.note(self.lives, 1);
        self.process = None;
        let after = Duration::from_millis(500 + self.entropy.below(20_000));
        self.schedule.after(after, Happening::Start);
    }

    /// Something comes in.
    pub fn arrive(&mut self, arrival: Arrival, tries: u32) {
        if self.apply_target_before(&arrival) {
            return self.again(arrival, tries);
        }
        let now = self.now();
        let Some(process) = &mut self.process else { return self.again(arrival, tries) };
        let Arrival { ask, from } = arrival;
        match process.cell.decide(&ask, now, &mut self.entropy) {
            Ok(decided) => {
                process.pending.push((decided, from));
                self.begin_commit();
            }
            Err(problem) => self.answered(from, Err(problem)),
        }
    }

    /// The control plane is not there: whoever asked asks again, if they do.
    fn again(&mut self, arrival: Arrival, tries: u32) {
        const TRIES_MAX: u32 = 200;
        if matches!(arrival.from, From::Nobody) || tries >= TRIES_MAX {
            return;
        }
        let after = Duration::from_millis(1_000 + self.entropy.below(4_000));
        let arrival = Box::new(arrival);
        self.schedule.after(after, Happening::Arrive { arrival, tries: tries + 1 });
    }

    fn begin_commit(&mut self) {
        let process = self.process.as_mut().expect("a process decides");
        if !process.committing {
            process.committing = true;
            let life = process.life;
            let after = Duration::from_micros(500 + self.entropy.below(10_000));
            self.schedule.after(after, Happening::Commit { life });
        }
    }

    /// A commit ends, or the process with it: before it, in it, or after it.
    fn commit(&mut self, life: u64) {
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else {
            return;
        };
        let pending = std::mem::take(&mut process.pending);
        let killed = self.entropy.chance(self.options.kills_ppm);
        if killed && self.entropy.chance(500_000) {
            return self.kill();
        }
        let transactions: Vec<_> = pending
            .iter()
            .filter(|(decided, _)| !decided.transaction.changes.is_empty())
            .map(|(decided, _)| decided.transaction.clone())
            .collect();
        let process = self.process.as_mut().expect("it lives");
        if process.commit(&transactions).is_err() || killed {
            return self.kill();
        }
        process.committing = false;
        if self.target_after(&transactions) {
            return self.kill();
        }
        self.tell(pending, &transactions);
    }

    /// What was committed is answered and carried out.
    fn tell(&mut self, pending: Vec<(Decided, From)>, transactions: &[record::Transaction]) {
        for change in transactions.iter().flat_map(|transaction| &transaction.changes) {
            match change {
                Change::Object(row) if row.kind == "machine" => {
                    self.recorded(MachineId::from_uuid(row.id), &row.name);
                    self.set_alarm(MachineId::from_uuid(row.id));
                }
                Change::EffectQueued(row) => {
                    let id = EffectId::from_uuid(row.id);
                    let process = self.process.as_ref().expect("it lives");
                    if let Some(effect) = process.cell.nouns().outbox.get(&id).cloned() {
                        self.carry_out(&effect);
                    }
                }
                _ => {}
            }
        }
        for (decided, from) in pending {
            self.answered(from, Ok(decided.reply));
        }
        if self.process.as_ref().is_some_and(|process| !process.pending.is_empty()) {
            self.begin_commit();
        }
    }

    fn answered(&mut self, from: From, answer: Result<Reply, Problem>) {
        match from {
            From::Person(person) => self.person_hears(person, answer),
            From::Hello { server, boot } => self.agent_hears(server, boot, answer),
            From::Report { .. } | From::Home { .. } | From::Nobody => {}
        }
    }

    fn set_alarm(&mut self, machine: MachineId) {
        let Some(process) = &self.process else { return };
        let known = process.cell.nouns().machines.get(machine.uuid());
        if let Some(at) = known.and_then(|machine| alarm(machine)) {
            self.schedule.at(at, Happening::Alarm { machine, at });
        }
    }

    fn alarm(&mut self, machine: MachineId, at: Timestamp) {
        let Some(process) = &self.process else { return };
        let known = process.cell.nouns().machines.get(machine.uuid());
        // Only the newest alarm of a machine counts.
        if known.and_then(|machine| alarm(machine)) == Some(at) {
            let ask = Ask::from("bedplate", Call::Due { machine });
            self.arrive(Arrival { ask, from: From::Nobody }, 0);
        }
    }

    /// A request waits for its turn at a BMC.
    pub fn request(&mut self, effect: &Effect) {
        let Some(process) = &mut self.process else { return };
        let queue = process.queues.entry(effect.machine).or_default();
        queue.waiting.push_back(effect.clone());
        self.next_request(effect.machine);
    }

    /// An effect leaves.
    fn carry_out(&mut self, effect: &Effect) {
        let Some(server) = self.numbers.get(&effect.machine).copied() else { return };
        match &effect.action {
            Action::Bmc { .. } => self.request(effect),
            Action::Agent { command } => {
                let known = &self.servers[server as usize];
                if known.certificate.is_some() {
                    let after = Duration::from_millis(5 + self.entropy.below(200));
                    let (id, sequence) = (effect.id, effect.sequence);
                    let command = Box::new(command.clone());
                    let what = super::people::ServerEvent::Order { id, sequence, command };
                    let boot = known.boot;
                    self.schedule.after(after, Happening::Server { server, boot, what });
                }
            }
        }
    }

    /// Asks a BMC the next thing, when it is not busy.
    fn next_request(&mut self, machine: MachineId) {
        let Some(server) = self.numbers.get(&machine).copied() else { return };
        let now = self.now();
        let Some(process) = &mut self.process else { return };
        let life = process.life;
        let Some(queue) = process.queues.get_mut(&machine).filter(|queue| !queue.busy) else {
            return;
        };
        // What nobody waits for any more is not asked.
        let outbox = &process.cell.nouns().outbox;
        while queue.waiting.front().is_some_and(|effect| !outbox.contains_key(&effect.id)) {
            queue.waiting.pop_front();
        }
        let Some(effect) = queue.waiting.pop_front() else { return };
        queue.busy = true;
        let Action::Bmc { command } = &effect.action else { return };
        let reply = self.servers[server as usize].ask_bmc(command);
        if let model::bmc::BmcCommand::InsertMedia { url } = command {
            self.media_fetched(url);
        }
        if reply.restarts {
            self.restart(server);
        }
        let patience = effect.deadline.since(now).micros().clamp(1_000, 60_000_000);
        let after = reply.after.unwrap_or(Duration::from_micros(patience));
        let (effect, outcome) = (effect.id, reply.outcome);
        self.schedule.after(after, Happening::BmcAnswered { server, life, effect, outcome });
    }

    fn bmc_answered(&mut self, server: u32, life: u64, effect: EffectId, outcome: Outcome) {
        let machine = self.machine_of(server);
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else {
            return;
        };
        let Some(machine) = machine else { return };
        if let Some(queue) = process.queues.get_mut(&machine) {
            queue.busy = false;
        }
        let ask = Ask::from("bedplate", Call::Settled { effect, outcome });
        self.arrive(Arrival { ask, from: From::Nobody }, 0);
        self.next_request(machine);
    }

    /// The machine of a server, once its enrolment is recorded. Its BMC can be asked
    /// from then on, whether or not the person who enrolled it has heard.
    pub fn machine_of(&self, server: u32) -> Option<MachineId> {
        self.ids.get(&server).copied()
    }

    /// A machine is in the record: its name tells which server it is.
    fn recorded(&mut self, machine: MachineId, name: &str) {
        let number = name.strip_prefix("sim-").and_then(|number| number.parse().ok());
        if let Some(number) = number {
            self.numbers.insert(machine, number);
            self.ids.insert(number, machine);
        }
    }

    /// An agent's report comes in.
    pub fn report(&mut self, server: u32, id: EffectId, news: AgentNews) {
        let known = &self.servers[server as usize];
        let (Some(machine), Some(certificate)) =
            (self.machine_of(server), known.certificate.clone())
        else {
            return;
        };
        let boot = known.boot;
        let (verdict, sanitised) = super::people::judgements(known, machine, &news, self.now());
        let report = AgentReport { id, news };
        let call = Call::Reported { machine, certificate, report, verdict, sanitised };
        let ask = Ask::from(format!("machine:{machine}"), call);
        let arrival = Arrival { ask, from: From::Report { server, boot } };
        self.arrive(arrival, 0);
    }
}

impl Process {
    fn commit(&mut self, batch: &[record::Transaction]) -> Result<(), record::StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.store.commit(self.fence.clone(), self.revision + 1, batch)?;
        let changes: usize = batch.iter().map(|transaction| transaction.changes.len()).sum();
        self.revision += changes as u64;
        Ok(())
    }
}
