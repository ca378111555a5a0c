//! `bedplate pool show`: one pool as a page.

use clap::Args;
use model::volume::{Backing, DiskOrder, Pool, Volume};

use super::list::state;
use crate::Failure;
use crate::human::by_number;
use crate::page::Page;
use crate::session::Session;
use crate::terminal::Tone;
use crate::volume::{service, words};

/// Which pool.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate pool show fast\n  bedplate pool show fast --output json"
)]
pub struct Arguments {
    /// Which pool
    pool: String,
}

/// Asks and shows.
pub async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let pool: Pool = service::order(session, DiskOrder::PoolShow { pool: arguments.pool }).await?;
    if session.json {
        return session.print_json(&pool);
    }
    let mut volumes: Vec<Volume> = service::order(session, DiskOrder::VolumeList).await?;
    let here = Backing::Pool { name: Some(pool.name.clone()) };
    volumes.retain(|volume| volume.backing == here);
    volumes.sort_by(|a, b| by_number(&a.name, &b.name));
    let (width, paint) = (session.terminal.width, session.terminal.paint);
    let mut page = Page::new(width, paint);
    page.heading(&format!("Pool {}", pool.name));
    let (tone, state) = state(&pool);
    page.toned(tone, "state", state);
    page.toned(Tone::Bad, "why", pool.frozen.as_deref().unwrap_or_default());
    page.line("lies on", words::medium(&pool.medium));
    page.line("size", pool.size.to_string());
    page.line("free", pool.free.to_string());
    for (place, volume) in volumes.iter().enumerate() {
        let text = format!("{}, {} of {} used", volume.name, volume.used, volume.size);
        page.line(if place == 0 { "holds" } else { "" }, text);
    }
    session.print(&page.finish())
}
