//! The agent's work: one order after the other, each by the module that knows
//! how, until one of them is to leave.

use std::sync::Arc;
use std::time::Duration;

use model::agent::{AgentCommand, AgentFact, AgentFailure, AgentNews, AgentOrder};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::boot::{self, Departure};
use crate::image::{self, source::Access};
use crate::link::desk::{Desk, Hearing};
use crate::link::https::Origin;
use crate::link::session::Link;
use crate::link::trust::Trust;
use crate::network::lldp::Heard;
use crate::settings::Settings;
use crate::tpm::Chip;
use crate::work::Work;
use crate::{burn_in, failure, inventory, sanitise};

/// How long a machine that leaves waits for its last words to be heard.
const LAST_WORDS: Duration = Duration::from_secs(60);
/// A burn-in is never longer than this, whatever the order says.
const BURN_IN_MOST: Duration = Duration::from_secs(24 * 3600);

/// Everything that carrying out an order needs.
struct Agent {
    settings: Settings,
    access: Access,
    chip: Chip,
    heard: Heard,
    /// The disk that was written on this boot.
    written: Option<String>,
}

/// Runs the agent until it is to leave. Fails only when the settings cannot be used.
pub async fn run(settings: Settings, heard: Heard) -> anyhow::Result<Departure> {
    let origin = Origin::of(&settings.control.url.parse()?)?;
    let trust = Trust::new(&settings.control.ca)?;
    let (sender, config) = watch::channel(trust.anonymous());
    let chip = Chip::new(settings.tpm.clone());
    let desk = Arc::new(Desk::default());
    let link = Link {
        settings: settings.clone(),
        origin,
        trust: trust.clone(),
        chip: chip.clone(),
        desk: desk.clone(),
        config: Arc::new(sender),
    };
    let access = Access { trust, config, patience: settings.patience };
    let agent = Agent { settings, access, chip, heard, written: None };
    tokio::select! {
        departure = agent.work(&desk) => Ok(departure),
        () = link.keep_up() => unreachable!("the link is kept up for ever"),
    }
}

impl Agent {
    async fn work(mut self, desk: &Desk) -> Departure {
        loop {
            let (order, work) = desk.next().await;
            let id = order.id;
            let (news, departure) = self.one(order, &work).await;
            desk.settle(id, news);
            let Some(departure) = departure else { continue };
            match timeout(LAST_WORDS, desk.hearing(id)).await {
                Ok(Hearing::Stale) => crate::say!("staying: nobody wants this machine to leave"),
                Ok(Hearing::Heard) => return departure,
                Err(_) => {
                    crate::say!("leaving, although the control plane did not hear it");
                    return departure;
                }
            }
        }
    }

    async fn one(&mut self, order: AgentOrder, work: &Work) -> (AgentNews, Option<Departure>) {
        let name = verb(&order.command);
        crate::say!("order {}: {name}", order.sequence);
        match self.carry_out(order.command, work).await {
            Ok((fact, departure)) => {
                crate::say!("{name}: done");
                if let AgentFact::ImageWritten { disk, .. } = &fact {
                    self.written = Some(disk.clone());
                }
                (AgentNews::Done { fact }, departure)
            }
            Err(failure) => {
                crate::say!("{name} failed: {}", failure.message);
                (AgentNews::Failed { failure }, None)
            }
        }
    }

    async fn carry_out(
        &self,
        command: AgentCommand,
        work: &Work,
    ) -> Result<(AgentFact, Option<Departure>), AgentFailure> {
        let roots = self.settings.roots.clone();
        let (watched, written) = (work.clone(), self.written.clone());
        let stays = |fact| Ok((fact, None));
        match command {
            AgentCommand::Report => {
                let tpm = self.chip.about().await;
                let inventory = Box::new(inventory::collect(&roots, tpm, &self.heard.all()));
                stays(AgentFact::Inventory { inventory })
            }
            AgentCommand::Quote { nonce, pcrs } => {
                let quote = Box::new(self.chip.quote(nonce, Vec::new(), pcrs).await?);
                stays(AgentFact::Quoted { quote })
            }
            AgentCommand::BurnIn { span } => {
                let span = span.std().min(BURN_IN_MOST);
                stays(aside(move || Ok(burn_in::run(&roots, span, &watched))).await?)
            }
            AgentCommand::WriteImage { order } => {
                let url = &self.settings.control.url;
                stays(image::write(&roots, url, self.access.clone(), *order, watched).await?)
            }
            AgentCommand::Sanitise { method, sample_ppm } => {
                let sanitise = move || sanitise::sanitise(&roots, method, sample_ppm, &watched);
                stays(aside(sanitise).await?)
            }
            AgentCommand::BootDisk { kexec } => {
                let prepare = move || boot::prepare(&roots, written.as_deref(), kexec, &watched);
                Ok((AgentFact::Leaving, Some(aside(prepare).await?)))
            }
            AgentCommand::PowerOff => Ok((AgentFact::Leaving, Some(Departure::PowerOff))),
        }
    }
}

/// Runs what blocks on a thread of its own.
async fn aside<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, AgentFailure> + Send + 'static,
) -> Result<R, AgentFailure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(failure::hardware(format!("the work died: {panic}"))))
}

const fn verb(command: &AgentCommand) -> &'static str {
    match command {
        AgentCommand::Report => "report",
        AgentCommand::Quote { .. } => "quote",
        AgentCommand::BurnIn { .. } => "burn-in",
        AgentCommand::WriteImage { .. } => "write image",
        AgentCommand::Sanitise { .. } => "sanitise",
        AgentCommand::BootDisk { .. } => "boot from disk",
        AgentCommand::PowerOff => "power off",
    }
}
