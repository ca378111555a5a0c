//! `bedplate up`: the control plane, alone or with a virtual rack, in one process.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;
use control::carriers::Retention;
use control::server::{AgentNetwork, Server, ServerSettings};
use lab::{Rack, RackSpec};
use netboot::Running;

use crate::boot::{self, BootNetwork};
use crate::objects::{self, Objects};

/// Run the control plane.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  bedplate up                               for one server under a desk, without root
  bedplate up --lab 2                       with a virtual rack of two machines (needs root)
  bedplate up --boot-device eth1 --boot-address 10.0.0.1/24
                                            for machines that boot on eth1 (needs root)
  bedplate up --gateway 10.0.0.1:9000       objects for everybody on that network
  bedplate up --no-gateway                  without objects
  bedplate up --database postgres://bedplate@db/bedplate")]
pub struct Arguments {
    /// Where people are served.
    #[arg(long, default_value = "127.0.0.1:7443")]
    pub listen: SocketAddr,
    /// Another name or address by which people reach it; for the certificate.
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// PostgreSQL instead of SQLite in the data directory: postgres://…
    #[arg(long, env = "BEDPLATE_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
    /// Bring a virtual rack of so many machines up too.
    #[arg(long, value_name = "MACHINES")]
    pub lab: Option<usize>,
    /// The interface on which machines boot.
    #[arg(long, requires = "boot_address", conflicts_with = "lab")]
    pub boot_device: Option<String>,
    /// Our address on that interface, ADDRESS/BITS.
    #[arg(long, requires = "boot_device")]
    pub boot_address: Option<String>,
    /// Wait longer for everything, in percent; a virtual rack under emulation needs 300.
    #[arg(long, default_value_t = 100)]
    pub patience: u64,
    /// How many days operations are kept after their end.
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    pub keep_operations: u32,
    /// How many events are kept: the newest.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(32_768..))]
    pub keep_events: u64,
    /// The object gateway beside it.
    #[command(flatten)]
    pub gateway: objects::Arguments,
}

impl Arguments {
    fn retention(&self) -> Retention {
        let day = 86_400;
        Retention {
            operations_for: model::Duration::from_secs(u64::from(self.keep_operations) * day),
            events_most: self.keep_events,
            ..Retention::default()
        }
    }
}

/// Everything that runs, and ends together.
pub struct House {
    /// The control plane.
    pub server: Server,
    /// The servers of the boot network.
    boot: Option<Running>,
    /// The virtual rack.
    pub rack: Option<Rack>,
    /// The object gateway.
    pub objects: Option<Objects>,
}

impl House {
    /// Brings it up.
    pub async fn start(
        arguments: &Arguments,
        directory: &Path,
        cache: &Path,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self> {
        let rack = match arguments.lab {
            Some(machines) => Some(rack(directory, machines, say).await?),
            None => None,
        };
        match Self::around(arguments, directory, cache, say, rack.as_ref()).await {
            Ok((server, boot)) => {
                let house = Self { server, boot, rack, objects: None };
                house.with_objects(arguments, directory).await
            }
            Err(error) => {
                // A rack without a control plane is nobody's.
                if let Some(rack) = rack {
                    rack.down().await?;
                }
                Err(error)
            }
        }
    }

    /// The control plane and its boot network, around a rack where there is one.
    async fn around(
        arguments: &Arguments,
        directory: &Path,
        cache: &Path,
        say: &(dyn Fn(&str) + Send + Sync),
        rack: Option<&Rack>,
    ) -> Result<(Server, Option<Running>)> {
        let network = match (rack, &arguments.boot_device, &arguments.boot_address) {
            (Some(rack), _, _) => Some(BootNetwork::of_rack(rack.network())),
            (None, Some(device), Some(address)) => Some(BootNetwork::on_device(device, address)?),
            _ => None,
        };
        let agents =
            network.as_ref().map_or_else(|| AgentNetwork::loopback(0), BootNetwork::agents);
        let machine = machine::Settings {
            patience_percent: arguments.patience,
            ..machine::Settings::default()
        };
        let server = Server::start(ServerSettings {
            directory: directory.to_owned(),
            database: arguments.database.clone(),
            listen: arguments.listen,
            names: arguments.names.clone(),
            agents,
            machine,
            retention: arguments.retention(),
        })
        .await?;
        let Some(network) = network else { return Ok((server, None)) };
        match boot::serve(&server, &network, cache, say).await {
            Ok(boot) => Ok((server, Some(boot))),
            Err(error) => {
                server.stop().await;
                Err(error)
            }
        }
    }

    /// Starts the object gateway, unless it is not wanted. Without it all ends.
    async fn with_objects(mut self, arguments: &Arguments, directory: &Path) -> Result<Self> {
        let (wanted, data) = (arguments.gateway.clone(), directory.join("gateway"));
        if wanted.no_gateway {
            return Ok(self);
        }
        let start = move || Objects::start(&wanted, &data);
        let started = tokio::task::spawn_blocking(start).await;
        match started.expect("starting does not panic") {
            Ok(objects) => {
                self.server.plane.metrics.tell_more(objects.metrics());
                self.objects = Some(objects);
                Ok(self)
            }
            Err(error) => {
                self.stop().await?;
                Err(error)
            }
        }
    }

    /// Ends it: clients of objects first, who have requests under way; then machines, so
    /// that nothing reports to nobody.
    pub async fn stop(self) -> Result<()> {
        if let Some(objects) = self.objects {
            let stop = tokio::task::spawn_blocking(|| objects.stop());
            stop.await.expect("ending does not panic");
        }
        if let Some(rack) = &self.rack {
            rack.down().await?;
        }
        if let Some(boot) = self.boot {
            boot.stop().await;
        }
        self.server.stop().await;
        Ok(())
    }
}

async fn rack(
    directory: &Path,
    machines: usize,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Rack> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("making the data directory {}", directory.display()))?;
    let keys = boot::secure_boot_keys(directory).await?;
    let mut spec = RackSpec::new("lab", directory.join("lab"), machines);
    spec.trust = Some(keys.cert);
    Ok(Rack::up(spec, say).await?)
}

/// Runs until it is told to end.
pub async fn run(arguments: Arguments, directory: &Path) -> Result<()> {
    let cache = directory.join("cache");
    let say = |line: &str| eprintln!("  {line}");
    let house = House::start(&arguments, directory, &cache, &say).await?;
    welcome(directory, &house);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("ending");
    house.stop().await
}

/// What a person needs who has just started it.
fn welcome(directory: &Path, house: &House) {
    let dir = directory.display();
    println!("Bedplate serves {}", house.server.url);
    if let Some(token) = &house.server.first_token {
        println!("\nThe administrator's token, shown only now (kept in {dir}/admin.token):");
        println!("  {}", token.expose());
    }
    if let Some(objects) = &house.objects {
        println!("\nObjects (S3) are at {}", objects.endpoint);
        if objects.first {
            println!("  the first access key is in {dir}/gateway/access.json: verbs find it");
        }
    }
    println!("\nNext, in another terminal:");
    println!("  export BEDPLATE_DIR={dir}");
    let machine = house.rack.as_ref().and_then(|rack| rack.machines().into_iter().next());
    match machine {
        Some(machine) => {
            println!("  bedplate lab list");
            println!("  bedplate lab enroll {}", machine.name);
            println!("  bedplate machine list");
        }
        None => {
            println!("  bedplate doctor");
            println!("  bedplate machine discover 10.0.0.10-40");
            println!("  bedplate machine enroll NAME --bmc https://10.0.0.10 --username root");
        }
    }
}
