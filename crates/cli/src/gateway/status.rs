//! `bedplate gateway status`: how a gateway is.

use clap::Args;
use model::gateway::{GatewayOrder, GatewayStatus};

use super::service::Which;
use crate::Failure;
use crate::page::Page;
use crate::session::Session;
use crate::terminal::Tone;

/// Which gateway.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate gateway status\n  bedplate gateway status --data objects --output json"
)]
pub struct Arguments {
    #[command(flatten)]
    which: Which,
}

/// Asks and shows.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let status: GatewayStatus = arguments.which.order(session, GatewayOrder::Status).await?;
    session.show(&status, |status| {
        let mut page = Page::new(session.terminal.width, session.terminal.paint);
        page.heading("gateway");
        page.line("version", format!("{}, process {}", status.version, status.process));
        page.line("buckets", status.buckets.to_string());
        page.line("free", status.free.to_string());
        page.line("log", format!("{}, of which {} count", status.log, status.log_live));
        page.line("bodies", status.bodies.to_string());
        page.line("limits", format!("{} open files", status.files));
        if let Some(why) = &status.refuses {
            page.toned(Tone::Bad, "takes", format!("no changes: {why}"));
        }
        for damaged in &status.damaged {
            page.toned(Tone::Bad, "damaged", damaged);
        }
        page.finish()
    })
}
