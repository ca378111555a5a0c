//! `bedplate placement`: why an instance is, or is not, somewhere.

use clap::{Args, Subcommand};
use client::Options;
use model::api::{ExplainPlacement, ExplainRequest};
use model::fleet::PlacementExplanation;

use crate::Failure;
use crate::page::Page;
use crate::session::Session;
use crate::terminal::{Paint, Tone};

/// What is asked of placement.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Which constraint removes how many hosts, and what would make it fit
    Explain(Explain),
}

/// An instance, or one that is thought of.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  bedplate placement explain web-1\n  bedplate placement explain --type large --project web\n  bedplate placement explain --type large --project web --group apart"
)]
pub struct Explain {
    /// Which instance
    #[arg(required_unless_present = "kind")]
    instance: Option<String>,
    /// A type, for an instance that is thought of
    #[arg(
        long = "type",
        id = "kind",
        value_name = "TYPE",
        requires = "project",
        conflicts_with = "instance"
    )]
    kind: Option<String>,
    /// Whose
    #[arg(long, conflicts_with = "instance")]
    project: Option<String>,
    /// In which placement group
    #[arg(long, conflicts_with = "instance")]
    group: Option<String>,
}

/// Carries it out.
pub async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    let Verb::Explain(arguments) = verb;
    let Explain { instance, kind, project, group } = arguments;
    let request = ExplainRequest { instance, kind, project, group };
    let told = session.call::<ExplainPlacement>(&[], &request, Options::default()).await?;
    let (width, paint) = (session.terminal.width, session.terminal.paint);
    session.show(&told, |told| page(told, width, paint))
}

/// The page.
pub fn page(told: &PlacementExplanation, width: Option<usize>, paint: Paint) -> String {
    let mut page = Page::new(width, paint);
    page.heading(&format!("Hosts for a {}", told.kind));
    page.line("it is on", told.on.as_deref().unwrap_or_default());
    page.line("hosts", told.hosts.to_string());
    for removed in &told.removed {
        page.line(&format!("- {}", removed.hosts), &removed.why);
    }
    let tone = if told.fit == 0 { Tone::Bad } else { Tone::Good };
    page.toned(tone, "= fit", told.fit.to_string());
    page.line("most free", told.most_free.to_string());
    if let Some(quota) = &told.quota {
        page.toned(Tone::Bad, "quota", format!("of {quota}: used up"));
    }
    page.toned(Tone::Bold, "would help", told.remedy.as_deref().unwrap_or_default());
    page.finish()
}
