//! The tree of verbs, and how one is carried out.

use std::sync::{Arc, Mutex, PoisonError};

use clap::{Parser, Subcommand};
use world::SystemClock;

use crate::session::Session;
use crate::terminal::Terminal;
use crate::{Exit, Failure, Global};
use crate::{
    bucket, capacity, doctor, events, fleet, gateway, host, house, image, instance, instance_type,
    machine, object, operation, placement, placement_group, policy, pool, project, token, volume,
};

/// The verbs by themselves. The program adds its roles to them.
#[derive(Debug, Parser)]
#[command(
    name = "bedplate",
    about = "Turns racks of servers into a cloud",
    disable_help_flag = true,
    disable_help_subcommand = true
)]
pub struct Program {
    /// What every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What people do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Servers: find, take in, install, take back, look at
    #[command(subcommand)]
    Machine(Box<machine::Verb>),
    /// The fleet at a glance
    #[command(subcommand)]
    Fleet(fleet::Verb),
    /// Machines that take instances
    #[command(subcommand)]
    Host(host::Verb),
    /// What instances can be: types with what they take
    #[command(subcommand)]
    InstanceType(instance_type::Verb),
    /// What runs on hosts
    #[command(subcommand)]
    Instance(instance::Verb),
    /// Instances that keep apart, or together
    #[command(subcommand)]
    PlacementGroup(placement_group::Verb),
    /// Why an instance is, or is not, somewhere
    #[command(subcommand)]
    Placement(placement::Verb),
    /// How many more instances of a type fit
    Capacity(capacity::Arguments),
    /// Operating system images
    #[command(subcommand)]
    Image(image::Verb),
    /// Attestation policies: what firmware and boot must look like
    #[command(subcommand)]
    Policy(policy::Verb),
    /// Long work: watch it, wait for it, settle it
    #[command(subcommand)]
    Operation(operation::Verb),
    /// Projects: whose machines and images these are
    #[command(subcommand)]
    Project(project::Verb),
    /// Tokens: who may do what
    #[command(subcommand)]
    Token(token::Verb),
    /// Disks for virtual machines and others, by the disk service of this host
    #[command(subcommand)]
    Volume(Box<volume::Verb>),
    /// What volumes lie in: files, devices or memory of this host
    #[command(subcommand)]
    Pool(pool::Verb),
    /// Buckets of an object gateway
    Bucket(Box<bucket::Noun>),
    /// Objects: put, get, list, copy, share
    Object(Box<object::Noun>),
    /// Administration of a gateway, which the program adds to the role of that name
    #[command(skip)]
    Gateway(gateway::Verb),
    /// What happened, and what happens
    Events(events::Arguments),
    /// Whether the control plane is well
    Health(house::health::Arguments),
    /// Who the token speaks for
    Whoami(house::whoami::Arguments),
    /// Figures for Prometheus
    Metrics(house::metrics::Arguments),
    /// The API as an OpenAPI document
    Openapi(house::openapi::Arguments),
    /// The certificate of the CA that every role trusts
    Ca(house::ca::Arguments),
    /// Find what is wrong here, and how to mend it
    Doctor(doctor::Arguments),
    /// Completions for a shell
    Completions(house::completions::Arguments),
}

/// Carries out a verb and says how the program ends. `root` is the whole command
/// tree, for completions.
pub async fn run(root: clap::Command, global: Global, verb: Verb, terminal: Terminal) -> Exit {
    let parting = Arc::new(Mutex::new(String::new()));
    let work = carry_out(root, &global, verb, terminal.clone(), parting.clone());
    let ended = tokio::select! {
        ended = work => ended,
        _ = tokio::signal::ctrl_c() => Err(interrupted(&parting)),
    };
    match ended {
        Ok(()) => Exit::Done,
        Err(failure) => {
            let text = failure.render(terminal.err_width, terminal.err_paint);
            // There is nobody left to tell when this fails.
            std::io::Write::write_all(&mut terminal.err.clone(), text.as_bytes()).ok();
            failure.exit
        }
    }
}

fn interrupted(parting: &Mutex<String>) -> Failure {
    let next = parting.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let what = match next.is_empty() {
        true => "",
        false => "the work goes on in the control plane",
    };
    Failure { exit: Exit::Interrupted, ..Failure::new("interrupted", what) }.next(next)
}

async fn carry_out(
    root: clap::Command,
    global: &Global,
    verb: Verb,
    terminal: Terminal,
    parting: Arc<Mutex<String>>,
) -> Result<(), Failure> {
    let verb = match verb {
        Verb::Completions(arguments) => return house::completions::run(root, &terminal, arguments),
        Verb::Doctor(arguments) => return doctor::run(global, &terminal, arguments).await,
        verb => verb,
    };
    let clock = Arc::new(SystemClock::default());
    let session = Session::new(global, terminal, clock, parting);
    match verb {
        Verb::Machine(verb) => machine::run(&session, *verb).await,
        Verb::Fleet(verb) => fleet::run(&session, verb).await,
        Verb::Host(verb) => host::run(&session, verb).await,
        Verb::InstanceType(verb) => instance_type::run(&session, verb).await,
        Verb::Instance(verb) => instance::run(&session, verb).await,
        Verb::PlacementGroup(verb) => placement_group::run(&session, verb).await,
        Verb::Placement(verb) => placement::run(&session, verb).await,
        Verb::Capacity(arguments) => capacity::run(&session, arguments).await,
        Verb::Image(verb) => image::run(&session, verb).await,
        Verb::Policy(verb) => policy::run(&session, verb).await,
        Verb::Operation(verb) => operation::run(&session, verb).await,
        Verb::Project(verb) => project::run(&session, verb).await,
        Verb::Token(verb) => token::run(&session, verb).await,
        Verb::Volume(verb) => volume::run(&session, *verb).await,
        Verb::Pool(verb) => pool::run(&session, verb).await,
        Verb::Bucket(noun) => bucket::run(&session, *noun).await,
        Verb::Object(noun) => object::run(&session, *noun).await,
        Verb::Gateway(verb) => gateway::run(&session, verb).await,
        Verb::Events(arguments) => events::run(&session, arguments).await,
        Verb::Health(arguments) => house::health::run(&session, arguments).await,
        Verb::Whoami(arguments) => house::whoami::run(&session, arguments).await,
        Verb::Metrics(arguments) => house::metrics::run(&session, arguments).await,
        Verb::Openapi(arguments) => house::openapi::run(&session, arguments).await,
        Verb::Ca(arguments) => house::ca::run(&session, arguments).await,
        Verb::Doctor(_) | Verb::Completions(_) => unreachable!("carried out above"),
    }
}
