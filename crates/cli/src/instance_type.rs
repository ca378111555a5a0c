//! `bedplate instance-type`: what instances can be.

use clap::{Args, Subcommand, ValueEnum};
use model::api::{
    CreateInstanceType, CreateInstanceTypeRequest, ListInstanceTypes, Page, RemoveInstanceType,
};
use model::fleet::{InstanceType, InstanceTypeSpec, Lifetime};

use crate::Failure;
use crate::amounts::Amounts;
use crate::machine::labels;
use crate::session::{Session, rehearsal};
use crate::table::{Table, cell, keep, spare};
use crate::terminal::Tone;

/// What is done with types.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List types
    List(List),
    /// Make a type
    Create(Create),
    /// Remove a type that no instance has
    Remove(Remove),
}

/// Nothing to say.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate instance-type list")]
pub struct List {}

/// What to make.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate instance-type create small --cores 2 --memory 8GiB\n  bedplate instance-type create trainer --cores 64 --memory 512GiB --gpus 8 --one-node --host-label gpu=h100 --priority 5"
)]
pub struct Create {
    /// Its name
    name: String,
    /// What an instance takes
    #[command(flatten)]
    amounts: Amounts,
    /// Cores, memory and GPUs come from one memory node (NUMA)
    #[arg(long)]
    one_node: bool,
    /// A label that its hosts must have, key=value; may be repeated
    #[arg(long = "host-label", value_name = "KEY=VALUE")]
    host_labels: Vec<String>,
    /// Who goes first: instances of it may take the room of those with a smaller number
    #[arg(long, default_value_t = 0)]
    priority: u8,
    /// How long instances of it are thought to run
    #[arg(long, value_enum, default_value_t = Runs::Unknown)]
    lifetime: Runs,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// How long an instance runs.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Runs {
    /// Nobody knows
    Unknown,
    /// Up to an hour or so
    Hours,
    /// Up to a day or so
    Days,
    /// Longer
    Months,
}

impl Runs {
    const fn meant(self) -> Lifetime {
        match self {
            Runs::Unknown => Lifetime::Unknown,
            Runs::Hours => Lifetime::Hours,
            Runs::Days => Lifetime::Days,
            Runs::Months => Lifetime::Months,
        }
    }
}

/// What to remove.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  bedplate instance-type remove small")]
pub struct Remove {
    /// Which type
    name: String,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(_) => {
            let page = session.list::<ListInstanceTypes, InstanceType>(&[]).await?;
            let empty = "no types yet; make one: bedplate instance-type create NAME --cores 2 --memory 8GiB";
            session.show_list(&page, table, empty)
        }
        Verb::Create(arguments) => create(session, arguments).await,
        Verb::Remove(arguments) => {
            let (path, options) = ([arguments.name.as_str()], rehearsal(arguments.dry_run));
            let made = session.call::<RemoveInstanceType>(&path, &(), options).await?;
            let would = if arguments.dry_run { "would be " } else { "" };
            session.show(&made, |made| format!("type {} {would}removed\n", made.name))
        }
    }
}

fn table(page: &Page<InstanceType>) -> Table {
    let columns = [
        keep("NAME", 8),
        keep("TAKES", 20),
        spare("NODES", 2, 3),
        spare("PRIORITY", 1, 3),
        spare("RUNS", 3, 6),
        spare("HOSTS", 2, 8),
    ];
    let mut table = Table::new(&columns);
    for made in &page.items {
        let spec = &made.spec;
        let labels: Vec<String> =
            spec.host_labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        table.row(vec![
            cell(Tone::Bold, &made.name),
            spec.resources.to_string().into(),
            if spec.one_node { "one" } else { "" }.into(),
            spec.priority.to_string().into(),
            format!("{:?}", spec.lifetime).to_lowercase().into(),
            labels.join(" ").into(),
        ]);
    }
    table
}

async fn create(session: &Session, arguments: Create) -> Result<(), Failure> {
    let spec = InstanceTypeSpec {
        resources: arguments.amounts.resources(),
        one_node: arguments.one_node,
        host_labels: labels(&arguments.host_labels)?,
        priority: arguments.priority,
        lifetime: arguments.lifetime.meant(),
    };
    let request =
        CreateInstanceTypeRequest { name: arguments.name, spec, labels: Default::default() };
    let options = rehearsal(arguments.dry_run);
    let made = session.call::<CreateInstanceType>(&[], &request, options).await?;
    let would = if arguments.dry_run { "would be " } else { "" };
    session.show(&made, |made| format!("type {} {would}made: {}\n", made.name, made.spec.resources))
}
